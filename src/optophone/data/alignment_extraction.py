"""Speech data set → column of alignments, part by part, so that it may be killed at any moment and goes on."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import AudioError, DataError
from optophone.core.spans import SpokenSpans
from optophone.data.alignment_column import LEFT_OUT, NAME, AlignmentColumn, alignment_fields, read_alignment_column
from optophone.data.manifest import Dataset, Row, read_manifest, write_manifest
from optophone.data.prepare.preparation import Preparation

PARTS_FOLDER = "parts"
# (wave, sample rate, text) of utterances → the spans of each, or why there are none.
AlignAll = Callable[[Iterable[tuple[np.ndarray, int, str]]], Iterator[SpokenSpans | str]]


@dataclass(frozen=True)
class AlignmentPart:
    """Some rows of a split, and the file that their alignments go to."""

    path: Path
    split: str
    rows: tuple[Row, ...]


class AlignmentExtraction:
    """The making of a column.

    Args:
        speech: a prepared speech data set with texts.
        out: the folder to write, new or left by an interrupted run with the same arguments.
        align_all: who aligns.
        rows: split → the rows of it that are wanted.
        request: what decides the rows and the times, for `dataset.json`: {"splits", "limit", "aligner"}.
        rows_per_part: utterances that a kill loses at most.

    Raises:
        DataError: `out` holds something else or was begun with other arguments, or a row has no audio or text.
    """

    def __init__(
        self,
        speech: Dataset,
        out: Path,
        align_all: AlignAll,
        rows: Mapping[str, Sequence[Row]],
        request: Mapping[str, Any],
        rows_per_part: int = 100,
    ) -> None:
        assert rows_per_part > 0
        for split, wanted in rows.items():
            mute = next((row["id"] for row in wanted if "audio" not in row or "text" not in row), None)
            if mute is not None:
                raise DataError(f"{speech.folder}: {mute} of {split} has no audio with text; give a speech data set.")
        self.speech, self.out, self.align_all, self.splits = speech, out, align_all, list(rows)
        options = {"speech": speech.hash(), **request, "rows_per_part": rows_per_part}
        self.preparation = Preparation(NAME, speech.folder, out, options)
        self.is_finished = self.preparation.begin() is not None
        self.parts = [
            AlignmentPart(out / PARTS_FOLDER / f"{split}-{i:06d}.jsonl", split, tuple(wanted[i : i + rows_per_part]))
            for split, wanted in rows.items()
            for i in range(0, len(wanted), rows_per_part)
        ]

    def missing(self) -> list[AlignmentPart]:
        """The parts that are not written yet."""
        return [] if self.is_finished else [part for part in self.parts if not part.path.is_file()]

    def write(self, part: AlignmentPart) -> Iterator[Row]:
        """Align a part; its rows as they are done. The file is written once all of them have been taken."""
        reasons: dict[str, str] = {}
        found: list[dict[str, Any]] = []
        sounds = list(self._sounds(part, reasons))
        aligned = self.align_all(sound for _, sound in sounds)
        for (row, _), spans in zip(sounds, aligned, strict=True):
            if isinstance(spans, str):
                reasons[row["id"]] = spans
            else:
                found.append({"id": row["id"], **alignment_fields(spans)})
            yield row
        bad = [{"id": name, "reason": reason} for name, reason in reasons.items()]
        part.path.parent.mkdir(exist_ok=True)
        write_manifest(part.path, [*found, *bad])

    def finish(self) -> AlignmentColumn:
        """Join the parts, which must all be there; from now on the folder counts as finished."""
        if not self.is_finished:
            for split in self.splits:
                rows = [row for part in self.parts if part.split == split for row in read_manifest(part.path)]
                write_manifest(self.out / f"{split}.jsonl", [row for row in rows if "reason" not in row])
                write_manifest(self.out / f"{split}{LEFT_OUT}", [row for row in rows if "reason" in row])
            self.preparation.finish(self.splits, f"alignments of {self.speech.name}", self.speech.licence)
            self.is_finished = True
        shutil.rmtree(self.out / PARTS_FOLDER, ignore_errors=True)
        return read_alignment_column(self.out)

    def _sounds(
        self, part: AlignmentPart, reasons: dict[str, str]
    ) -> Iterator[tuple[Row, tuple[np.ndarray, int, str]]]:
        for row in part.rows:
            try:
                wave, sample_rate = self.speech.wave(row)
            except AudioError:
                reasons[row["id"]] = "the sound cannot be read"
                continue
            yield row, (wave, sample_rate, row["text"])
