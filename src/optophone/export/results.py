"""Result files of `optophone evaluate`, and to which bundle each belongs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optophone.core.bundle import BundleManifest
from optophone.core.configuration import to_mapping
from optophone.core.errors import DataError
from optophone.runtime.photograph_detector import PHOTOGRAPH_FILE

CARD = "CARD.md"
# What may be added to a bundle after it was evaluated, because it changes neither its captions nor its voice.
_ADDED = ("confidence", "hedge", "export", "reads_phones")
# Which scores a bundle carries along, by kind of result; those of a control have a name of their own.
_CARRIED: dict[str, tuple[str, ...] | None] = {
    "captions": ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider_d", "n_distinct_captions"),
    "shuffled captions": ("bleu_4", "cider_d"),
    "doubt": (
        "auc",
        "auc_unseen_families",
        "photographs_refused",
        "unseen_families_refused",
        "cider_d_surer_half",
    ),
    "voice": ("word_error_ratio", "durations_within_25_percent", "stop_failures"),
    "voice beside recordings": ("word_error_ratio", "durations_within_25_percent", "stop_failures"),
    "speech": (
        "mel_cepstral_distortion",
        "pitch_error_cents",
        "voicing_error",
        "duration_ratio",
        "heard_word_error_rate",
        "heard_recordings_word_error_rate",
        "heard_hard_word_error_rate",
        "hard_pieces",
        "hard_stop_failures",
        "hard_skips",
        "hard_repeats",
    ),
    "copy synthesis": (
        "mel_cepstral_distortion",
        "log_spectral_distance",
        "pitch_error_cents",
        "voicing_error",
        "stoi",
        "pesq",
        "heard_word_error_rate",
        "heard_recordings_word_error_rate",
    ),
    "units": (
        "used_codes",
        "units_per_s",
        "bits_per_s_lossless",
        "abx_within_frames",
        "abx_within_shuffled",
        "abx_across_frames",
        "pnmi",
        "words_with_f1_above_half",
        "speaker_accuracy",
    ),
    "recognizer": None,  # all: error rates have the names of the data sets that they were found on
}
# What is put before the names of the scores, where another kind of result has scores of the same names.
_PREFIX = {"shuffled captions": "shuffled_", "voice beside recordings": "recordings_", "copy synthesis": "copy_"}
_OF_SPEECH = ("speech", "copy synthesis")


@dataclass(frozen=True)
class Result:
    """What an evaluation found.

    Args:
        path: the file, for messages.
        kind: one of those that are carried along.
        content: `content_hash` of the bundle that was evaluated.
        scores: by name.
        calibration: slope, intercept and what they mean, or None.
        length: of a voice's utterances beside recordings of the same texts, 1 as long as those, the median; else None.
    """

    path: Path
    kind: str
    content: str
    scores: Mapping[str, Any]
    calibration: Mapping[str, Any] | None
    length: float | None = None

    def metrics(self) -> dict[str, Any]:
        """The scores that a bundle carries along, rounded as tables are."""
        prefix = _PREFIX.get(self.kind, "")
        names = _CARRIED[self.kind] or tuple(self.scores)
        kept = {f"{prefix}{name}": self.scores[name] for name in names if self.scores[name] is not None}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in kept.items()}


def content_hash(manifest: BundleManifest) -> str:
    """sha256 of all that decides what a bundle says of photographs: graphs, vocabulary and options, but not metrics,
    card, confidence, the runs before its own, nor what tells photographs from other pictures.

    It stays the same when a bundle is copied into a system and when results are added to it.
    """
    configuration = {name: value for name, value in manifest.configuration.items() if name not in _ADDED}
    if isinstance(configuration.get("training"), Mapping):
        training = configuration["training"]
        configuration["training"] = {name: value for name, value in training.items() if name != "earlier"}
    files = {name: record.sha256 for name, record in manifest.files.items() if name not in (CARD, PHOTOGRAPH_FILE)}
    decisive = [manifest.kind, manifest.cls, configuration, manifest.mel, manifest.picture, files]
    return hashlib.sha256(json.dumps(to_mapping(decisive), sort_keys=True).encode()).hexdigest()


def read_result(path: str | Path) -> Result:
    """Read a file that `optophone evaluate ... -o` wrote.

    Raises:
        DataError: missing, or not such a file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
        kind = _kind_of(content)
        scores = _speech_scores(content) if kind in _OF_SPEECH else content["scores"]
        median = content.get("durations", {}).get("median") if kind == "voice beside recordings" else None
        length = None if median is None else float(median)
        result = Result(path, kind, content["bundle"]["content"], scores, content.get("calibration"), length)
        if result.kind not in _CARRIED:
            raise ValueError(f"kind {result.kind!r}")
        result.metrics()
    except OSError as error:
        raise DataError(f"{path}: cannot read the result ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a result of optophone evaluate ({type(error).__name__}: {error}).") from None
    return result


def _kind_of(content: Mapping[str, Any]) -> str:
    """A voice beside people has other figures than beside a synthesizer."""
    beside_people = content["kind"] == "voice" and content.get("baseline") == "recordings"
    return "voice beside recordings" if beside_people else content["kind"]


def _speech_scores(content: Mapping[str, Any]) -> dict[str, Any]:
    """The distances from recordings, what a recogniser heard, and the faults of the attention; None: not measured."""
    heard, attention = content["recognizer"] or {}, content["attention"] or {}
    rates = {"": "made", "recordings_": "recorded", "hard_": "hard"}
    words = {f"heard_{name}word_error_rate": heard.get(key, {}).get("word") for name, key in rates.items()}
    faults = {f"hard_{name}": attention.get(name) for name in ("stop_failures", "skips", "repeats")}
    return {**content["scores"], **words, **faults, "hard_pieces": attention.get("n_utterances")}
