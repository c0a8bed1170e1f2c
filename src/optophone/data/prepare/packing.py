"""Pack pictures into one array per split: 55,000 small files are slow to write and slower to read at random."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from optophone.core.errors import DataError, PictureError
from optophone.core.picture import PictureSpec, load_picture, resize_picture
from optophone.core.whole_file import write_whole
from optophone.data.prepare.progress import show_progress

PICTURES_BETWEEN_SAVES = 500


def pack_pictures(path: Path, n_pictures: int, size: int, pictures: Callable[[int], Iterator[np.ndarray]]) -> None:
    """Write `path`, an uint8 array (n_pictures, size, size, 3) that can be memory-mapped.

    An interrupted run leaves `<path>.partial` and a count beside it, and the next call continues there; `path` itself
    appears when it is whole.

    Args:
        path: the .npy file; nothing is done where it exists.
        n_pictures: how many there will be.
        size: height and width in pixels.
        pictures: yields (size, size, 3) uint8 from the index it is given to the last one.

    Raises:
        DataError: the disk has no room for it.
    """
    if path.is_file():
        return
    partial = path.with_name(path.name + ".partial")
    counter = path.with_name(path.name + ".count")
    shape = (n_pictures, size, size, 3)
    n_done = _packed_so_far(partial, counter, shape)
    _require_room(path, (n_pictures - n_done) * size * size * 3)
    array = np.lib.format.open_memmap(
        partial, mode="r+" if n_done else "w+", dtype=np.uint8, shape=None if n_done else shape
    )
    remaining = show_progress(pictures(n_done), n_pictures, path.name, start=n_done)
    for index, picture in enumerate(remaining, start=n_done):
        array[index] = picture
        n_done = index + 1
        if n_done % PICTURES_BETWEEN_SAVES == 0:
            array.flush()
            write_whole(counter, str(n_done).encode())
    assert n_done == n_pictures, f"{path}: {n_done} pictures arrived, {n_pictures} were announced"
    array.flush()
    del array  # closes the file, which Windows demands before it is renamed
    os.replace(partial, path)
    counter.unlink(missing_ok=True)


def _require_room(path: Path, n_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold: a mapped file on a full disk kills the process without a word."""
    free = shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise DataError(
            f"{path}: needs {n_bytes / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; make room, give another "
            "folder, or a smaller --size."
        )


def square_picture(source: str | Path | bytes, size: int, where: str) -> np.ndarray:
    """A picture, file or bytes, squashed to (size, size, 3) uint8; a PictureError names `where`."""
    try:
        picture = load_picture(source)
    except PictureError as error:
        raise PictureError(f"{where}: {error}" if where not in str(error) else str(error)) from None
    return resize_picture(picture, PictureSpec(height=size, width=size))


def _packed_so_far(partial: Path, counter: Path, shape: tuple[int, ...]) -> int:
    """How many pictures an interrupted run left in `partial`; 0 where it does not fit `shape`."""
    try:
        n_done = int(counter.read_text())
        array = np.load(partial, mmap_mode="r")
    except (OSError, ValueError):
        return 0
    return n_done if array.shape == shape and 0 <= n_done <= shape[0] else 0
