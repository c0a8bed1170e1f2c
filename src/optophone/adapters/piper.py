"""Any Piper voice: an `.onnx` with its `.onnx.json`, run by ONNX Runtime; espeak-ng finds the phonemes."""

import os
import re
import unicodedata
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from optophone.adapters.espeak import EspeakVoice
from optophone.adapters.piper_config import BEGIN, BETWEEN, END, PiperConfig, read_piper_facts
from optophone.core.errors import ConfigurationError, TextError
from optophone.core.espeak import EspeakConfig

_INPUTS = ("input", "input_lengths", "scales")
_SPEAKER = "sid"
# A mark that a voice hears: within a sentence before white space, a full stop at the end alone.
_CLAUSE_END = re.compile(r"""([,;:!?]|\.(?=["')\]”’]*\s*$))["')\]”’]*(?:\s+|$)""")
_MIN_PEAK = 1e-8


class PiperVoice:
    """Text → wave (a `Synthesizer`) by a voice that was made for Piper: a VITS network from phonemes to samples.

    Args:
        path: the `.onnx`; the `.onnx.json` stands beside it.
        config: noise and length, where they are to differ from the voice's own.
        threads: of the network; None leaves the number to ONNX Runtime.

    Raises:
        ConfigurationError: a file is missing or damaged, or the network is none of a Piper voice.
        DataError: espeak-ng is not installed, or does not know the voice's language.

    Source: Kim et al. 2021, "Conditional variational autoencoder with adversarial learning for end-to-end
    text-to-speech".
    """

    def __init__(
        self, path: str | os.PathLike[str], config: PiperConfig | None = None, threads: int | None = None
    ) -> None:
        self.path = Path(path)
        if self.path.suffix != ".onnx":
            raise ConfigurationError(f"{self.path}: a Piper voice is named by its .onnx file.")
        if not self.path.is_file():
            raise ConfigurationError(f"{self.path}: no such file; give the .onnx of a Piper voice.")
        self.facts = read_piper_facts(self.path.with_name(self.path.name + ".json"))
        chosen, own = config or PiperConfig(), self.facts.config
        values = {
            one.name: getattr(own if getattr(chosen, one.name) is None else chosen, one.name) for one in fields(own)
        }
        self.config = PiperConfig(**values)
        self.sample_rate, self.speakers, self.speaker = self.facts.sample_rate, self.facts.speakers, 0
        self._session = self._open(threads)
        self._espeak: EspeakVoice | None = None
        if self.facts.phoneme_type == "espeak":
            self._espeak = EspeakVoice(EspeakConfig(self.facts.espeak_voice))

    def _open(self, threads: int | None) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises a dozen private types, all of them about the file
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(f"{self.path}: ONNX Runtime cannot load this voice ({reason}).") from None
        names = {value.name for value in session.get_inputs()}
        needed = {*_INPUTS, _SPEAKER} if len(self.speakers) > 1 else set(_INPUTS)
        for name in (*sorted(needed - names), *sorted(names - needed)):
            has = "lacks" if name in needed else "has"
            raise ConfigurationError(f"{self.path}: no Piper voice: the graph {has} an input {name!r}.")
        return session

    def with_speaker(self, speaker: int) -> "PiperVoice":
        """The same with another of its voices; nothing is loaded again."""
        assert 0 <= speaker < len(self.speakers), f"{len(self.speakers)} speakers, asked for number {speaker}"
        other = object.__new__(PiperVoice)
        other.__dict__.update(self.__dict__, speaker=speaker)
        return other

    def spell(self, text: str, phonemes: bool = False) -> np.ndarray:
        """Ids (S,) int64 of a sentence: begin, each phoneme, end, with the one between after each but the last.

        A phoneme that the voice does not know is left out, as Piper does.

        Args:
            text: a sentence; with `phonemes` its pronunciation in the International Phonetic Alphabet.

        Raises:
            TextError: the voice knows none of its phonemes.
        """
        spoken = text if phonemes or self._espeak is None else phonemes_of(text, self._espeak)
        known = [letter for letter in unicodedata.normalize("NFD", spoken) if letter in self.facts.ids]
        if not any(letter.isalnum() for letter in known):
            raise TextError(f"{text[:40]!r}: this voice knows no sound for it; write it in letters of its language.")
        ids = [number for symbol in (BEGIN, *known) for number in (*self.facts.ids[symbol], *self.facts.ids[BETWEEN])]
        return np.array([*ids, *self.facts.ids[END]], dtype=np.int64)

    def wave(self, ids: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Wave (N,) float32 of ids (S,), as loud as -1..1 allows (Piper's own way).

        Raises:
            ConfigurationError: the network cannot take the ids, or gives what is no sound.
        """
        config = self.config
        assert config.length_scale is not None, "filled in with the voice's own"
        scales = [config.noise_scale, config.length_scale / speed, config.noise_w]
        feeds: dict[str, np.ndarray] = {
            "input": ids[None].astype(np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array(scales, dtype=np.float32),
        }
        if len(self.speakers) > 1:
            feeds[_SPEAKER] = np.array([self.speaker], dtype=np.int64)
        try:
            wave = np.asarray(self._session.run(None, feeds)[0], dtype=np.float32).reshape(-1)
        except Exception as error:  # private types again: the graph does not do what its inputs promise
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(f"{self.path}: the voice cannot speak this ({reason}).") from None
        if not (len(wave) and np.isfinite(wave).all()):
            raise ConfigurationError(f"{self.path}: the voice gave no sound; download it again.")
        peak = float(np.abs(wave).max())
        return wave / peak if peak > _MIN_PEAK else np.zeros_like(wave)


def phonemes_of(text: str, espeak: EspeakVoice) -> str:
    """A sentence in phonemes, words between spaces, with the marks that a voice hears: "ɐ dˈɑːɡ, ɐ kˈæt." """
    *parts, rest = _CLAUSE_END.split(text)
    clauses = [*zip(parts[::2], parts[1::2], strict=True), (rest, "")]
    spoken = ((" ".join("".join(word) for word in espeak.phones(words)), mark) for words, mark in clauses)
    return " ".join(phonemes + mark for phonemes, mark in spoken if phonemes)
