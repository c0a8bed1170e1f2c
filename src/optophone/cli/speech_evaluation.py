"""The work of `optophone evaluate speech`."""

import itertools
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.caption_evaluation import data_facts, draw
from optophone.cli.progress import Progress
from optophone.cli.recognizer_choice import ORDER_NAMES, POCKETSPHINX, ChosenRecognizer, choose_recognizer
from optophone.core.audio import resample
from optophone.core.bundle import open_bundle
from optophone.core.errors import DataError
from optophone.core.mel import log_mel
from optophone.core.text import spoken_words
from optophone.data.manifest import Row, read_dataset
from optophone.evaluation.hard_sentences import HARD_SENTENCES, Diagnosis, diagnose, read_sentences
from optophone.evaluation.recognizer import word_errors
from optophone.evaluation.report import command_line, table, write_result
from optophone.evaluation.speech import (
    SpeechDistance,
    compare_speech,
    intelligibility_of_copy,
    mean_of,
    quality_of_copy,
)
from optophone.export.results import content_hash
from optophone.pipelines import Voice
from optophone.runtime.load import find_bundle, load_vocoder, load_voice, open_part

_INSTALL = "pip install 'optophone[eval]'"
_ROWS = {
    "mel_cepstral_distortion": ("mel-cepstral distortion", "dB"),
    "log_spectral_distance": ("log-spectral distance", "dB"),
    "pitch_error_hz": ("F0 error", "Hz"),
    "pitch_error_cents": ("F0 error", "cents"),
    "pitch_correlation": ("F0 correlation", ""),
    "voicing_error": ("voicing error", "of frames"),
    "duration_ratio": ("duration", "of the recording's"),
    "stoi": ("STOI", "of 1"),
    "pesq": ("PESQ, wide band", "of 4.6"),
}
_OF_COPIES = ("stoi", "pesq")


@dataclass(frozen=True)
class SpeechEvaluationOptions:
    """The options of `optophone evaluate speech`, as its help page explains them."""

    split: str
    limit: int
    copy_synthesis: bool
    hard_sentences: bool
    sentences: Path | None
    recognizer: str | None
    jobs: int
    quiet: bool


