"""The work of `optophone evaluate voice`."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optophone.cli.caption_evaluation import data_facts, part_of
from optophone.cli.progress import Progress
from optophone.cli.recognizer_choice import ORDER_NAMES, POCKETSPHINX, ChosenRecognizer, choose_recognizer
from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.espeak import EspeakConfig
from optophone.core.mel import log_mel
from optophone.core.text import spoken_words
from optophone.data.espeak import load_espeak
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.evaluation.report import command_line, table, write_result
from optophone.evaluation.voice import Durations, Intelligibility, Utterance, durations, intelligibility
from optophone.export.results import content_hash
from optophone.pipelines import Voice
from optophone.runtime.load import load_voice

VOICES = ("voice", "reference", "copied")
RECORDINGS, ESPEAK = "recordings", "espeak-ng"
Baseline = Literal["recordings", "espeak-ng"]
# Data sets whose sound no person made: by name, and by the options that prepared speech of espeak-ng has.
_SYNTHETIC_NAMES = ("speechcoco",)
_SYNTHETIC_OPTIONS = ("voice", "voices")


@dataclass(frozen=True)
class VoiceEvaluationOptions:
    """The options of `optophone evaluate voice`, as its help page explains them.

    Args:
        split: which part of the data set.
        limit: how many texts, of as many rows; drawn by chance but always the same.
        baseline: what the bundle is compared with; None for people's recordings where the data set has them, else
            espeak-ng.
        voice, speed: of espeak-ng, which is then the baseline; None as the bundle's training data says.
        jobs: utterances at the same time.
        quiet: show no progress.
        recognizer: "pocketsphinx", "whisper:PATH" or a bundle.
    """

    split: str = "dev"
    limit: int = 200
    baseline: Baseline | None = None
    voice: str | None = None
    speed: int | None = None
    jobs: int = 1
    quiet: bool = False
    recognizer: str = POCKETSPHINX


class VoiceEvaluation:
    """Texts of a data set, said by a bundle and by a baseline, heard by one recogniser.

    Args:
        bundle: folder or name of an acoustic model's or a system's bundle.
        dataset: folder of a prepared data set with captions or text, perhaps with recordings.
        options: how.

    Raises:
        ConfigurationError: a voice of espeak-ng beside recordings.
        DataError: no texts that the recogniser knows, or recordings are asked for and there are none with text.
    """

    def __init__(self, bundle: str, dataset: Path, options: VoiceEvaluationOptions) -> None:
        self.options = options
        self.recognizer = choose_recognizer(options.recognizer)
        self.part = part_of(bundle, "acoustic")
        self.voice = load_voice(bundle, threads=1)
        self.dataset = read_dataset(dataset)
        rows = self.dataset.rows(options.split)
        self.baseline = choose_baseline(self.dataset, rows, options)
        if self.baseline == RECORDINGS:
            rows = [row for row in rows if is_recorded(row)]
        self.rows, self.n_left_out = known_rows(rows, options.limit, self.recognizer)
        self.texts = [text_of(row) for row in self.rows]
        self.espeak_config = espeak_config(self.part.manifest.configuration, options.voice, options.speed)

    def run(self, output: str | None) -> str:
        """Speak, listen, compare, write `output` if given; returns the table."""
        sentences = [spoken_words(text) for text in self.texts]
        spoken = self._speak()
        hearings = []
        orders = self.recognizer.orders
        with Progress(len(orders) * len(VOICES) * len(self.texts), self.options.quiet) as progress:
            for order in orders:
                waves = [(one.wave, one.sample_rate) for voice in VOICES for one in spoken[voice]]
                heard = self.recognizer.hear(waves, sentences, order, self.options.jobs, progress.advance)
                n = len(sentences)
                hearings.append(intelligibility(order, sentences, [heard[i * n : (i + 1) * n] for i in range(3)]))
        lengths = durations(spoken["voice"], spoken["reference"])
        stop_failures = sum(not one.complete for one in spoken["voice"])
        if output:
            write_result(output, self._result(hearings, lengths, stop_failures))
        figures = _table(hearings, lengths, self.baseline)
        counts = [
            f"compared with: {self._baseline_line()}",
            f"cut off before their end: {stop_failures} of {len(self.texts)}",
            f"texts left out for a word that the recogniser does not know: {self.n_left_out}",
        ]
        return "\n".join([figures, *counts, self.recognizer.line()])

    def _speak(self) -> dict[str, list[Utterance]]:
        """All texts by all voices."""
        rate, spec = self.voice.sample_rate, self.voice.acoustic.mel_spec
        reference = [Utterance(resample(wave, its_rate, rate), rate) for wave, its_rate in self._baseline_waves()]
        jobs = ThreadPoolExecutor(self.options.jobs)
        with Progress(2 * len(self.texts), self.options.quiet) as progress, jobs as executor:

            def each(make: Callable[[Any], Utterance], items: list[Any]) -> list[Utterance]:
                made = []
                for utterance in executor.map(make, items):
                    made.append(utterance)
                    progress.advance()
                return made

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cut-offs are counted
                own = each(lambda text: _say(self.voice, text), self.texts)
            vocoder = self.voice.vocoder
            copied = each(lambda one: Utterance(vocoder.wave(log_mel(one.wave, spec)), rate), reference)
        return {"voice": own, "reference": reference, "copied": copied}

    def _baseline_waves(self) -> Iterator[tuple[np.ndarray, int]]:
        """What the voice is compared with: (N,) and Hz of every text."""
        if self.baseline == RECORDINGS:
            yield from map(self.dataset.wave, self.rows)
            return
        espeak = load_espeak(self.espeak_config)
        for text in self.texts:  # espeak-ng speaks one at a time
            yield espeak.speak(text).astype(np.float32) / 32768, espeak.sample_rate

    def _baseline_facts(self) -> dict[str, Any]:
        if self.baseline == ESPEAK:
            return asdict(self.espeak_config)
        speakers = sorted({row["speaker"] for row in self.rows if "speaker" in row})
        return {"recordings": self.dataset.name, "speakers": speakers}

    def _baseline_line(self) -> str:
        facts = self._baseline_facts()
        if self.baseline == ESPEAK:
            return f"espeak-ng ({', '.join(f'{name} {value}' for name, value in facts.items())})"
        speakers = f", of {len(facts['speakers'])} speakers" if len(facts["speakers"]) > 1 else ""
        return f"the recordings of {self.dataset.name}{speakers}"

    def _result(self, hearings: list[Intelligibility], lengths: Durations, stop_failures: int) -> dict[str, Any]:
        manifest = self.part.manifest
        return {
            "kind": "voice",
            "command": command_line(),
            "bundle": {"name": manifest.name, "class": manifest.cls, "content": content_hash(manifest)},
            "data": data_facts(self.dataset, self.options.split, len(self.texts)),
            "baseline": self.baseline,
            "reference": self._baseline_facts(),
            "recognizer": self.recognizer.facts,
            "scores": {
                "word_error_rate": hearings[0].voice,
                "reference_word_error_rate": hearings[0].reference,
                "word_error_ratio": hearings[0].ratio,
                "durations_within_25_percent": lengths.within_25_percent,
                "stop_failures": stop_failures,
                "captions_left_out": self.n_left_out,
            },
            "hearings": [asdict(hearing) for hearing in hearings],
            "durations": asdict(lengths),
            "calibration": None,
            "texts": self.texts,
        }


def choose_baseline(dataset: Dataset, rows: list[Row], options: VoiceEvaluationOptions) -> Baseline:
    """What a voice is compared with: people where there are recordings of them, unless another is asked for.

    Raises:
        ConfigurationError: a voice of espeak-ng beside recordings.
        DataError: recordings are asked for and there are none with text.
    """
    of_espeak = options.voice is not None or options.speed is not None
    recorded = any(map(is_recorded, rows))
    if options.baseline is None:
        return "recordings" if recorded and is_of_people(dataset) and not of_espeak else "espeak-ng"
    if options.baseline == RECORDINGS and of_espeak:
        raise ConfigurationError("--voice and --speed are espeak-ng's; leave them out beside recordings.")
    if options.baseline == RECORDINGS and not recorded:
        raise DataError(f"{dataset.folder}: {options.split} has no recordings with text; use --baseline espeak-ng.")
    return options.baseline


def is_recorded(row: Row) -> bool:
    """Whether there is a sound of the text of `row`."""
    return "audio" in row and bool(row.get("text", "").strip())


def is_of_people(dataset: Dataset) -> bool:
    """Whether its sounds are recordings of people, and not of a synthesizer."""
    return dataset.name not in _SYNTHETIC_NAMES and not any(name in dataset.options for name in _SYNTHETIC_OPTIONS)


def text_of(row: Row) -> str:
    """The first caption, or the text, of `row`."""
    return (row.get("captions") or [row.get("text", "")])[0]


def known_rows(rows: list[Row], limit: int, recognizer: ChosenRecognizer) -> tuple[list[Row], int]:
    """Rows drawn by chance but always the same, whose `text_of` is in words that the recogniser knows.

    Returns:
        `limit` rows, and how many others were passed over because of a word that the recogniser cannot hear.

    Raises:
        DataError: there is no text, or there are not enough.
    """
    found: list[Row] = []
    n_left_out = 0
    for i in np.random.default_rng(0).permutation(len(rows)):
        if recognizer.understands(spoken_words(text_of(rows[i]))):
            found.append(rows[i])
        else:
            n_left_out += 1
        if len(found) == limit:
            return found, n_left_out
    if not found:
        raise DataError("the data set has no captions or text whose words the recogniser knows.")
    return found, n_left_out


def espeak_config(configuration: Any, voice: str | None, speed: int | None) -> EspeakConfig:
    """espeak-ng as the bundle's training data used it, unless `voice` or `speed` say otherwise."""
    learned = configuration.get("training", {}).get("data_options", {})
    chosen = {name: learned[name] for name in ("voice", "speed", "pitch") if name in learned}
    chosen |= {name: value for name, value in (("voice", voice), ("speed", speed)) if value is not None}
    return EspeakConfig(**chosen)


def _say(voice: Voice, text: str) -> Utterance:
    spoken = voice.say(text)
    return Utterance(spoken.wave, spoken.sample_rate, spoken.complete)


def _table(hearings: list[Intelligibility], lengths: Durations, baseline: Baseline) -> str:
    copy = "their copies" if baseline == RECORDINGS else "its copy"
    rows: list[tuple[str, ...]] = [("word error rate", "voice", baseline, copy, "ratio", "95 % interval")]
    for one in hearings:
        name = ORDER_NAMES[one.order]
        figures = (f"{value:.3f}" for value in (one.voice, one.reference, one.copied))
        ratio = "-" if one.ratio is None else f"{one.ratio:.2f}"
        interval = "-" if one.ratio_interval is None else "{:.2f} .. {:.2f}".format(*one.ratio_interval)
        rows.append((name, *figures, ratio, interval))
    theirs = "the recordings'" if baseline == RECORDINGS else "espeak-ng's"
    return (
        f"{table(rows)}\ndurations within 25 % of {theirs}: {100 * lengths.within_25_percent:.1f} %"
        f" (median {lengths.median:.2f}, 95 % in {lengths.low:.2f} .. {lengths.high:.2f})"
    )
