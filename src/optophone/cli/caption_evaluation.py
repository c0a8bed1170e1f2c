"""The work of `optophone evaluate captions`."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.caption_scoring import CORPUS, TOKENIZERS, CaptionScoring, ScoringOptions, text_table
from optophone.cli.options import SearchOptions
from optophone.cli.progress import Progress
from optophone.core.bundle import Bundle, open_bundle
from optophone.core.confidence import score_features
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.unit_origin import unit_origin
from optophone.data.manifest import Row, read_dataset
from optophone.data.packed_regions import PackedRegions
from optophone.data.sharded_pictures import picture_files, picture_of
from optophone.data.unit_symbols import UnitSymbols, read_unit_symbols
from optophone.data.written_captions import written_rows
from optophone.evaluation.calibration import Calibration, as_good_as_people, calibrate
from optophone.evaluation.diversity import self_bleu
from optophone.evaluation.phone_error import phone_error_rate
from optophone.evaluation.report import command_line, write_result
from optophone.evaluation.unit_error import loop_rate, unit_error_rate
from optophone.export.results import content_hash
from optophone.pipelines import Description
from optophone.runtime.load import captioner_part, find_bundle, load_describer, open_part

_MEANING = (
    "the caption agrees with people as well as three quarters of people's own captions do (CIDEr-D against the human"
    " captions of the picture at least {threshold:.1f})."
)
_SYMBOL_ERRORS = {
    "phone_error_rate": ("wrong phones", "of the nearest human caption's"),
    "unit_error_rate": ("wrong units", "of the nearest spoken caption's"),
    "loop_rate": ("captions that loop", ""),
}


class CaptionEvaluation:
    """Captions of the pictures of a split, by a bundle, against human ones.

    Args:
        bundle: folder or name of a captioner's or a system's bundle.
        dataset: folder of a prepared data set with pictures and captions.
        split: which part of it.
        limit: how many pictures, drawn by chance but always the same; None for all.
        search: how to search; what it leaves open is as the bundle does.
        jobs: pictures at the same time.
        quiet: show no progress.
        options: how captions are scored and shown.
        variants: captions per picture; the best is scored, all tell how varied the captions of a picture are.
        regions: folder of prepared region features, for a captioner that reads these.
        units: folder of the units of spoken captions, for a captioner that writes units; they are what it is compared
            with, and pictures that nobody speaks about are left out.

    Raises:
        DataError: a split without pictures or captions, pictures without region features, or units of another kind
            than the captioner's.
        ConfigurationError: region features for a captioner that reads pictures, or none for one that reads them; the
            same of units.
    """

    def __init__(
        self,
        bundle: str,
        dataset: Path,
        split: str,
        limit: int | None,
        search: SearchOptions,
        jobs: int,
        quiet: bool,
        options: ScoringOptions | None = None,
        variants: int = 1,
        regions: Path | None = None,
        units: Path | None = None,
    ) -> None:
        self.part = part_of(bundle, "captioner")
        self.dataset, self.split = read_dataset(dataset), split
        self.symbols = self.part.vocabulary().kind
        self.units = read_units_of(self.part, units)
        self.rows = draw(written_rows(self.dataset, split, self.symbols, self.units), limit)
        if not all("captions" in row and "picture" in row for row in self.rows):
            raise DataError(f"{dataset}: {split} has no pictures with captions; prepare flickr8k first and give it.")
        self.describer = load_describer(self.part.folder, threads=1)
        self.sources = self._sources(regions)
        self.search = search.apply(self.describer.search)
        self.jobs, self.quiet, self.variants = jobs, quiet, variants
        self.options = _options_for(self.symbols, options or ScoringOptions())

    def run(self, shuffled: bool, with_calibration: bool, output: str | None) -> str:
        """Describe, score, write `output` and the page if asked for; returns the table."""
        described = self._describe()
        hypotheses = {row["id"]: found[0].text for row, found in zip(self.rows, described, strict=True)}
        references = {row["id"]: row["captions"] for row in self.rows}
        if shuffled:
            references = exchanged(references)
        scoring = CaptionScoring(hypotheses, references, self.options, self.dataset, self._training_captions())
        best = [found[0] for found in described]
        calibration = self._calibrate(hypotheses, references, best) if with_calibration else None
        among_variants = self._among_variants(described)
        errors = symbol_errors(self.symbols, hypotheses, references)
        rows = [*scoring.rows(), *_further_rows(calibration, among_variants, errors)]
        if output:
            write_result(output, {**self._result(shuffled, scoring, calibration, among_variants), **errors})
        self._report(scoring, rows, best, shuffled)
        return text_table(rows)

    def _describe(self) -> list[list[Description]]:
        with Progress(len(self.rows), self.quiet) as progress, ThreadPoolExecutor(self.jobs) as executor:
            described = []
            for found in executor.map(self._describe_one, self.rows):
                described.append(found)
                progress.advance()
        return described

    def _describe_one(self, row: Row) -> list[Description]:
        source = self.sources(row)
        return self.describer.caption(source, variants=self.variants, search=self.search, hedge=False, force=True)

    def _sources(self, regions: Path | None) -> Callable[[Row], Path | bytes | np.ndarray]:
        """What the captioner is shown of a row: the picture's file, or its region features (R, D)."""
        if (regions is None) != (self.describer.regions is None):
            problem = "reads region features; give them with" if regions is None else "reads pictures; leave out"
            raise ConfigurationError(f"{self.part.folder}: this captioner {problem} --regions.")
        if regions is None:
            return lambda row: picture_of(self.dataset, row)
        packed = PackedRegions(read_dataset(regions))
        ids = dict(zip((row["id"] for row in self.rows), packed.ids_of(self.rows), strict=True))
        return lambda row: packed[ids[row["id"]]]

    def _training_captions(self) -> list[str] | None:
        """The captions of the data set's training split, unless that is what is evaluated."""
        if "train" not in self.dataset.splits or self.split == "train":
            return None
        if self.units is not None and "train" not in self.units.column.dataset.splits:
            return None
        rows = written_rows(self.dataset, "train", self.symbols, self.units)
        return [caption for row in rows for caption in row.get("captions", ())]

    def _among_variants(self, described: list[list[Description]]) -> float | None:
        """Self-BLEU times 100 of the captions of each picture; None where one was asked for, or found."""
        groups = [[variant.text.split() for variant in found] for found in described]
        return 100 * self_bleu(groups) if any(len(group) > 1 for group in groups) else None

    def _calibrate(
        self, hypotheses: dict[str, str], references: dict[str, list[str]], described: list[Description]
    ) -> Calibration:
        """Fit the confidence to whether captions are as good as people's."""
        correct, threshold = as_good_as_people(hypotheses, references, TOKENIZERS[self.options.tokenizer])
        features = np.array([score_features(found.token_log_probs) for found in described])
        return calibrate(features, correct, _MEANING.format(threshold=threshold))

    def _result(
        self,
        shuffled: bool,
        scoring: CaptionScoring,
        calibration: Calibration | None,
        among_variants: float | None,
    ) -> dict[str, Any]:
        manifest = self.part.manifest
        return {
            "kind": "shuffled captions" if shuffled else "captions",
            "command": command_line(),
            "bundle": {"name": manifest.name, "class": manifest.cls, "content": content_hash(manifest)},
            "data": data_facts(self.dataset, self.split, len(self.rows)),
            **({} if self.units is None else {"units": self.units.column.dataset.hash()}),
            "search": asdict(self.search),
            **scoring.facts(),
            "variants": {"asked": self.variants, "self_bleu": among_variants},
            "calibration": None if calibration is None else asdict(calibration),
            **scoring.figures(),
        }

    def _report(
        self, scoring: CaptionScoring, rows: list[tuple[str, str, str]], best: list[Description], shuffled: bool
    ) -> None:
        """The page, with the confidence as users see it."""
        pictures = picture_files(self.dataset, self.rows)
        described = zip(self.rows, best, strict=True)
        confidences = {row["id"]: found.confidence for row, found in described if found.confidence is not None}
        title = f"Captions of {self.dataset.name} {self.split} by {self.part.manifest.name}"
        facts = {"Command": command_line()}
        if shuffled:
            facts = {"Control": "each caption is compared with what people wrote of another picture", **facts}
        scoring.write_report(title, facts, rows, pictures, confidences)


