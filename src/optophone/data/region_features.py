"""Region features that others computed, picture by picture: the public bottom-up TSV, and folders of .npz and .npy.

The TSV is that of Anderson et al. 2018, "Bottom-Up and Top-Down Attention": one line a picture with the columns
image_id, image_w, image_h, num_boxes, boxes and features, the last two base64 of little-endian float32. Its files have
tens of gigabytes; they are read a line at a time. Nothing is unpickled.
"""

import base64
import binascii
from collections.abc import Container, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from optophone.core.errors import DataError
from optophone.core.regions import RegionLimits, load_regions

COLUMNS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
ARRAY_FILES = (".npz", ".npy")
DEFAULT_LIMITS = RegionLimits()


class PictureRegions(NamedTuple):
    """The regions of one picture.

    Args:
        id: the picture's, as the file says it, or the file's name without its ending.
        features: (R, D) float32.
        boxes: (R, 4) float32, left, top, right, bottom in pixels; None where the file has none.
    """

    id: str
    features: np.ndarray
    boxes: np.ndarray | None


def read_region_features(
    source: Path, known: Container[str] = (), limits: RegionLimits = DEFAULT_LIMITS
) -> Iterator[PictureRegions]:
    """The regions of every picture in `source`.

    Args:
        source: a TSV file; a folder with such files (`*.tsv`, `*.tsv.0` …); or a folder with a `.npz` or `.npy` a
            picture, named after it.
        known: ids of pictures that are passed over without being decoded.
        limits: what is refused before reading.

    Raises:
        DataError: nothing to read, or a damaged file or line, which is named.
    """
    if source.is_file():
        yield from read_tsv(source, known, limits)
        return
    files = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else []
    tables = [path for path in files if ".tsv" in path.suffixes]
    arrays = [path for path in files if path.suffix in ARRAY_FILES]
    if bool(tables) == bool(arrays):
        found = "both .tsv and .npz or .npy files" if tables else "no .tsv file and no .npz or .npy files"
        raise DataError(f"{source}: {found}; give a file or folder of one kind.")
    for path in tables:
        yield from read_tsv(path, known, limits)
    for path in arrays:
        if path.stem not in known:
            yield PictureRegions(path.stem, load_regions(path, limits=limits), None)


def read_tsv(path: Path, known: Container[str] = (), limits: RegionLimits = DEFAULT_LIMITS) -> Iterator[PictureRegions]:
    """The regions of every line of a bottom-up TSV; a first line with the names of the columns is passed over.

    Raises:
        DataError: the file cannot be read; or a line, named by its number, is too long, lacks a column, or holds
            something else than finite features of as many regions as it says.
    """
    try:
        with open(path, "rb") as file:
            for number, line in _lines(file, path, limits):
                picture = line.split(b"\t", 1)[0].decode("utf-8", "replace").strip()
                if picture in known or (number == 1 and picture == COLUMNS[0]):
                    continue
                yield _parse_line(line, picture, f"{path}:{number}", limits)
    except OSError as error:
        raise DataError(f"{path}: the region features cannot be read ({error.strerror}).") from None


def _lines(file: BinaryIO, path: Path, limits: RegionLimits) -> Iterator[tuple[int, bytes]]:
    """Number and content of the lines that are not empty, none longer than the limit."""
    number = 0
    while line := file.readline(limits.max_bytes + 1):
        number += 1
        if len(line) > limits.max_bytes:
            raise DataError(f"{path}:{number}: a line of more than {limits.max_bytes / 2**20:.0f} MiB; is this a TSV?")
        if line.strip():
            yield number, line.rstrip(b"\r\n")


def _parse_line(line: bytes, picture: str, where: str, limits: RegionLimits) -> PictureRegions:
    fields = line.split(b"\t")
    if len(fields) != len(COLUMNS) or not picture:
        wanted = ", ".join(COLUMNS)
        raise DataError(f"{where}: {len(fields)} columns instead of {len(COLUMNS)} ({wanted}); damaged or cut off.")
    named = dict(zip(COLUMNS, fields, strict=True))
    width, height, n_regions = (_count(named[name], name, where) for name in ("image_w", "image_h", "num_boxes"))
    if n_regions > limits.max_regions:
        raise DataError(f"{where}: {n_regions} regions, but at most {limits.max_regions} can be read.")
    boxes = _floats(named["boxes"], "boxes", n_regions, where)
    features = _floats(named["features"], "features", n_regions, where)
    if boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise DataError(f"{where}: {boxes.size} numbers are no boxes of {n_regions} regions in {width} x {height}.")
    try:
        features = load_regions(features, limits=limits)
    except DataError as error:
        raise DataError(f"{where}: {str(error).removeprefix('The array: ')}") from None
    return PictureRegions(picture, features, boxes)


def _count(field: bytes, name: str, where: str) -> int:
    text = field.strip()
    if not (text.isdigit() and len(text) < 10 and int(text)):
        raise DataError(f"{where}: {name} is {field[:20].decode('utf-8', 'replace')!r}, expected a positive number.")
    return int(text)


def _floats(field: bytes, name: str, n_regions: int, where: str) -> np.ndarray:
    """(R, ·) float32 from base64."""
    try:
        content = base64.b64decode(field, validate=True)
    except binascii.Error as error:
        raise DataError(f"{where}: {name} are not base64 ({error}); damaged or cut off.") from None
    if not content or len(content) % (4 * n_regions):
        raise DataError(f"{where}: {name} have {len(content)} bytes, which {n_regions} regions cannot share.")
    return np.frombuffer(content, "<f4").astype(np.float32).reshape(n_regions, -1)
