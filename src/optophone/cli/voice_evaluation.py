"""The work of `optophone evaluate voice`."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.caption_evaluation import data_facts, part_of
from optophone.cli.progress import Progress
from optophone.cli.recognizer_choice import ORDER_NAMES, POCKETSPHINX, ChosenRecognizer, choose_recognizer
from optophone.core.audio import resample
from optophone.core.errors import DataError
from optophone.core.mel import log_mel
from optophone.core.text import spoken_words
from optophone.data.espeak import EspeakConfig, load_espeak
from optophone.data.manifest import Row, read_dataset
from optophone.evaluation.report import command_line, table, write_result
from optophone.evaluation.voice import Durations, Intelligibility, Utterance, durations, intelligibility
from optophone.export.results import content_hash
from optophone.pipelines import Voice
from optophone.runtime.load import load_voice

VOICES = ("voice", "reference", "copied")


class VoiceEvaluation:
    """Captions of a data set, said by a bundle and by espeak-ng, heard by one recogniser.

    Args:
        bundle: folder or name of an acoustic model's or a system's bundle.
        dataset: folder of a prepared data set with captions or text.
        split: which part of it.
        limit: how many captions, the first of as many pictures; drawn by chance but always the same.
        voice, speed: of espeak-ng; None as the bundle's training data says.
        jobs: utterances at the same time.
        quiet: show no progress.
        recognizer: "pocketsphinx", "whisper:PATH" or a bundle.
    """

    def __init__(
        self,
        bundle: str,
        dataset: Path,
        split: str,
        limit: int,
        voice: str | None,
        speed: int | None,
        jobs: int,
        quiet: bool,
        recognizer: str = POCKETSPHINX,
    ) -> None:
        self.recognizer = choose_recognizer(recognizer)
        self.part = part_of(bundle, "acoustic")
        self.voice = load_voice(bundle, threads=1)
        self.dataset, self.split = read_dataset(dataset), split
        self.texts, self.n_left_out = known_texts(self.dataset.rows(split), limit, self.recognizer)
        self.espeak_config = espeak_config(self.part.manifest.configuration, voice, speed)
        self.jobs, self.quiet = jobs, quiet

    def run(self, output: str | None) -> str:
        """Speak, listen, compare, write `output` if given; returns the table."""
        sentences = [spoken_words(text) for text in self.texts]
        spoken = self._speak()
        hearings = []
        orders = self.recognizer.orders
        with Progress(len(orders) * len(VOICES) * len(self.texts), self.quiet) as progress:
            for order in orders:
                waves = [(one.wave, one.sample_rate) for voice in VOICES for one in spoken[voice]]
                heard = self.recognizer.hear(waves, sentences, order, self.jobs, progress.advance)
                n = len(sentences)
                hearings.append(intelligibility(order, sentences, [heard[i * n : (i + 1) * n] for i in range(3)]))
        lengths = durations(spoken["voice"], spoken["reference"])
        stop_failures = sum(not one.complete for one in spoken["voice"])
        if output:
            write_result(output, self._result(hearings, lengths, stop_failures))
        text = _table(hearings, lengths, stop_failures, len(self.texts), self.n_left_out)
        return f"{text}\n{self.recognizer.line()}"

    def _speak(self) -> dict[str, list[Utterance]]:
        """All texts by all voices."""
        espeak = load_espeak(self.espeak_config)
        rate, spec = self.voice.sample_rate, self.voice.acoustic.mel_spec
        reference = []
        for text in self.texts:  # espeak-ng speaks one at a time
            wave = espeak.speak(text).astype(np.float32) / 32768
            reference.append(Utterance(resample(wave, espeak.sample_rate, rate), rate))
        with Progress(2 * len(self.texts), self.quiet) as progress, ThreadPoolExecutor(self.jobs) as executor:

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

    def _result(self, hearings: list[Intelligibility], lengths: Durations, stop_failures: int) -> dict[str, Any]:
        manifest = self.part.manifest
        return {
            "kind": "voice",
            "command": command_line(),
            "bundle": {"name": manifest.name, "class": manifest.cls, "content": content_hash(manifest)},
            "data": data_facts(self.dataset, self.split, len(self.texts)),
            "reference": asdict(self.espeak_config),
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


def known_texts(rows: list[Row], limit: int, recognizer: ChosenRecognizer) -> tuple[list[str], int]:
    """The first caption, or the text, of rows drawn by chance but always the same, in words that the recogniser knows.

    Returns:
        `limit` texts, and how many others were passed over because of a word that the recogniser cannot hear.

    Raises:
        DataError: there is no text, or there are not enough.
    """
    texts, n_left_out = [], 0
    for i in np.random.default_rng(0).permutation(len(rows)):
        text = (rows[i].get("captions") or [rows[i].get("text", "")])[0]
        if recognizer.understands(spoken_words(text)):
            texts.append(text)
        else:
            n_left_out += 1
        if len(texts) == limit:
            return texts, n_left_out
    if not texts:
        raise DataError("the data set has no captions or text whose words the recogniser knows.")
    return texts, n_left_out


def espeak_config(configuration: Any, voice: str | None, speed: int | None) -> EspeakConfig:
    """espeak-ng as the bundle's training data used it, unless `voice` or `speed` say otherwise."""
    learned = configuration.get("training", {}).get("data_options", {})
    chosen = {name: learned[name] for name in ("voice", "speed", "pitch") if name in learned}
    chosen |= {name: value for name, value in (("voice", voice), ("speed", speed)) if value is not None}
    return EspeakConfig(**chosen)


def _say(voice: Voice, text: str) -> Utterance:
    spoken = voice.say(text)
    return Utterance(spoken.wave, spoken.sample_rate, spoken.complete)


def _table(
    hearings: list[Intelligibility], lengths: Durations, stop_failures: int, n_texts: int, n_left_out: int
) -> str:
    rows: list[tuple[str, ...]] = [("word error rate", "voice", "espeak-ng", "its copy", "ratio", "95 % interval")]
    for one in hearings:
        name = ORDER_NAMES[one.order]
        figures = (f"{value:.3f}" for value in (one.voice, one.reference, one.copied))
        ratio = "-" if one.ratio is None else f"{one.ratio:.2f}"
        interval = "-" if one.ratio_interval is None else "{:.2f} .. {:.2f}".format(*one.ratio_interval)
        rows.append((name, *figures, ratio, interval))
    return "\n".join(
        [
            table(rows),
            f"durations within 25 % of espeak-ng's: {100 * lengths.within_25_percent:.1f} %"
            f" (median {lengths.median:.2f}, 95 % in {lengths.low:.2f} .. {lengths.high:.2f})",
            f"cut off before their end: {stop_failures} of {n_texts}",
            f"captions left out for a word that the recogniser does not know: {n_left_out}",
        ]
    )
