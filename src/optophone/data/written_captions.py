"""The captions of a data set in the symbols that a captioner writes, and the pictures that have them."""

from collections.abc import Sequence

from optophone.core.errors import DataError
from optophone.core.vocabulary import VocabularyKind
from optophone.data.manifest import Dataset, Row
from optophone.data.phones import caption_rows
from optophone.data.sharded_pictures import Pictures, ShardedPictures, in_shards
from optophone.data.unit_symbols import UnitSymbols


def written_rows(dataset: Dataset, split: str, symbols: VocabularyKind, units: UnitSymbols | None = None) -> list[Row]:
    """The rows of `split` with their captions as a captioner over `symbols` writes them.

    Captions in units are the spoken captions of a picture, written down; pictures that nobody speaks about are left
    out.

    Args:
        dataset: of pictures.
        split: of it.
        symbols: what captions are written in.
        units: of the speech about the pictures; for "units" alone.

    Raises:
        DataError: the speech is about none of the pictures, or phones cannot be made.
    """
    if symbols != "units":
        return caption_rows(dataset, split, symbols)
    assert units is not None, "captions in units need a column of them"
    spoken = units.captions(split)
    rows = [{**row, "captions": spoken[row["id"]]} for row in dataset.rows(split) if row["id"] in spoken]
    if not rows:
        raise DataError(
            f"{units.column.dataset.folder}: no speech of {split} is about a picture of {dataset.folder}; "
            "make the units of its spoken captions."
        )
    return rows


def pictures_of(dataset: Dataset, split: str, rows: Sequence[Row], side: int | None = None) -> Pictures:
    """The pictures (n, H, W, 3) uint8 of `rows`, which are all or some of `split`, in their order.

    Args:
        dataset: with packed pictures, or over shards.
        split: of it.
        rows: of that.
        side: pixels that pictures in shards are squashed to; None where shards are not read.

    Raises:
        DataError: the pictures are not there.
    """
    if side is not None and in_shards(rows):
        return ShardedPictures(dataset, rows, side)
    packed = dataset.array(split, "pictures")
    if len(rows) == len(packed):
        return packed
    places = {row["id"]: place for place, row in enumerate(dataset.rows(split))}
    return packed[[places[row["id"]] for row in rows]]