def part_of(bundle: str, kind: str) -> Bundle:
    """The part of that kind: the bundle itself, or a part of the system that it is; for captions that which writes."""
    opened = open_bundle(find_bundle(bundle))
    if kind == "captioner" and (opened.manifest.kind == "direct" or "direct" in opened.manifest.parts):
        return captioner_part(opened)
    return open_part(opened, kind) if opened.manifest.kind == "system" else opened


def read_units_of(part: Bundle, folder: Path | None) -> UnitSymbols | None:
    """The column in `folder`, in the units of the captioner `part`; None where that writes no units.

    Raises:
        ConfigurationError: there is no folder and it writes units, or the other way round.
        DataError: they are other units.
    """
    vocabulary = part.vocabulary()
    if (vocabulary.kind == "units") != (folder is not None):
        problem = "writes units; give those of spoken captions with" if folder is None else "writes no units; leave out"
        raise ConfigurationError(f"{part.folder}: this captioner {problem} --units.")
    if folder is None:
        return None
    written = unit_origin(part.manifest.configuration, str(part.folder))
    units = read_unit_symbols(folder, "collapsed" if written is None else written.run_length)
    if units.vocabulary.hash != vocabulary.hash or not (written is None or written.agrees_with(units.origin)):
        raise DataError(
            f"{folder}: holds units of {units.origin}, but {part.manifest.name} writes those of "
            f"{written or 'another vocabulary'}; make units with the same encoder."
        )
    return units


