"""The units of a column as symbols: what a captioner learns to write and an acoustic model to read."""

from dataclasses import dataclass
from pathlib import Path

from optophone.core.errors import DataError
from optophone.core.unit_origin import UnitOrigin, UnitRuns
from optophone.core.vocabulary import Vocabulary
from optophone.data.unit_column import UnitColumn, read_unit_column


@dataclass(frozen=True)
class UnitSymbols:
    """A column, with the way in which lasting units are written.

    Args:
        column: the units of a speech data set.
        run_length: "collapsed" writes a lasting unit once; "off" once a frame, which needs a column with lengths.
    """

    column: UnitColumn
    run_length: UnitRuns = "collapsed"

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the units: the encoder's own, so that all parts over a column agree."""
        return self.column.vocabulary

    @property
    def origin(self) -> UnitOrigin:
        """Whose units they are."""
        options = self.column.dataset.options
        return UnitOrigin(
            encoder=str(options.get("encoder", self.column.dataset.name)),
            content=str(options.get("content", self.column.dataset.hash())),
            quantizer=options.get("quantizer"),
            unit_s=self.column.unit_s,
            run_length=self.run_length,
        )

    def texts(self, split: str) -> dict[str, str]:
        """Utterance id → its units as text.

        Raises:
            DataError: frames are asked for and the column has no lengths.
        """
        if self.run_length == "collapsed":
            return self.column.texts(split)
        return {name: self.vocabulary.decode(ids) for name, ids in self.column.frames(split).items()}

    def captions(self, split: str) -> dict[str, list[str]]:
        """Picture id → the texts of the utterances about it, in their order.

        Raises:
            DataError: the speech is about no pictures, or frames are asked for and the column has no lengths.
        """
        found = self.column.captions(split)
        if self.run_length == "collapsed":
            return found
        texts = self.texts(split)
        found = {picture: [] for picture in found}
        for row in self.column.dataset.rows(split):
            found[row["picture_id"]].append(texts[row["id"]])
        return found


def read_unit_symbols(folder: str | Path, run_length: UnitRuns = "collapsed") -> UnitSymbols:
    """The units in `folder`, a column that `optophone units` wrote.

    Raises:
        DataError: unfinished, damaged, without start and end symbols, or something else.
    """
    column = read_unit_column(folder)
    if column.vocabulary.kind != "units" or column.vocabulary.start is None or column.vocabulary.end is None:
        raise DataError(
            f"{folder}: its vocabulary has no start and end symbols; write the column with optophone units."
        )
    return UnitSymbols(column, run_length)