class SpeechEvaluation:
    """Recordings of a data set, said again by a bundle or copied by its vocoder, and compared.

    Args:
        bundle: folder or name of an acoustic model's or a system's bundle, or of a vocoder's.
        dataset: folder of a prepared data set with recordings and their text.
        options: how.

    Raises:
        DataError: the split has no recordings with text.
        BundleError: there is no such bundle.
    """

    def __init__(self, bundle: str, dataset: Path, options: SpeechEvaluationOptions) -> None:
        opened = open_bundle(find_bundle(bundle))
        self.voice: Voice | None = None
        if opened.manifest.kind == "vocoder":
            self.vocoder = load_vocoder(opened)
            options = replace(options, copy_synthesis=True)
        else:
            self.voice = load_voice(bundle, threads=1)
            self.vocoder = self.voice.vocoder
        judged = opened
        if opened.manifest.kind == "system":
            judged = open_part(opened, "vocoder" if options.copy_synthesis else "acoustic")
        self.manifest = judged.manifest
        if options.copy_synthesis:
            options = replace(options, hard_sentences=False)
        self.options = options
        self.missing: dict[str, str] = {}  # figure → why it was not measured
        self.recognizer = self._choose_recognizer()
        self.spec = self.vocoder.mel_spec
        self.dataset = read_dataset(dataset)
        rows = [row for row in self.dataset.rows(options.split) if "audio" in row and row.get("text", "").strip()]
        if not rows:
            raise DataError(f"{dataset}: {options.split} has no recordings with text; prepare ljspeech and give it.")
        self.rows = draw(rows, options.limit)

    def run(self, output: str | None) -> str:
        """Speak, compare, listen, diagnose, write `output` if given; returns the tables."""
        sentences = read_sentences(self.options.sentences or HARD_SENTENCES) if self.options.hard_sentences else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # faults are counted
            recordings, spoken = self._speak()
            diagnosis = self._diagnose(sentences) if self.voice and sentences else None
        distances = self._compare(recordings, spoken)
        heard = self._listen(self.recognizer, recordings, spoken, sentences) if self.recognizer else None
        means = {field.name: mean_of([getattr(one, field.name) for one in distances]) for field in fields(distances[0])}
        if output:
            write_result(output, self._result(means, distances, heard, diagnosis))
        return "\n\n".join(self._tables(means, heard, diagnosis))

    def _speak(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The recordings and what was made of them, at the vocoder's rate."""
        recordings, spoken = [], []
        with Progress(len(self.rows), self.options.quiet) as progress:
            for row in self.rows:
                recordings.append(self._recording(row))
                if self.options.copy_synthesis or self.voice is None:
                    spoken.append(self.vocoder.wave(log_mel(recordings[-1], self.spec)))
                else:
                    spoken.append(self.voice.say(row["text"]).wave)
                progress.advance()
        return recordings, spoken

    def _recording(self, row: Row) -> np.ndarray:
        wave, rate = self.dataset.wave(row)
        return resample(wave, rate, self.spec.sample_rate)

    def _compare(self, recordings: list[np.ndarray], spoken: list[np.ndarray]) -> list[SpeechDistance]:
        copies = self.options.copy_synthesis
        pairs = list(zip(recordings, spoken, strict=True))
        distances = [compare_speech(first, second, self.spec, warped=not copies) for first, second in pairs]
        if not copies:
            self.missing |= dict.fromkeys(_OF_COPIES, "only of copies: --copy-synthesis")
            return distances
        rate = self.spec.sample_rate
        judges: dict[str, Callable[[np.ndarray, np.ndarray, int], float | None]] = {
            "stoi": intelligibility_of_copy,
            "pesq": quality_of_copy,
        }
        found: dict[str, list[float | None]] = {name: [None] * len(pairs) for name in judges}
        for name, judge in judges.items():
            try:
                found[name] = [judge(first, second, rate) for first, second in pairs]
            except ModuleNotFoundError as error:
                self.missing[name] = f"{error.name} is not installed: {_INSTALL}"
        return [
            replace(one, stoi=stoi, pesq=pesq)
            for one, stoi, pesq in zip(distances, found["stoi"], found["pesq"], strict=True)
        ]

    def _choose_recognizer(self) -> ChosenRecognizer | None:
        if self.options.recognizer is None:
            self.missing["recognizer"] = "left out by --no-recognizer"
            return None
        try:
            return choose_recognizer(self.options.recognizer)
        except ModuleNotFoundError as error:
            if self.options.recognizer != POCKETSPHINX:  # it was asked for
                raise
            self.missing["recognizer"] = f"{error.name} is not installed: {_INSTALL}"
            return None

    def _listen(
        self,
        recognizer: ChosenRecognizer,
        recordings: list[np.ndarray],
        spoken: list[np.ndarray],
        sentences: list[str],
    ) -> dict[str, Any] | None:
        """Word and character error rates of what was made, of the recordings and of the hard sentences.

        One recogniser hears them all, which knows the words of all.
        """
        texts = [spoken_words(row["text"]) for row in self.rows]
        chosen = understood(texts, recognizer)
        if not chosen:
            self.missing["recognizer"] = "every text has a word that it does not know"
            return None
        hard = [spoken_words(sentence) for sentence in sentences] if self.voice else []
        further = understood(hard, recognizer)
        said = [*(texts[i] for _ in range(2) for i in chosen), *(hard[i] for i in further)]
        with warnings.catch_warnings(), Progress(len(said), self.options.quiet) as progress:
            warnings.simplefilter("ignore")  # faults are counted
            waves = itertools.chain(
                (which[i] for which in (spoken, recordings) for i in chosen),
                (self.voice.say(sentences[i]).wave for i in further if self.voice),
            )
            rate = self.spec.sample_rate
            heard = recognizer.hear(
                ((wave, rate) for wave in waves), said, recognizer.orders[0], self.options.jobs, progress.advance
            )
        n = len(chosen)
        result = {
            "recognizer": recognizer.facts,
            "words": ORDER_NAMES[recognizer.orders[0]],
            "made": error_rates(said[:n], heard[:n]),
            "recorded": error_rates(said[n : 2 * n], heard[n : 2 * n]),
            "sentences": n,
            "left_out": len(texts) - n,
        }
        if further:
            hard_rates = error_rates(said[2 * n :], heard[2 * n :])
            result["hard"] = {**hard_rates, "sentences": len(further), "left_out": len(hard) - len(further)}
        return result

    def _diagnose(self, sentences: list[str]) -> Diagnosis | None:
        assert self.voice is not None
        with Progress(len(sentences), self.options.quiet) as progress:
            found = diagnose(self.voice, sentences, progress.advance)
        if found is None:
            self.missing["attention"] = "this voice shows no attention"
        return found

    def _result(
        self,
        means: dict[str, float | None],
        distances: list[SpeechDistance],
        heard: dict[str, Any] | None,
        diagnosis: Diagnosis | None,
    ) -> dict[str, Any]:
        return {
            "kind": "copy synthesis" if self.options.copy_synthesis else "speech",
            "command": command_line(),
            "bundle": {
                "name": self.manifest.name,
                "class": self.manifest.cls,
                "content": content_hash(self.manifest),
            },
            "data": data_facts(self.dataset, self.options.split, len(self.rows)),
            "scores": means,
            "recognizer": heard,
            "attention": None if diagnosis is None else diagnosis.to_mapping(),
            "not_measured": self.missing,
            "utterances": {str(row["id"]): asdict(one) for row, one in zip(self.rows, distances, strict=True)},
        }

    def _tables(
        self, means: dict[str, float | None], heard: dict[str, Any] | None, diagnosis: Diagnosis | None
    ) -> list[str]:
        rows: list[tuple[str, ...]] = []
        for name, (label, unit) in _ROWS.items():
            value = means[name]
            nothing = self.missing.get(name, "nothing voiced in both")
            rows.append(
                (label, "not measured" if value is None else f"{value:.3f}", nothing if value is None else unit)
            )
        tables = [table(rows)]
        if heard is None:
            tables.append(f"recogniser: not measured, {self.missing['recognizer']}")
        else:
            assert self.recognizer is not None
            tables.append(f"{_hearing_text(heard)}\n{self.recognizer.line()}")
        if diagnosis is not None:
            tables.append(_diagnosis_text(diagnosis))
        elif "attention" in self.missing:
            tables.append(f"attention: not measured, {self.missing['attention']}")
        return tables


def understood(texts: list[list[str]], recognizer: ChosenRecognizer) -> list[int]:
    """The texts that have words, and only words that the recogniser knows."""
    return [i for i, words in enumerate(texts) if recognizer.understands(words)]


def error_rates(sentences: list[list[str]], heard: list[list[str]]) -> dict[str, float]:
    """Errors over words, and over characters with the spaces between words, of what was heard."""
    pairs = list(zip(sentences, heard, strict=True))
    words = sum(word_errors(said, found) for said, found in pairs) / sum(map(len, sentences))
    lines = [(" ".join(said), " ".join(found)) for said, found in pairs]
    characters = sum(word_errors(said, found) for said, found in lines) / sum(len(said) for said, _ in lines)
    return {"word": words, "character": characters}


def _hearing_text(heard: dict[str, Any]) -> str:
    columns = {"made": heard["made"], "recorded": heard["recorded"]}
    counts = (
        f"heard, {heard['words']}: {heard['sentences']} sentences; {heard['left_out']} left out for an unknown word"
    )
    if "hard" in heard:
        columns["hard sentences"] = heard["hard"]
        counts += f"; {heard['hard']['sentences']} hard ones, {heard['hard']['left_out']} left out"
    rows = [
        (f"{kind} error rate", *(f"{rates[kind]:.3f}" for rates in columns.values())) for kind in ("word", "character")
    ]
    return table([("recogniser's errors", *columns), *rows]) + f"\n{counts}"


def _diagnosis_text(found: Diagnosis) -> str:
    rows: list[tuple[str, ...]] = [
        ("attention over hard sentences", "pieces"),
        ("spoken", str(found.n_utterances)),
        ("needed a second try", str(found.spoken_again)),
        ("still faulty", str(found.faulty)),
        ("  stop failures", str(found.stop_failures)),
        ("  skips", str(found.skips)),
        ("  repeats", str(found.repeats)),
        ("  stood still", str(found.stuck)),
        ("focus", f"{found.focus:.2f}"),
        ("diagonality", f"{found.diagonality:.2f}"),
    ]
    faults = [f"  {one['text']!r}: {', '.join(one['problems'])}" for one in found.sentences[:10]]
    return "\n".join([table(rows), *faults])
