"""Region features of others in one array that can be memory-mapped: 120,000 files, or lines of base64, are slow."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

import numpy as np

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.packed_regions import REGIONS_FILE, SPLIT
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress
from optophone.data.region_features import PictureRegions, read_region_features

Precision = Literal["float16", "float32"]
LICENCE = "As the region features and their pictures."


class Packed(NamedTuple):
    """What an interrupted run left: the rows of the pictures that are packed, and the features per region."""

    rows: list[dict[str, Any]]
    dim: int | None


def prepare_region_features(source: str | Path, out: str | Path, precision: Precision = "float16") -> Dataset:
    """Read region features at `source` and write `out`: one array and the place of each picture's regions in it.

    Rows of the only split, "all", are {"id", "offset", "n_regions"}; `all.regions.npy` is (total, D). `PackedRegions`
    finds them. Of a picture that is there twice, as extractors that were started again leave some, the first is taken.
    Does nothing where `out` is finished; continues where it was interrupted.

    Args:
        source: a bottom-up TSV, a folder of them, or a folder of `.npz` or `.npy` files.
        out: the folder to write.
        precision: half of the size, or every digit.

    Raises:
        DataError: `source` holds no features, is damaged, has regions of different sizes or values too large for
            `precision`; or `out` holds something else.
    """
    source, out = Path(source), Path(out)
    if precision not in get_args(Precision):
        raise DataError(f"--precision {precision}: choose one of {', '.join(get_args(Precision))}.")
    folder, file = (source.parent, source.name) if source.is_file() else (source, None)
    preparation = Preparation("region-features", folder, out, {"precision": precision, "file": file})
    finished = preparation.begin()
    if finished:
        return finished
    array, manifest = out / (REGIONS_FILE + ".partial"), out / f"{SPLIT}.jsonl.partial"
    packed = _packed_so_far(array, manifest, np.dtype(precision))
    seen = {row["id"] for row in packed.rows}
    _pack(read_region_features(source, seen), packed, seen, array, manifest, np.dtype(precision))
    if not seen:
        raise DataError(f"{source}: no region features in it.")
    os.replace(array, out / REGIONS_FILE)
    os.replace(manifest, out / f"{SPLIT}.jsonl")
    return preparation.finish([SPLIT], "bottom-up TSV or NumPy arrays", LICENCE)


def _pack(
    pictures: Iterable[PictureRegions], packed: Packed, seen: set[str], array: Path, manifest: Path, dtype: np.dtype
) -> None:
    """Add `pictures` to what is packed, and their ids to `seen`, which the reader of `pictures` looks at.

    The features of a picture are on their way to the disk before its row is, so a row always has its features.
    """
    total, dim = sum(row["n_regions"] for row in packed.rows), packed.dim
    with open(array, "r+b" if dim else "wb") as features, open(manifest, "ab" if dim else "wb") as rows:
        for picture in show_progress(pictures, None, "pictures", len(seen)):
            seen.add(picture.id)
            if dim is None:
                dim = picture.features.shape[1]
                _write_header(features, (0, dim), dtype)
            n_regions = _add(features, picture, dim, dtype)
            features.flush()
            rows.write(json.dumps({"id": picture.id, "offset": total, "n_regions": n_regions}).encode() + b"\n")
            rows.flush()
            total += n_regions
        if dim is not None:
            features.seek(0)
            _write_header(features, (total, dim), dtype)
        for file in (features, rows):
            file.flush()
            os.fsync(file.fileno())


def _add(file: BinaryIO, picture: PictureRegions, dim: int, dtype: np.dtype) -> int:
    """Append the features of a picture; returns its number of regions."""
    if picture.features.shape[1] != dim:
        raise DataError(f"{picture.id}: regions of {picture.features.shape[1]} features, those before have {dim}.")
    if np.abs(picture.features).max() > np.finfo(dtype).max:
        raise DataError(f"{picture.id}: features too large for float16; use --precision float32 and another folder.")
    file.seek(0, os.SEEK_END)
    file.write(picture.features.astype(dtype).tobytes())
    return len(picture.features)


def _write_header(file: BinaryIO, shape: tuple[int, int], dtype: np.dtype) -> None:
    """The beginning of a .npy; NumPy leaves room in it for the first size to grow, so it can be written over."""
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)


def _packed_so_far(array: Path, manifest: Path, dtype: np.dtype) -> Packed:
    """What an interrupted run left; whatever has no row is cut off, and nothing is kept of files that do not fit."""
    rows: list[dict[str, Any]] = []
    try:
        for line in manifest.read_bytes().split(b"\n")[:-1]:  # after the last newline stands nothing, or half a row
            rows.append(json.loads(line))
        with open(array, "r+b") as file:
            np.lib.format.read_magic(file)
            dim = np.lib.format.read_array_header_1_0(file)[0][1]
            end = file.tell() + sum(row["n_regions"] for row in rows) * dim * dtype.itemsize
            if not rows or array.stat().st_size < end:
                return Packed([], None)
            file.truncate(end)
    except (OSError, ValueError, KeyError, TypeError):
        return Packed([], None)
    with open(manifest, "wb") as kept:
        kept.writelines(json.dumps(row).encode() + b"\n" for row in rows)
    return Packed(rows, dim)
