"""The work of `optophone evaluate doubt`."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from PIL import Image

from optophone.cli.caption_evaluation import data_facts, draw, part_of
from optophone.cli.progress import Progress
from optophone.core.confidence import score_features
from optophone.core.errors import DataError
from optophone.core.picture import load_picture
from optophone.core.whole_file import write_whole
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.data.non_photographs import FAMILIES
from optophone.data.picture_history import with_history
from optophone.evaluation.calibration import (
    as_good_as_people,
    cross_fitted,
    discrimination,
    error_by_chance,
    expected_calibration_error,
)
from optophone.evaluation.doubt import picture_cider, reliability, risk_coverage, share_interval
from optophone.evaluation.line_figure import Axis, Line, line_figure
from optophone.evaluation.report import command_line, table, write_result
from optophone.export.results import content_hash
from optophone.pipelines import Description
from optophone.runtime.load import load_describer

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class DoubtOptions:
    """The options of `optophone evaluate doubt`, as its help page explains them."""

    split: str
    limit: int | None
    per_family: int
    figures: Path | None
    jobs: int
    quiet: bool


@dataclass(frozen=True)
class Judged:
    """A picture as the bundle judges it: its caption in spite of all, and whether it would be refused."""

    description: Description
    refused: bool

    @property
    def photograph(self) -> float:
        """0..1 that it is a photograph."""
        assert self.description.photograph is not None
        return self.description.photograph

    @property
    def raw_confidence(self) -> float:
        """The mean log-probability per symbol: what the captioner alone would tell a photograph by."""
        return score_features(self.description.token_log_probs)[0]


class DoubtEvaluation:
    """Photographs of a split and drawn pictures, by a bundle that can refuse.

    Args:
        bundle: folder or name of a captioner's or a system's bundle.
        photographs: folder of a prepared data set with captioned photographs.
        drawn: folder written by `optophone prepare non-photographs`.
        options: how.

    Raises:
        DataError: the bundle has nothing that tells photographs from other pictures, or the data have no captions.
    """

    def __init__(self, bundle: str, photographs: Path, drawn: Path, options: DoubtOptions) -> None:
        self.part = part_of(bundle, "captioner")
        self.options = options
        self.photographs, self.drawn = read_dataset(photographs), read_dataset(drawn)
        self.rows = draw(self.photographs.rows(options.split), options.limit)
        if not all("captions" in row and "picture" in row for row in self.rows):
            raise DataError(f"{photographs}: {options.split} has no pictures with captions; give a prepared flickr8k.")
        self.describer = load_describer(self.part.folder, threads=1)
        if self.describer.detector is None:
            raise DataError(f"{self.part.folder}: has no detector of photographs; export it with --photograph.")

    def run(self, output: str | None) -> str:
        """Judge and describe everything, write what is asked for; returns the table."""
        judged = self._map(lambda row: self._judge(self.photographs, row), self.rows)
        aged = self._map(self._refused_when_aged, self.rows)
        families = self._families()
        drawn = self._map(lambda row: self._judge(self.drawn, row), [row for rows in families.values() for row in rows])
        by_family: dict[str, list[Judged]] = {}
        rest = iter(drawn)
        for family, rows in families.items():
            by_family[family] = [next(rest) for _ in rows]
        confidence = self._confidence(judged)
        scores = {**_detection(judged, aged, by_family), **confidence["scores"]}
        if output:
            write_result(output, self._result(scores, by_family, confidence))
        if self.options.figures is not None:
            self._write_figures(self.options.figures, confidence)
        return _table(scores, by_family)

    def _map(self, work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
        with Progress(len(items), self.options.quiet) as progress, ThreadPoolExecutor(self.options.jobs) as executor:
            found = []
            for one in executor.map(work, items):
                found.append(one)
                progress.advance()
        return found

    def _judge(self, dataset: Dataset, row: Row) -> Judged:
        picture = load_picture(dataset.path("picture", row), at_least=self.describer.at_least)
        description = self.describer.caption(picture, hedge=False, force=True)[0]
        return Judged(description, self._refuses(picture))

    def _refuses(self, picture: np.ndarray) -> bool:
        assert self.describer.detector is not None
        return not self.describer.detector.judge(picture).is_photograph

    def _refused_when_aged(self, row: Row) -> bool:
        """Whether the photograph is refused after scaling, cutting, compressing and so on."""
        image = Image.fromarray(load_picture(self.photographs.path("picture", row)))
        generator = np.random.default_rng([crc32(row["id"].encode()), 7])
        return self._refuses(np.asarray(with_history(image, generator, is_photograph=True)))

    def _families(self) -> dict[str, list[Row]]:
        """The first pictures of every family, those that no detector has learned from last."""
        families: dict[str, list[Row]] = {}
        for split in self.drawn.splits:
            for row in self.drawn.rows(split):
                members = families.setdefault(row["family"], [])
                if len(members) < self.options.per_family:
                    members.append(row)
        return families

    def _confidence(self, judged: Sequence[Judged]) -> dict[str, Any]:
        """Reliability and risk of confidences that were fitted on the other nine tenths of the photographs."""
        descriptions = [one.description for one in judged]
        hypotheses = {row["id"]: found.text for row, found in zip(self.rows, descriptions, strict=True)}
        references = {row["id"]: row["captions"] for row in self.rows}
        correct, _ = as_good_as_people(hypotheses, references)
        features = np.array([score_features(found.token_log_probs) for found in descriptions])
        confidences = cross_fitted(features, correct)
        cider = picture_cider(hypotheses, references)
        curve = risk_coverage(confidences, cider)
        half = next(score for share, score in curve if share >= 0.5)
        return {
            "scores": {
                "confidence_error": expected_calibration_error(confidences, correct),
                "confidence_error_by_chance": error_by_chance(confidences),
                "right_above_wrong": discrimination(confidences, correct),
                "cider_d": float(cider.mean()),
                "cider_d_surer_half": half,
            },
            "reliability": [asdict(group) for group in reliability(confidences, correct)],
            "risk_coverage": curve,
        }

    def _result(
        self, scores: dict[str, Any], by_family: dict[str, list[Judged]], confidence: dict[str, Any]
    ) -> dict[str, Any]:
        manifest = self.part.manifest
        return {
            "kind": "doubt",
            "command": command_line(),
            "bundle": {"name": manifest.name, "class": manifest.cls, "content": content_hash(manifest)},
            "data": data_facts(self.photographs, self.options.split, len(self.rows)),
            "non_photographs": {"hash": self.drawn.hash(), "pictures": sum(map(len, by_family.values()))},
            "scores": scores,
            "calibration": None,
            "families": {
                family: {"pictures": len(members), "refused": _share(members), "unseen": _is_unseen(family)}
                for family, members in by_family.items()
            },
            "reliability": confidence["reliability"],
            "risk_coverage": confidence["risk_coverage"],
        }

    def _write_figures(self, folder: Path, confidence: dict[str, Any]) -> None:
        """reliability.svg and risk-coverage.svg."""
        folder.mkdir(parents=True, exist_ok=True)
        groups = [(group["confidence"], group["share_correct"]) for group in confidence["reliability"]]
        set_name = f"{len(self.rows)} photographs of {self.photographs.name} {self.options.split}"
        figure = line_figure(
            "Is the confidence as often right as it says?",
            f"Ten groups of {set_name} by confidence; a perfect confidence lies on the dashed line.",
            Axis("confidence", 0, 1),
            Axis("share of captions that are right", 0, 1),
            [Line("found", groups), Line("perfect", [(0, 0), (1, 1)], "dashed")],
        )
        write_whole(folder / "reliability.svg", figure.encode())
        curve = confidence["risk_coverage"]
        everything = confidence["scores"]["cider_d"]
        n_steps = int(max(score for _, score in curve)) // 20 + 1
        figure = line_figure(
            "What leaving out the unsure gains",
            f"CIDEr-D when only the surest share of {set_name} is described.",
            Axis("share of photographs described", 0, 1),
            Axis("CIDEr-D × 100", 0, 20 * n_steps, n_steps + 1, decimals=0),
            [Line("surest first", curve), Line("any", [(0, everything), (1, everything)], "dashed")],
        )
        write_whole(folder / "risk-coverage.svg", figure.encode())


def _is_unseen(family: str) -> bool:
    return family not in FAMILIES or FAMILIES[family].split == "test"


def _share(members: Sequence[Judged]) -> float:
    return float(np.mean([one.refused for one in members]))


def _detection(
    judged: Sequence[Judged], aged: Sequence[bool], by_family: dict[str, list[Judged]]
) -> dict[str, float | list[float]]:
    """How well photographs are told from drawn pictures, by the detector and by the captioner's own scores."""
    drawn = [one for members in by_family.values() for one in members]
    unseen = [one for family, members in by_family.items() if _is_unseen(family) for one in members]
    if not unseen:
        raise DataError("the drawn pictures have no family that is new to the detector; prepare non-photographs again.")

    def area(others: Sequence[Judged], of: Callable[[Judged], float]) -> float:
        values = np.array([of(one) for one in (*judged, *others)])
        return discrimination(values, np.arange(len(values)) < len(judged))

    n_refused = sum(one.refused for one in judged)
    return {
        "auc": area(drawn, lambda one: one.photograph),
        "auc_unseen_families": area(unseen, lambda one: one.photograph),
        "auc_of_caption_score": area(drawn, lambda one: one.raw_confidence),
        "photographs_refused": n_refused / len(judged),
        "photographs_refused_interval": list(share_interval(n_refused, len(judged))),
        "aged_photographs_refused": float(np.mean(aged)),
        "others_refused": _share(drawn),
        "unseen_families_refused": _share(unseen),
    }


