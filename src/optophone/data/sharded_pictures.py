"""Pictures that lie in tar shards, for training: decoded when they are asked for, as if they were packed.

The rows of such a data set name a shard and the place of their picture in it (`optophone prepare shards`); the shards
stay as they are. A picture is read and decoded as the runtime does it and squashed to one size, so it is what packing
would have made of it, except that a JPEG of many pixels comes at a fraction of its size, as it does in use.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from optophone.core.errors import DataError, PictureError
from optophone.core.picture import PictureLimits, PictureSpec, enough_pixels, load_picture, resize_picture
from optophone.data.manifest import SHARDS, Dataset, Row
from optophone.data.shards import Place, read_place

MAX_OPEN = 32  # files at a time; a step needs as many shards as are mixed, and opening is cheap beside decoding


class Pictures(Protocol):
    """n pictures (n, H, W, 3) uint8 of one size: a packed array, or what decodes them when they are asked for."""

    def __len__(self) -> int:
        """n."""
        ...

    def __getitem__(self, places: Any, /) -> np.ndarray:
        """Those (B, H, W, 3) at `places`: an array (B,) of int, or a slice."""
        ...


class OpenShards:
    """Shards that were opened last, so that not every picture opens one, and never more than some at a time."""

    def __init__(self, most: int = MAX_OPEN) -> None:
        self.most = most
        self._files: OrderedDict[Path, BinaryIO] = OrderedDict()

    def read(self, path: Path, place: Place) -> bytes:
        """What lies at `place` of the shard `path`.

        Raises:
            DataError: the shard cannot be read, or something else lies there.
        """
        if path not in self._files:
            while len(self._files) >= self.most:
                self._files.popitem(last=False)[1].close()
            self._files[path] = _open(path)
        self._files.move_to_end(path)
        return read_place(self._files[path], str(path), place)

    def close(self) -> None:
        """Close them; they are opened again when they are needed."""
        while self._files:
            self._files.popitem()[1].close()


class ShardedPictures:
    """The pictures (n, side, side, 3) uint8 of some rows; what packed pictures are, as far as training needs it.

    Args:
        dataset: over shards.
        rows: of one of its splits.
        side: pixels that pictures are squashed to.

    Attributes:
        shards: number of the shard of each picture; two pictures of the same number lie in the same file.

    Raises:
        DataError: a shard is not there or has another size than it had, or a row does not say where its picture is.
    """

    def __init__(self, dataset: Dataset, rows: Sequence[Row], side: int) -> None:
        self.dataset, self.rows, self.spec = dataset, rows, PictureSpec(side, side)
        self._open = OpenShards()
        numbers: dict[str, int] = {}
        for row in rows:
            place_of(dataset, row)
        self.shards = [numbers.setdefault(row["picture"], len(numbers)) for row in rows]
        check_shards(dataset, numbers)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """The pictures (B, side, side, 3) uint8 at `places`.

        Raises:
            DataError: a shard was changed, or its picture cannot be decoded.
        """
        chosen = range(len(self))[places] if isinstance(places, slice) else places
        pictures = np.empty((len(chosen), self.spec.height, self.spec.width, 3), np.uint8)
        for picture, place in zip(pictures, chosen, strict=True):
            picture[:] = self._picture(self.rows[place])
        return pictures

    def _picture(self, row: Row) -> np.ndarray:
        path = shard_of(self.dataset, row)
        content = self._open.read(path, place_of(self.dataset, row))
        try:
            return resize_picture(load_picture(content, at_least=enough_pixels(self.spec)), self.spec)
        except PictureError as error:
            raise DataError(f"{path}: {row['id']!a}: {error}") from None


def in_shards(rows: Sequence[Row]) -> bool:
    """Whether the pictures of `rows` lie in shards."""
    return bool(rows) and "picture" in rows[0] and "n_bytes" in rows[0]


def picture_of(dataset: Dataset, row: Row) -> Path | bytes:
    """The picture of `row` for `load_picture`: its file, or its content where it lies in a shard.

    Raises:
        DataError: the shard cannot be read or was changed.
    """
    if not in_shards([row]):
        return dataset.path("picture", row)
    path = shard_of(dataset, row)
    with _open(path) as file:
        return read_place(file, str(path), place_of(dataset, row))


def picture_files(dataset: Dataset, rows: Sequence[Row]) -> dict[str, Path]:
    """Id → file of the pictures of `rows` that have files of their own."""
    return {row["id"]: dataset.path("picture", row) for row in rows if "picture" in row and not in_shards([row])}


def shard_of(dataset: Dataset, row: Row) -> Path:
    """The shard in which the picture of `row` lies."""
    return dataset.root("picture") / row["picture"]


def place_of(dataset: Dataset, row: Row) -> Place:
    """Where the picture of `row` lies in its shard.

    Raises:
        DataError: the row does not say so, or names a place where no picture can be.
    """
    place = Place(row.get("offset", -1), row.get("n_bytes", -1), row.get("sha256", ""))
    if "picture" not in row or place.offset < 0 or not 0 <= place.n_bytes <= PictureLimits().max_bytes:
        raise DataError(f"{dataset.folder}: {row['id']!a} lacks its place in a shard; prepare the shards again.")
    return place


def check_shards(dataset: Dataset, names: Mapping[str, int]) -> None:
    """Refuse to begin with shards that are not there, or whose size changed since they were indexed."""
    splits = dataset.options.get(SHARDS)
    sizes = [split for split in splits.values() if isinstance(split, dict)] if isinstance(splits, dict) else []
    known = {name: size for split in sizes for name, size in split.items()}
    for name in names:
        path = dataset.root("picture") / name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{path}: cannot read the shard ({error.strerror}); put it back, or prepare the shards again."
            ) from None
        if size != known.get(name):
            raise DataError(
                f"{path}: has {size} bytes and had {known.get(name)} when it was indexed; prepare the shards again."
            )


def _open(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{path}: cannot read the shard ({error.strerror}).") from None
