"""What the `.onnx.json` beside a Piper voice says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optophone.core.errors import ConfigurationError

BEGIN, END, BETWEEN = "^", "$", "_"  # the symbols around and between phonemes
PHONEME_TYPES = ("espeak", "text")
_USUAL = {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8}  # where a voice does not say
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class PiperConfig:
    """How a Piper voice speaks; None is what the voice itself says.

    Args:
        noise_scale: how much the sound varies; 0 says a text the same each time, as far as `noise_w` does.
        length_scale: how slowly it speaks: 2 takes twice as long.
        noise_w: how much the durations vary.

    Raises:
        ConfigurationError: a value out of range.
    """

    noise_scale: float | None = None
    length_scale: float | None = None
    noise_w: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("noise_scale", 0.0), ("length_scale", 0.05), ("noise_w", 0.0)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 20:
                raise ConfigurationError(f"piper: {name} is {value:g}; choose {least:g} to 20.")


@dataclass(frozen=True)
class PiperFacts:
    """A voice's own facts.

    Args:
        sample_rate: Hz.
        phoneme_type: "espeak" for phonemes of espeak-ng, "text" for letters.
        espeak_voice: whose phonemes it reads.
        ids: the ids of each phoneme.
        speakers: names by number.
        config: its own scales, none of them None.
    """

    sample_rate: int
    phoneme_type: str
    espeak_voice: str
    ids: Mapping[str, tuple[int, ...]]
    speakers: tuple[str, ...]
    config: PiperConfig


def read_piper_facts(path: Path) -> PiperFacts:
    """Read the `.onnx.json` of a voice.

    Raises:
        ConfigurationError: it is missing, no JSON, or lacks something; the message names it.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{path}: too large for the description of a Piper voice.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: missing; a Piper voice is two files, keep them together.") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path}: no valid JSON; download the voice again.") from None
    try:
        return _facts(content, str(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "has a value of another type than Piper's"
        raise ConfigurationError(f"{path}: {reason}; download the voice again.") from None


def _facts(content: Any, where: str) -> PiperFacts:
    phoneme_type = content.get("phoneme_type", "espeak")
    if phoneme_type not in PHONEME_TYPES:
        known = ", ".join(PHONEME_TYPES)
        raise ConfigurationError(f"{where}: phonemes of type {str(phoneme_type)[:40]!r} are not known; only {known}.")
    ids = {str(phoneme): tuple(map(int, numbers)) for phoneme, numbers in content["phoneme_id_map"].items()}
    for symbol in (BEGIN, END, BETWEEN):
        if symbol not in ids:
            raise ConfigurationError(f"{where}: phoneme_id_map lacks {symbol!r}; download the voice again.")
    sample_rate = int(content["audio"]["sample_rate"])
    if not 1000 <= sample_rate <= 192_000:
        raise ConfigurationError(f"{where}: a sample_rate of {sample_rate} Hz is none of a voice.")
    scales = content.get("inference", {})
    return PiperFacts(
        sample_rate,
        phoneme_type,
        str(content["espeak"]["voice"]) if phoneme_type == "espeak" else "",
        ids,
        _speakers(content),
        PiperConfig(**{name: float(scales.get(name, usual)) for name, usual in _USUAL.items()}),
    )


def _speakers(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Names by number; the number where there is no name."""
    n_speakers = int(content.get("num_speakers", 1))
    if not 1 <= n_speakers <= 100_000:
        raise ValueError
    if n_speakers == 1:
        return ("voice",)
    names = {int(number): str(name) for name, number in (content.get("speaker_id_map") or {}).items()}
    return tuple(names.get(number, str(number)) for number in range(n_speakers))
