"""Units without training: the nearest of some typical spectra. The simple baseline of unit encoders."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from optophone.core.configuration import check_ranges, from_mapping, to_mapping
from optophone.core.errors import BundleError, DataError
from optophone.core.k_means import KMeansConfig, fit_k_means, nearest
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.core.whole_file import whole_file

_SMALLEST_SPREAD = 1.0  # decibels; a band that hardly moves is not blown up


@dataclass(frozen=True)
class KMeansUnitsConfig:
    """What a unit is the nearest centre of.

    Args:
        bank: the front end.
        frames_per_unit: neighbouring frames that are one unit together, side by side.
        normalize: take the mean and the spread of each band in the utterance away, which leaves less of the speaker and
            of the microphone.
    """

    bank: UnitFilterBankConfig = field(default_factory=UnitFilterBankConfig)
    frames_per_unit: int = 4
    normalize: bool = True

    def __post_init__(self) -> None:
        """Refuse units of no length."""
        check_ranges(self, {"frames_per_unit": (1, 10_000)}, "k-means units")


def unit_features(wave: np.ndarray, config: KMeansUnitsConfig) -> np.ndarray:
    """What is clustered: (S, M · frames_per_unit) float32 of `wave` (N,), S whole units, at least 1.

    Raises:
        AudioError: the wave is too short, or holds what is no number.
    """
    frames = UnitFilterBank(config.bank)(wave).T
    if config.normalize:
        frames = (frames - frames.mean(0)) / np.maximum(frames.std(0), _SMALLEST_SPREAD)
    n, size = config.frames_per_unit, len(frames)
    if size < n:
        frames = np.pad(frames, ((0, n - size), (0, 0)), mode="edge")
    n_units = max(1, size // n)
    return np.ascontiguousarray(frames[: n_units * n], np.float32).reshape(n_units, -1)


class KMeansUnits:
    """A `UnitEncoder` over centres.

    Args:
        centres: (K, M · frames_per_unit).
        config: what they are centres of.

    Source: the baseline of Lakhotia et al. 2021, "On Generative Spoken Language Modeling from Raw Audio", 3.1.
    """

    def __init__(self, centres: np.ndarray, config: KMeansUnitsConfig) -> None:
        centres = np.ascontiguousarray(centres, np.float32)
        width = config.bank.n_mels * config.frames_per_unit
        assert centres.ndim == 2, f"centres have two axes, these {centres.shape}"
        assert centres.shape[1] == width, f"centres have {centres.shape[1]} features, not {width}"
        self.centres, self.config = centres, config
        self.vocabulary = build_units(len(centres))
        self.sample_rate = config.bank.sample_rate
        self.first_unit = len(self.vocabulary) - len(centres)

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        return self.config.frames_per_unit * self.config.bank.hop_length / self.sample_rate

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Ids (S,) int64 of `vocabulary`, one per `unit_s`, of `wave` (N,) at `sample_rate`."""
        return nearest(unit_features(wave, self.config), self.centres)[0] + self.first_unit

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.npz` with centres and configuration, all or nothing."""
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, centres=self.centres, configuration=np.array(json.dumps(to_mapping(self.config))))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "KMeansUnits":
        """Read what `save` wrote.

        Raises:
            BundleError: missing, damaged, or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                centres, text = archive["centres"], str(archive["configuration"])
            config = from_mapping(KMeansUnitsConfig, json.loads(text), str(path))
        except FileNotFoundError:
            raise BundleError(f"{path}: no such units; make them with fit_k_means_units first.") from None
        except Exception:  # zipfile, zlib, NumPy and Python's tokenizer each raise their own on a stranger's bytes
            raise BundleError(f"{path}: holds no k-means units, or is damaged; make them again.") from None
        width = config.bank.n_mels * config.frames_per_unit
        fits = centres.dtype.kind == "f" and centres.ndim == 2 and len(centres) and centres.shape[1] == width
        if not fits or not np.isfinite(centres).all():
            raise BundleError(f"{path}: its centres do not fit its configuration; make them again.")
        return cls(centres, config)


def fit_k_means_units(
    waves: Iterable[np.ndarray], k_means: KMeansConfig, config: KMeansUnitsConfig | None = None
) -> KMeansUnits:
    """Units whose centres are those of `waves` ((N,) each, at the front end's sample rate).

    Raises:
        DataError: no speech, or less than there are to be units.
    """
    config = config or KMeansUnitsConfig()
    parts = [unit_features(wave, config) for wave in waves]
    if not parts:
        raise DataError("k-means: no speech to make units of.")
    return KMeansUnits(fit_k_means(np.concatenate(parts), k_means), config)
