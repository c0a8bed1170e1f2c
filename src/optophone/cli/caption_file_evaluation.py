"""The work of `optophone evaluate caption-file` and `compare`: captions that were made elsewhere, or before."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from optophone.cli.caption_scoring import CaptionScoring, ScoringOptions, text_table
from optophone.core.errors import DataError
from optophone.data.manifest import DATASET_FILE, Dataset, read_dataset
from optophone.data.sharded_pictures import picture_files
from optophone.evaluation.coco_captions import read_coco_references, read_coco_results
from optophone.evaluation.comparison import Difference, compare_results, read_caption_result
from optophone.evaluation.metric import METRICS
from optophone.evaluation.report import command_line, table, write_result


class CaptionFileEvaluation:
    """Captions from a file, against the references of a COCO file or of a prepared data set.

    Args:
        results: file of captions.
        references: COCO's captions_*.json, or the folder of a prepared data set.
        split: of the data set.
        partial: score the pictures that have a caption, and leave the others out.
        pictures: folder of the pictures, for the page; None where the data set knows them.
        options: how to score.
    """

    def __init__(
        self,
        results: Path,
        references: Path,
        split: str,
        partial: bool,
        pictures: Path | None,
        options: ScoringOptions,
    ) -> None:
        self.results, self.source, self.options = results, references, options
        self.hypotheses = read_coco_results(results)
        self.dataset: Dataset | None = None
        if (references / DATASET_FILE).is_file() or references.is_dir():
            self.dataset = read_dataset(references)
            rows = self.dataset.rows(split)
            if not all("captions" in row for row in rows):
                raise DataError(f"{references}: {split} has no captions.")
            self.references = {row["id"]: row["captions"] for row in rows}
            self.pictures = picture_files(self.dataset, rows)
        else:
            self.references, files = read_coco_references(references)
            self.pictures = {name: pictures / file for name, file in files.items()} if pictures else {}
        if partial:
            self.references = {name: some for name, some in self.references.items() if name in self.hypotheses}

    def run(self, output: str | None) -> str:
        """Score, write `output` and the page if asked for; returns the table."""
        scoring = CaptionScoring(self.hypotheses, self.references, self.options, self.dataset)
        rows = scoring.rows()
        if output:
            write_result(output, self._result(scoring))
        title = f"Captions of {self.results.name}"
        facts = {"References": str(self.source), "Command": command_line()}
        scoring.write_report(title, facts, rows, self.pictures)
        return text_table(rows)

    def _result(self, scoring: CaptionScoring) -> dict[str, Any]:
        return {
            "kind": "caption file",
            "command": command_line(),
            "data": {"captions": str(self.results), "references": str(self.source), "rows": len(self.hypotheses)},
            **scoring.facts(),
            **scoring.figures(),
        }


def compare(first: Path, second: Path, output: str | None) -> str:
    """The differences of two result files as a table; writes `output` if given."""
    one, other = read_caption_result(first), read_caption_result(second)
    differences = compare_results(one, other)
    if output:
        files = {"first": str(first), "second": str(second), "n_pictures": len(one.captions)}
        found = {"kind": "comparison", "command": command_line(), **files}
        write_result(output, {**found, "differences": [asdict(difference) for difference in differences]})
    return "\n".join([table([_HEAD, *map(_row, differences)]), "", _READING.format(n=len(one.captions))])


_HEAD = ("", "first", "second", "difference", "95 % interval", "second better")
_READING = "{n} pictures, drawn again 1,000 times for both alike. A difference is sure where its interval leaves out 0."


def _row(difference: Difference) -> tuple[str, ...]:
    low, high = difference.interval
    return (
        METRICS[difference.metric].label,
        f"{difference.first:.1f}",
        f"{difference.second:.1f}",
        f"{difference.difference:+.1f}",
        f"{low:+.1f} .. {high:+.1f}",
        f"{100 * difference.second_better:.1f} %",
    )
