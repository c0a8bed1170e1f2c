"""The work of `optophone evaluate captions`."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.options import SearchOptions
from optophone.cli.progress import Progress
from optophone.core.bundle import Bundle, open_bundle
from optophone.core.errors import DataError
from optophone.data.manifest import Row, read_dataset
from optophone.evaluation.calibration import Calibration, as_good_as_people, calibrate
from optophone.evaluation.captions import CaptionIntervals, CaptionScores, caption_intervals, evaluate_captions
from optophone.evaluation.report import command_line, table, write_result
from optophone.export.results import content_hash
from optophone.pipelines import Describer, Description
from optophone.runtime.load import find_bundle, load_describer, open_part
from optophone.runtime.onnx_captioner import OnnxCaptioner

_MEANING = (
    "the caption agrees with people as well as three quarters of people's own captions do (CIDEr-D against the human"
    " captions of the picture at least {threshold:.1f})."
)


class CaptionEvaluation:
    """Captions of the pictures of a split, by a bundle, against human ones.

    Args:
        bundle: folder or name of a captioner's or a system's bundle.
        dataset: folder of a prepared data set with pictures and captions.
        split: which part of it.
        limit: how many pictures, drawn by chance but always the same; None for all.
        beam: sentences kept in the search; None as the bundle does.
        jobs: pictures at the same time.
        quiet: show no progress.
    """

    def __init__(
        self, bundle: str, dataset: Path, split: str, limit: int | None, beam: int | None, jobs: int, quiet: bool
    ) -> None:
        self.part = part_of(bundle, "captioner")
        self.dataset, self.split = read_dataset(dataset), split
        self.rows = draw(self.dataset.rows(split), limit)
        if not all("captions" in row and "picture" in row for row in self.rows):
            raise DataError(f"{dataset}: {split} has no pictures with captions; prepare flickr8k first and give it.")
        self.describer = _uncalibrated(load_describer(self.part.folder, threads=1))
        self.search = SearchOptions(beam=beam).apply(self.describer.search)
        self.jobs, self.quiet = jobs, quiet

    def run(self, shuffled: bool, with_calibration: bool, output: str | None) -> str:
        """Describe, score, write `output` if given; returns the table."""
        described = self._describe()
        hypotheses = {row["id"]: found.text for row, found in zip(self.rows, described, strict=True)}
        references = {row["id"]: row["captions"] for row in self.rows}
        if shuffled:
            references = exchanged(references)
        scores, intervals = evaluate_captions(hypotheses, references), caption_intervals(hypotheses, references)
        calibration = self._calibrate(hypotheses, references, described) if with_calibration else None
        if output:
            write_result(output, self._result(shuffled, scores, intervals, calibration, hypotheses))
        return _table(scores, intervals, calibration)

    def _describe(self) -> list[Description]:
        with Progress(len(self.rows), self.quiet) as progress, ThreadPoolExecutor(self.jobs) as executor:
            described = []
            for found in executor.map(self._describe_one, self.rows):
                described.append(found)
                progress.advance()
        return described

    def _describe_one(self, row: Row) -> Description:
        path = self.dataset.path("picture", row)
        return self.describer.caption(path, search=self.search, hedge=False)[0]

    def _calibrate(
        self, hypotheses: dict[str, str], references: dict[str, list[str]], described: list[Description]
    ) -> Calibration:
        """Fit the mean log-probability per symbol, which the uncalibrated confidence is the exponential of."""
        correct, threshold = as_good_as_people(hypotheses, references)
        scores = np.array([math.log(max(found.confidence, 1e-300)) for found in described])
        return calibrate(scores, correct, _MEANING.format(threshold=threshold))

    def _result(
        self,
        shuffled: bool,
        scores: CaptionScores,
        intervals: CaptionIntervals,
        calibration: Calibration | None,
        hypotheses: dict[str, str],
    ) -> dict[str, Any]:
        manifest = self.part.manifest
        return {
            "kind": "shuffled captions" if shuffled else "captions",
            "command": command_line(),
            "bundle": {"name": manifest.name, "class": manifest.cls, "content": content_hash(manifest)},
            "data": data_facts(self.dataset, self.split, len(self.rows)),
            "search": asdict(self.search),
            "scores": asdict(scores),
            "intervals": asdict(intervals),
            "calibration": None if calibration is None else asdict(calibration),
            "captions": hypotheses,
        }


def part_of(bundle: str, kind: str) -> Bundle:
    """The part of that kind: the bundle itself, or a part of the system that it is."""
    opened = open_bundle(find_bundle(bundle))
    return open_part(opened, kind) if opened.manifest.kind == "system" else opened


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


def _uncalibrated(describer: Describer) -> Describer:
    """With the raw score as confidence: exp of the mean log-probability per symbol."""
    assert isinstance(describer.captioner, OnnxCaptioner)
    describer.captioner.confidence = None
    return describer


def _table(scores: CaptionScores, intervals: CaptionIntervals, calibration: Calibration | None) -> str:
    def between(ends: tuple[float, float]) -> str:
        return f"{ends[0]:.1f} .. {ends[1]:.1f}"

    rows = [("", "score", "95 % interval")]
    rows += [(f"BLEU-{n}", f"{getattr(scores, f'bleu_{n}'):.1f}", "") for n in (1, 2, 3)]
    rows += [("BLEU-4", f"{scores.bleu_4:.1f}", between(intervals.bleu_4))]
    rows += [("ROUGE-L", f"{scores.rouge_l:.1f}", "")]
    rows += [("CIDEr-D", f"{scores.cider_d:.1f}", between(intervals.cider_d))]
    rows += [("pictures", f"{scores.n_pictures}", ""), ("different captions", f"{scores.n_distinct_captions}", "")]
    rows += [("words used", f"{scores.vocabulary_used}", ""), ("words per caption", f"{scores.mean_length:.1f}", "")]
    if calibration is not None:
        rows += [("correct captions", f"{100 * calibration.share_correct:.1f} %", "")]
        rows += [("confidence off by", f"{100 * calibration.expected_calibration_error:.1f} %", "")]
        rows += [("right above wrong", f"{100 * calibration.discrimination:.1f} %", "")]
    return table(rows)
