"""When the words and phones of a speech data set are said: a column beside its manifests.

A folder that `optophone prepare alignments SPEECH FOLDER` wrote is a data set of its own (see `data.manifest`):

- `<split>.jsonl`: a row for each utterance that could be aligned, {"id", "words", "phones"}. "id" is that of the
  utterance in the speech data set; "words" and "phones" are lists of [label, start, end] in seconds, rising, with the
  pauses left out.
- `<split>.left-out.jsonl`: the others, {"id", "reason"}.
- `dataset.json`: its options are {"speech", "splits", "limit", "aligner"}: the hash of the speech data set, what was
  asked for, and who aligned.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.core.spans import Span, SpokenSpans
from optophone.data.manifest import Dataset, Row, read_dataset, read_manifest

NAME = "alignments"
LEFT_OUT = ".left-out.jsonl"


@dataclass(frozen=True)
class AlignmentColumn:
    """When what is said in a speech data set.

    Attributes:
        dataset: the folder with manifests.
    """

    dataset: Dataset

    def spans(self, split: str) -> dict[str, SpokenSpans]:
        """Utterance id → its words and phones, of the utterances that could be aligned."""
        return {row["id"]: self._read(row) for row in self.dataset.rows(split)}

    def left_out(self, split: str) -> dict[str, str]:
        """Utterance id → why it could not be aligned."""
        rows = read_manifest(self.dataset.folder / f"{split}{LEFT_OUT}")
        return {row["id"]: str(row.get("reason")) for row in rows}

    def check_speech(self, speech: Dataset) -> None:
        """Refuse alignments of other speech than this.

        Raises:
            DataError: the column was made of another data set.
        """
        if self.dataset.options.get("speech") != speech.hash():
            raise DataError(f"{self.dataset.folder}: holds alignments of other speech than {speech.folder}; make them.")

    def _read(self, row: Row) -> SpokenSpans:
        words, phones = (self._spans(row, name) for name in ("words", "phones"))
        return SpokenSpans(words, phones)

    def _spans(self, row: Row, name: str) -> tuple[Span, ...]:
        try:
            spans = tuple(Span(str(label), float(start), float(end)) for label, start, end in row[name])
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{self.dataset.folder}: {row['id']} has no {name} with times; make it again.") from None
        if any(span.start_s < 0 or span.end_s < span.start_s for span in spans):
            raise DataError(f"{self.dataset.folder}: {row['id']} has {name} that end before they begin; make it again.")
        return spans


def read_alignment_column(folder: str | Path) -> AlignmentColumn:
    """The column in `folder`.

    Raises:
        DataError: unfinished, damaged, or another data set.
    """
    dataset = read_dataset(folder)
    if dataset.name != NAME:
        raise DataError(f"{folder}: no alignments but {dataset.name!r}; make them with optophone prepare alignments.")
    return AlignmentColumn(dataset)


def alignment_fields(spans: SpokenSpans) -> dict[str, Any]:
    """What is written of an utterance: {"words", "phones"}."""
    return {name: [list(span) for span in part] for name, part in (("words", spans.words), ("phones", spans.phones))}