def symbol_errors(symbols: str, hypotheses: dict[str, str], references: dict[str, list[str]]) -> dict[str, float]:
    """What is measured of single symbols, where they are phones or units; by name, 0..1."""
    if symbols == "phones":
        return {"phone_error_rate": phone_error_rate(hypotheses, references)}
    if symbols == "units":
        errors = unit_error_rate(hypotheses, references)
        return {"unit_error_rate": errors, "loop_rate": loop_rate(hypotheses.values())}
    return {}


def draw(rows: list[Row], limit: int | None) -> list[Row]:
    """`limit` of `rows`, by chance but always the same, in their order."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[i] for i in np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])]


def exchanged(references: dict[str, list[str]]) -> dict[str, list[str]]:
    """Every picture's name to the captions of another picture, half the set away.

    Raises:
        DataError: a single picture.
    """
    names = list(references)
    if len(names) < 2:
        raise DataError("a control by exchange needs two pictures at least.")
    shift = len(names) // 2
    return {name: references[names[(i + shift) % len(names)]] for i, name in enumerate(names)}


def data_facts(dataset: Any, split: str, n_rows: int) -> dict[str, Any]:
    """What a result says of its data."""
    return {"name": dataset.name, "hash": dataset.hash(), "split": split, "rows": n_rows}


def _options_for(symbols: str, options: ScoringOptions) -> ScoringOptions:
    """Captions in phones are scored by words of phones, those in units by units; neither are in a file of frequencies,
    and Java reads neither.

    Raises:
        DataError: something else is asked of them.
    """
    if symbols not in ("phones", "units"):
        return options
    if (options.tokenizer, options.document_frequency) != ("words", CORPUS):
        raise DataError(
            f"captions in {symbols} have their own tokenizer and the document frequencies of the corpus alone."
        )
    return replace(options, tokenizer=symbols, java=False)


def _further_rows(
    calibration: Calibration | None, among_variants: float | None, errors: Mapping[str, float]
) -> list[tuple[str, str, str]]:
    """What only captions of a bundle are measured for."""
    rows = []
    for name, value in errors.items():
        label, of_what = _SYMBOL_ERRORS[name]
        rows += [(label, f"{100 * value:.1f} %", of_what)]
    if among_variants is not None:
        rows += [("self-BLEU, one picture", f"{among_variants:.1f}", "")]
    if calibration is not None:
        rows += [("correct captions", f"{100 * calibration.share_correct:.1f} %", "")]
        off, by_chance = 100 * calibration.expected_calibration_error, 100 * calibration.by_chance
        rows += [("confidence off by", f"{off:.1f} %", f"{by_chance:.1f} by chance alone")]
        rows += [("right above wrong", f"{100 * calibration.discrimination:.1f} %", "")]
    return rows
