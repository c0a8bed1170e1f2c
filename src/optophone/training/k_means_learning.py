"""Learning of k-means units: typical spectra of speech, found without gradients in a minute."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optophone.core.audio import resample
from optophone.core.configuration import to_mapping
from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.k_means import KMeansConfig, fit_k_means, nearest
from optophone.core.k_means_units import KMeansUnits, KMeansUnitsConfig, unit_features
from optophone.core.whole_file import write_whole
from optophone.data.manifest import Dataset, read_dataset

K_MEANS_UNITS = "k-means.npz"
MEASURES = "measures.json"


@dataclass(frozen=True)
class KMeansSpeechConfig:
    """Which speech the units are those of.

    Args:
        speech: folder of a prepared speech data set.
        split: of it, from which the centres are learned.
        max_utterances: of the split, evenly spread over it; 0 for all.
        dev_split: on which the units are measured.
        dev_limit: utterances of that.
    """

    speech: str
    split: str = "train"
    max_utterances: int = 2000
    dev_split: str = "dev"
    dev_limit: int = 200

    def __post_init__(self) -> None:
        """Refuse less than nothing."""
        if self.max_utterances < 0 or self.dev_limit < 1:
            raise ConfigurationError("data: max_utterances is at least 0 (all), dev_limit at least 1.")


@dataclass(frozen=True)
class KMeansLearningExperiment:
    """A whole configuration of kind "k-means-units".

    Args:
        model: what a unit is the nearest centre of.
        k_means: how many units, and how their centres are sought.
    """

    kind: Literal["k-means-units"]
    name: str
    data: KMeansSpeechConfig
    model: KMeansUnitsConfig = field(default_factory=KMeansUnitsConfig)
    k_means: KMeansConfig = field(default_factory=KMeansConfig)


def run_k_means_learning(experiment: KMeansLearningExperiment, folder: Path) -> None:
    """Learn the units; writes `k-means.npz` and `measures.json` into `folder`.

    A folder that has them, learned in the same way, is left as it is. A run that was killed begins anew and ends in the
    same centres, which takes a minute for two thousand captions.
    """
    speech, path = read_dataset(experiment.data.speech), folder / MEASURES
    asked = {"configuration": to_mapping(experiment), "speech": speech.hash()}
    if (folder / K_MEANS_UNITS).is_file() and _learned_like(path) == asked:
        return
    config = experiment.data
    frames = np.concatenate(list(features(speech, config.split, config.max_utterances, experiment.model)))
    units = KMeansUnits(fit_k_means(frames, experiment.k_means), experiment.model)
    units.save(folder / K_MEANS_UNITS)
    measures = measure(units, features(speech, config.dev_split, config.dev_limit, experiment.model))
    write_whole(path, (json.dumps({**asked, "measures": measures}, indent=2) + "\n").encode())
    print("  ".join(f"{name} {value:.4f}" for name, value in measures.items()), flush=True)


def features(speech: Dataset, split: str, limit: int, config: KMeansUnitsConfig) -> Iterator[np.ndarray]:
    """What is clustered (S, D) of `limit` utterances of `split` (0 for all), evenly spread over it.

    Raises:
        AudioError: an utterance that cannot be read; it is named.
    """
    rows = speech.rows(split)
    for i in np.unique(np.linspace(0, len(rows) - 1, min(limit or len(rows), len(rows))).round().astype(int)):
        try:
            wave, sample_rate = speech.wave(rows[i])
            yield unit_features(resample(wave, sample_rate, config.bank.sample_rate), config)
        except AudioError as error:
            raise AudioError(f"{speech.path('audio', rows[i])}, {rows[i]['id']}: {error}") from None


def measure(units: KMeansUnits, dev: Iterator[np.ndarray]) -> dict[str, float]:
    """How well the centres fit other speech (S, D), and how many of them it uses.

    Returns:
        explained: share of the variance of the frames that their centres explain.
        used_codes, perplexity: units that occur, and how many that would be if all were equally frequent.
    """
    frames = np.concatenate(list(dev))
    codes, distances = nearest(frames, units.centres)
    spread = float(np.square(frames - frames.mean(0), dtype=np.float64).sum())
    counts = np.bincount(codes, minlength=len(units.centres))
    share = counts[counts > 0] / len(codes)
    return {
        "explained": 1 - float(distances.sum()) / max(spread, 1e-12),
        "used_codes": float((counts > 0).sum()),
        "perplexity": float(np.exp(-(share * np.log(share)).sum())),
    }


def _learned_like(path: Path) -> dict[str, Any] | None:
    """What the units beside `path` were learned from; None where nobody knows."""
    try:
        content = json.loads(path.read_bytes())
        return {name: content[name] for name in ("configuration", "speech")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
