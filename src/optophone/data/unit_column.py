"""The units of a speech data set: a column beside its manifests, made once and read by every training.

A folder that `optophone units DATASET -m BUNDLE -o FOLDER` wrote is a data set of its own (see `data.manifest`), with
the splits of the speech:

- `<split>.jsonl`: a row for each utterance, in the order of the speech, {"id", "units", "lengths", "picture_id"}.
  "id" is that of the utterance, and finds its audio in the speech data set. "units" is text: symbols of the
  vocabulary with spaces between, which `Vocabulary.encode` reads. "lengths" says for how many frames each of them
  lasts, only where `run_length` is "lossless". "picture_id" is there where the speech has it.
- `vocabulary.json`: of kind "units".
- `dataset.json`: its options are {"run_length", "unit_s", "quantizer", "encoder", "content", "speech"}: how runs are
  written ("collapsed", "lossless", or "off" for a unit every frame), the seconds of a frame, the position in the
  encoder's network or null, the encoder's name and content hash, and the hash of the speech data set.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from optophone.core.errors import DataError, VocabularyError
from optophone.core.units import collapse, expand
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import Dataset, Row, read_dataset

RunLength = Literal["collapsed", "lossless", "off"]
NAME = "units"
VOCABULARY = "vocabulary.json"
_LONGEST_RUN = 1_000_000  # frames; an hour has a fifth of them


@dataclass(frozen=True)
class UnitColumn:
    """The units of a speech data set.

    Attributes:
        dataset: the folder with manifests.
        vocabulary: of the units.
        run_length: how runs are written in it.
        unit_s: seconds that a frame lasts.
    """

    dataset: Dataset
    vocabulary: Vocabulary
    run_length: RunLength
    unit_s: float

    def texts(self, split: str) -> dict[str, str]:
        """Utterance id → its units without repetition, as text: what captioners write and voices read."""
        return {row["id"]: self._collapsed(row) for row in self._rows(split)}

    def captions(self, split: str) -> dict[str, list[str]]:
        """Picture id → the texts of the utterances about it, in their order.

        Raises:
            DataError: the speech is about no pictures.
        """
        found: dict[str, list[str]] = {}
        for row in self._rows(split):
            if "picture_id" not in row:
                raise DataError(
                    f"{self.dataset.folder}: {row['id']} is about no picture; give units of spoken captions."
                )
            found.setdefault(row["picture_id"], []).append(self._collapsed(row))
        return found

    def frames(self, split: str) -> dict[str, np.ndarray]:
        """Utterance id → ids (S,) int64 of `vocabulary`, one for every `unit_s` of its sound.

        Raises:
            DataError: the column was written without lengths.
        """
        if self.run_length == "collapsed":
            raise DataError(
                f"{self.dataset.folder}: was written without lengths; use optophone units --run-length lossless."
            )
        return {row["id"]: self._frames(row) for row in self._rows(split)}

    def check_speech(self, speech: Dataset) -> None:
        """Refuse units of other speech than this.

        Raises:
            DataError: the column was made of another data set.
        """
        if self.dataset.options.get("speech") != speech.hash():
            raise DataError(
                f"{self.dataset.folder}: holds the units of other speech than {speech.folder}; make them of it."
            )

    def _rows(self, split: str) -> list[Row]:
        rows = self.dataset.rows(split)
        for row in rows:
            if not isinstance(row.get("units"), str) or not row["units"]:
                raise DataError(f"{self.dataset.folder}: {row['id']} of {split} has no units; write the column again.")
        return rows

    def _collapsed(self, row: Row) -> str:
        if self.run_length != "off":
            return row["units"]
        return self.vocabulary.decode(collapse(self._ids(row)).units)

    def _frames(self, row: Row) -> np.ndarray:
        ids = np.array(self._ids(row), np.int64)
        if self.run_length == "off":
            return ids
        lengths: Any = row.get("lengths")
        fits = (
            isinstance(lengths, list)
            and len(lengths) == len(ids)
            and all(type(n) is int and 0 < n <= _LONGEST_RUN for n in lengths)
        )
        if not fits:
            raise DataError(f"{self.dataset.folder}: {row['id']} has lengths that do not fit its units.")
        return expand(ids, lengths)

    def _ids(self, row: Row) -> list[int]:
        try:
            return self.vocabulary.encode(row["units"])
        except VocabularyError as error:
            raise DataError(f"{self.dataset.folder}: {row['id']}: {error}") from None


def read_unit_column(folder: str | Path) -> UnitColumn:
    """The column in `folder`.

    Raises:
        DataError: unfinished, damaged, or another data set.
        VocabularyError: its vocabulary is missing or none.
    """
    dataset = read_dataset(folder)
    run_length: Any = dataset.options.get("run_length")
    unit_s: Any = dataset.options.get("unit_s")
    if dataset.name != NAME or run_length not in get_args(RunLength) or not isinstance(unit_s, int | float):
        raise DataError(f"{folder}: no column of units but {dataset.name!r}; make one with optophone units.")
    return UnitColumn(dataset, Vocabulary.load(Path(folder) / VOCABULARY), run_length, float(unit_s))


def unit_fields(ids: np.ndarray, vocabulary: Vocabulary, run_length: RunLength) -> dict[str, Any]:
    """What is written of an utterance's ids (S,): {"units"}, and {"lengths"} where that is how runs are written."""
    if run_length == "off":
        return {"units": vocabulary.decode(ids)}
    runs = collapse(ids)
    fields: dict[str, Any] = {"units": vocabulary.decode(runs.units)}
    if run_length == "lossless":
        fields["lengths"] = runs.lengths.tolist()
    return fields
