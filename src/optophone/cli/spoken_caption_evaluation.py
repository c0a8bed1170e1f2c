"""The work of `optophone evaluate spoken-captions`."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from optophone.cli.caption_controls import Controls, TrueSpeech, open_speech
from optophone.cli.caption_evaluation import data_facts, draw, exchanged, read_units_of
from optophone.cli.caption_scoring import CaptionScoring, ScoringOptions
from optophone.cli.caption_speakers import build_recordings, build_system, build_unit_voice
from optophone.cli.listening import BuildSpeaker, Item, listen
from optophone.cli.options import SearchOptions
from optophone.cli.progress import Progress
from optophone.cli.recognizer_choice import ANY_WORDS, POCKETSPHINX, ChosenRecognizer, choose_recognizer
from optophone.cli.spoken_caption_result import ResultRow, SpokenCaptionResult
from optophone.core.bundle import Bundle
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.search import SearchConfig
from optophone.core.text import spoken_words
from optophone.core.whole_file import write_whole
from optophone.data.manifest import Dataset, read_dataset
from optophone.data.unit_symbols import UnitSymbols
from optophone.evaluation.captions import tokenize_words
from optophone.evaluation.constant_caption import ConstantCaption, constant_caption
from optophone.evaluation.heard_captions import Heard, HeardCaptions
from optophone.evaluation.report import command_line, write_result
from optophone.evaluation.spoken_captions import normalised, without_said, word_error_rate
from optophone.evaluation.unit_captions import unit_agreement, unit_figures
from optophone.export.results import content_hash
from optophone.runtime.load import captioner_part, load, open_part, open_speaking, open_system

_TRAIN = "train"
_TEXT = ("words", "characters")
_DEFAULT_ORDER = 2  # of recognisers that cannot write any words
_HEARD = ".heard.jsonl"
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class SpokenCaptionOptions:
    """The options of `optophone evaluate spoken-captions`, as its help page explains them."""

    split: str = "dev"
    limit: int | None = None
    search: SearchOptions = field(default_factory=SearchOptions)
    recognizer: str = POCKETSPHINX
    order: int | None = None
    controls: Controls = field(default_factory=Controls)
    samples: Path | None = None
    n_samples: int = 10
    heard_before: Path | None = None
    jobs: int = 2
    quiet: bool = False
    scoring: ScoringOptions = field(default_factory=ScoringOptions)


@dataclass(frozen=True)
class Ear:
    """A recogniser and the words that it listens for.

    Args:
        chosen: the recogniser.
        order: 0 where it writes any words, else how many words in a row of `sentences` it knows.
        sentences: training captions in words that it knows; none for any words.
        n_left_out: training captions with a word that it does not know.
    """

    chosen: ChosenRecognizer
    order: int
    sentences: Sequence[Sequence[str]]
    n_left_out: int

    @property
    def facts(self) -> dict[str, Any]:
        """What a result says of it."""
        words = {word for sentence in self.sentences for word in sentence}
        known = {"captions": len(self.sentences), "words": len(words), "left_out": self.n_left_out, "split": _TRAIN}
        return {
            **self.chosen.facts,
            "order": self.order,
            "knows": known if self.order else "any words",
            "normaliser": "spoken_words",
        }

    @property
    def key(self) -> dict[str, Any]:
        """What decides what it hears."""
        facts = {name: value for name, value in self.chosen.facts.items() if not name.startswith("word_error_rate")}
        return {**facts, "order": self.order, "sentences": _sha(self.sentences)}


class SpokenCaptionEvaluation:
    """Pictures of a split, spoken about by a system, heard by one recogniser, and scored against human captions.

    Args:
        system: folder or name of a system's bundle.
        dataset: folder of a prepared data set with pictures and captions.
        options: how.

    Raises:
        DataError: a split without pictures or captions, or a control's data does not fit.
        ConfigurationError: a control that this system cannot have, or an order that the recogniser cannot listen in.
        BundleError: no system, or no recogniser.
    """

    def __init__(self, system: str, dataset: Path, options: SpokenCaptionOptions) -> None:
        self.options, self.controls = options, options.controls
        self.dataset = read_dataset(dataset)
        rows = self.dataset.rows(options.split)
        if not rows or not all("captions" in row and "picture" in row for row in rows):
            raise DataError(f"{dataset}: {options.split} has no pictures with captions; prepare flickr8k and give it.")
        self.rows = draw(rows, options.limit)
        self.references = {row["id"]: [normalised(caption) for caption in row["captions"]] for row in self.rows}
        self.ear = choose_ear(options.recognizer, options.order, self.dataset, options.split)
        self.system = open_speaking(system)
        pipeline = load(self.system.folder, threads=1)
        self.writes, self.own_search = pipeline.writes, pipeline.search
        self.units = self._units()
        speech = open_speech(self.controls.speech, self.units)
        captions = {row["id"]: row["captions"] for row in self.rows}
        self.speech = None if speech is None else TrueSpeech(speech, options.split, captions, self.units)
        self.cascade = None if self.controls.cascade is None else open_cascade(self.controls.cascade)
        self.other = exchanged(self.references) if self.controls.shuffled else None
        self.constant = self._constant() if self.controls.constant else None

    def run(self, output: str | None) -> str:
        """Speak, listen, score, write `output` and the page if asked for; returns the tables."""
        path = None if output is None else Path(output).with_suffix(_HEARD)
        heard = self._hear_all(HeardCaptions(path, self._earlier(path)))
        rows = self._rows(heard)
        facts = {
            "kind": "spoken captions",
            "command": command_line(),
            "bundle": _facts_of(self.system),
            "cascade": None if self.cascade is None else _facts_of(self.cascade),
            "data": data_facts(self.dataset, self.options.split, len(self.rows)),
            "speech": None if self.speech is None else self.speech.dataset.hash(),
            "units": None if self.units is None else self.units.column.dataset.hash(),
            "search": asdict(self._search()),
            "recognizer": self.ear.facts,
        }
        units = self._unit_figures(heard["system"])
        result = SpokenCaptionResult(facts, rows, units, self.ear.chosen.line())
        if output:
            write_result(output, result.content())
        pictures = {row["id"]: self.dataset.path("picture", row) for row in self.rows}
        result.write_report(
            f"Heard from {self.system.manifest.name}: {self.dataset.name} {self.options.split}", pictures
        )
        self._list_samples(heard)
        return result.text()

    def _units(self) -> UnitSymbols | None:
        """The column of units that the system's voice says again, where that is asked for."""
        if self.controls.units is None:
            return None
        if self.writes is None:
            raise ConfigurationError(f"--control units: {self.system.manifest.name} says no units; leave it out.")
        return read_units_of(captioner_part(self.system), self.controls.units)

    def _earlier(self, path: Path | None) -> list[HeardCaptions]:
        """What other evaluations heard: in the file that the user names, or in all files of a folder."""
        before = self.options.heard_before
        if before is None:
            return []
        files = sorted(before.glob(f"*{_HEARD}")) if before.is_dir() else [before]
        return [HeardCaptions(file) for file in files if file != path]

    # -------------------------------------------------------------------------------------------- speaking and hearing

    def _hear_all(self, store: HeardCaptions) -> dict[str, dict[str, Heard]]:
        """Row of the result to picture to what was heard."""
        pictures = [Item(row["id"], row["id"], self.dataset.path("picture", row)) for row in self.rows]
        work: dict[str, tuple[Sequence[Item], BuildSpeaker, Mapping[str, Any]]] = {}
        data = {"data": self.dataset.hash(), "split": self.options.split}
        search = asdict(self._search())
        speaker = {"parts": _contents(self.system), "search": search}
        work["system"] = (pictures, partial(build_system, str(self.system.folder), self.options.search), data | speaker)
        if self.cascade is not None:
            speaker = {"parts": _contents(self.cascade)}
            work["cascade"] = (
                pictures,
                partial(build_system, str(self.cascade.folder), SearchOptions()),
                data | speaker,
            )
        if self.speech is not None:
            said = {"speech": self.speech.dataset.hash(), "split": self.options.split}
            spoken = [Item(one.row["id"], name, one.row) for name, one in self.speech.utterances.items()]
            work["speech"] = (spoken, partial(build_recordings, self.speech.dataset.folder), said)
            if self.units is not None:
                voice = {name: content for name, content in _contents(self.system).items() if name != "captioner"}
                spoken_again = {"units": self.units.column.dataset.hash(), "split": self.options.split, "parts": voice}
                again = [
                    Item(one.row["id"], name, {"units": one.units}) for name, one in self.speech.utterances.items()
                ]
                work["units"] = (again, partial(build_unit_voice, str(self.system.folder)), spoken_again)
        with Progress(sum(len(items) for items, _, _ in work.values()), self.options.quiet) as progress:
            return {row: self._hear(store, row, *one, progress.advance) for row, one in work.items()}

    def _hear(
        self,
        store: HeardCaptions,
        row: str,
        items: Sequence[Item],
        build_speaker: BuildSpeaker,
        speaker: Mapping[str, Any],
        advance: Callable[[], None],
    ) -> dict[str, Heard]:
        """What was heard of each picture: kept, or now."""
        kept = store.begin(row, {"recognizer": self.ear.key, **speaker})
        items = [Item(one.name, one.picture, one.source, self._sample(row, i, one)) for i, one in enumerate(items)]
        missing = [one for one in items if one.name not in kept or (one.sample and not one.sample.exists())]
        for _ in range(len(items) - len(missing)):
            advance()
        build_recognizer = self.ear.chosen.build(self.ear.sentences, self.ear.order)
        jobs = 1 if self.ear.chosen.alone else self.options.jobs
        for heard in listen(missing, build_speaker, build_recognizer, jobs):
            store.add(row, heard)
            kept[heard.item] = heard
            advance()
        return {one.picture: kept[one.name] for one in items}

    def _search(self) -> SearchConfig:
        return self.options.search.apply(self.own_search)

    # -------------------------------------------------------------------------------------------------------- scoring

    def _rows(self, heard: Mapping[str, Mapping[str, Heard]]) -> list[ResultRow]:
        """The rows of the result, the system's own first."""
        words = {row: {picture: one.heard for picture, one in found.items()} for row, found in heard.items()}
        said = _said(heard["system"]) if self.writes in _TEXT else None
        system = self._row("system", "heard from the system", words["system"], self.references, said)
        rows = [system]
        if said is not None:
            rows.append(self._written("system", heard["system"]))
        if self.cascade is not None:
            what = f"heard from {self.cascade.manifest.name}"
            rows.append(self._row("cascade", what, words["cascade"], self.references, _said(heard["cascade"])))
            rows.append(self._written("cascade", heard["cascade"]))
        if self.speech is not None:
            rows += self._true_rows(self.speech, words)
        if self.other is not None:
            what = "heard from the system, against what people wrote of another picture"
            rows.append(self._row("shuffled", what, words["system"], self.other))
        if self.constant is not None:
            what = f"the same of every picture, in writing: {self.constant.text!r}"
            caption = normalised(self.constant.text)
            rows.append(self._row("constant", what, dict.fromkeys(self.references, caption), self.references))
        held_out = next((row for row in rows if row.held_out), None)
        again = None if held_out is None else self._score(_of(held_out, words["system"]), held_out.scoring.references)
        return [system, *(row.beside(again if row.held_out and again else system.scoring) for row in rows[1:])]

    def _written(self, row: str, heard: Mapping[str, Heard]) -> ResultRow:
        captions = {picture: normalised(one.said) for picture, one in heard.items()}
        return self._row(f"{row}_written", f"as the {row} wrote it, unheard", captions, self.references)

    def _true_rows(self, speech: TrueSpeech, words: Mapping[str, Mapping[str, str]]) -> list[ResultRow]:
        """People's captions, each against the picture's others: in writing, spoken, and spoken again from units."""
        others = without_said(self.references, speech.places)
        rows = []
        for name, what in (("speech", "true speech"), ("units", "its units, said by the system's voice")):
            if name in words:
                what = f"{what}, against the picture's other captions"
                rows.append(self._row(name, what, words[name], others, speech.texts, held_out=True))
        texts = {picture: normalised(text) for picture, text in speech.texts.items()}
        what = "what is said in true speech, in writing, against the picture's other captions"
        return [*rows, self._row("speech_written", what, texts, others, held_out=True)]

    def _row(
        self,
        name: str,
        what: str,
        captions: Mapping[str, str],
        references: Mapping[str, Sequence[str]],
        said: Mapping[str, str] | None = None,
        held_out: bool = False,
    ) -> ResultRow:
        """A row, with its word error rate where it is known which words were said."""
        errors = None if said is None or not any(map(spoken_words, said.values())) else word_error_rate(said, captions)
        scoring = self._score(captions, references)
        return ResultRow(name, what, scoring, len(self.rows) - len(captions), errors, held_out=held_out)

    def _score(self, captions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> CaptionScoring:
        return CaptionScoring(captions, references, self.options.scoring, self.dataset)

    def _constant(self) -> ConstantCaption:
        if _TRAIN not in self.dataset.splits or self.options.split == _TRAIN:
            raise DataError(f"{self.dataset.folder}: a constant caption is taken from {_TRAIN}, for another split.")
        captions = [row["captions"] for row in self.dataset.rows(_TRAIN)]
        return constant_caption(captions, lambda texts: tokenize_words([normalised(text) for text in texts]))

    def _unit_figures(self, heard: Mapping[str, Heard]) -> dict[str, Any] | None:
        """What is measured of units by themselves, where the system writes these."""
        if self.writes != "units":
            return None
        captions = {picture: one.said for picture, one in heard.items()}
        found = asdict(unit_figures(captions, [one.ended for one in heard.values()]))
        if self.units is None:
            return found
        true = self.units.captions(self.options.split)
        known = {picture: text for picture, text in captions.items() if picture in true}
        references = {picture: true[picture] for picture in known}
        other = exchanged(references) if len(references) > 1 else None
        return found | asdict(unit_agreement(known, references, other))

    # -------------------------------------------------------------------------------------------------------- samples

    def _sample(self, row: str, number: int, item: Item) -> Path | None:
        if self.options.samples is None or number >= self.options.n_samples:
            return None
        return self.options.samples / f"{number:03d}-{_UNSAFE.sub('_', item.picture)}-{row}.wav"

    def _list_samples(self, heard: Mapping[str, Mapping[str, Heard]]) -> None:
        """Write what was heard of the samples beside them."""
        folder = self.options.samples
        if folder is None:
            return
        lines = []
        for row, found in heard.items():
            for number, one in enumerate(found.values()):
                path = self._sample(row, number, Item(one.item, one.picture, None))
                if path is not None:
                    there = {"wave": path.name if path.exists() else None}
                    lines.append({**there, "row": row, **asdict(one), "references": self.references[one.picture]})
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_whole(folder / "heard.jsonl", text.encode())


def open_cascade(name: str) -> Bundle:
    """A system that writes words on its way to speech.

    Raises:
        BundleError: no system.
        ConfigurationError: it writes something else.
    """
    system = open_system(name)
    written = open_part(system, "captioner").vocabulary().kind
    if written not in _TEXT:
        raise ConfigurationError(f"--control cascade={name}: writes {written}; give a system that writes words.")
    return system


def choose_ear(name: str, order: int | None, dataset: Dataset, split: str) -> Ear:
    """The recogniser `name`, listening in `order`; the words that it knows are those of the training captions.

    Raises:
        ConfigurationError: it cannot listen so.
        DataError: words are needed, and there are no training captions apart from `split`.
    """
    chosen = choose_recognizer(name)
    if order is None:
        order = ANY_WORDS if ANY_WORDS in chosen.orders else _DEFAULT_ORDER
    if (order == ANY_WORDS and ANY_WORDS not in chosen.orders) or (order > 0 and max(chosen.orders) == ANY_WORDS):
        can = "knows its words: --order 1 to 3" if order == ANY_WORDS else "writes any words: --order 0"
        raise ConfigurationError(f"--order {order}: {name} {can}.")
    if order == ANY_WORDS:
        return Ear(chosen, order, (), 0)
    if split == _TRAIN or _TRAIN not in dataset.splits:
        raise DataError(
            f"{dataset.folder}: {name} gets its words from the captions of {_TRAIN}, which {split} must not be."
        )
    sentences = [spoken_words(caption) for row in dataset.rows(_TRAIN) for caption in row.get("captions", ())]
    known = [sentence for sentence in sentences if chosen.understands(sentence)]
    if not known:
        raise DataError(f"{dataset.folder}: no caption of {_TRAIN} has only words that {name} knows.")
    return Ear(chosen, order, known, len(sentences) - len(known))


def _said(heard: Mapping[str, Heard]) -> dict[str, str]:
    return {picture: one.said for picture, one in heard.items()}


def _of(row: ResultRow, captions: Mapping[str, str]) -> dict[str, str]:
    """Those of `captions` that are of the pictures of `row`."""
    return {picture: captions[picture] for picture in row.scoring.hypotheses}


def _contents(system: Bundle) -> dict[str, Any]:
    """What decides what a system says: the content of its parts, and how it speaks."""
    contents: dict[str, Any] = {kind: content_hash(open_part(system, kind).manifest) for kind in system.manifest.parts}
    if not contents:
        contents = {system.manifest.kind: content_hash(system.manifest)}
    return contents | {"voice": system.manifest.configuration.get("voice", {})}


def _facts_of(system: Bundle) -> dict[str, Any]:
    manifest = system.manifest
    return {"name": manifest.name, "class": manifest.cls, "content": content_hash(manifest), "parts": _contents(system)}


def _sha(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