def _table(scores: dict[str, Any], by_family: dict[str, list[Judged]]) -> str:
    def percent(name: str) -> str:
        return f"{100 * scores[name]:.1f} %"

    low, high = (100 * end for end in scores["photographs_refused_interval"])
    rows = [("", "", "")]
    rows += [("photograph or not, area under curve", f"{scores['auc']:.4f}", "")]
    rows += [("  families that were never shown", f"{scores['auc_unseen_families']:.4f}", "")]
    rows += [("  by the caption's own score", f"{scores['auc_of_caption_score']:.4f}", "for comparison")]
    rows += [("photographs refused", percent("photographs_refused"), f"{low:.1f} .. {high:.1f}")]
    rows += [("  scaled, cut, compressed, darkened", percent("aged_photographs_refused"), "")]
    rows += [("drawn pictures refused", percent("others_refused"), "")]
    rows += [("  families that were never shown", percent("unseen_families_refused"), "")]
    by_chance = f"{100 * scores['confidence_error_by_chance']:.1f} by chance alone"
    rows += [("confidence off by", percent("confidence_error"), by_chance)]
    rows += [("right above wrong", percent("right_above_wrong"), "")]
    rows += [("CIDEr-D, all described", f"{scores['cider_d']:.1f}", "")]
    gain = scores["cider_d_surer_half"] - scores["cider_d"]
    rows += [("  the surer half described", f"{scores['cider_d_surer_half']:.1f}", f"{gain:+.1f}")]
    missed = sorted((_share(members), family) for family, members in by_family.items() if _share(members) < 1)
    rows += [(f"refused of {family}", f"{100 * share:.0f} %", "") for share, family in missed]
    return table(rows[1:])
