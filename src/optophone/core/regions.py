"""Region features: what a detector or an encoder saw of a picture, for captioners that read these instead of pictures.

The file formats are those that extractors of bottom-up features write (Anderson et al. 2018): one `.npz` a picture with
the array `feat`, or one `.npy`. They are read without NumPy's pickle and without trusting the sizes they claim.
"""

import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from optophone.core.errors import ConfigurationError, DataError

RegionSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray
"""What `load_regions` takes: a file's name, its content, an open binary file, or an array."""

# Names of the features in a .npz, the first that is there: of JDAI's and self-critical's extractors, and of those of
# bottom-up-attention.pytorch. A file with a single array may call it anything.
_NAMES = ("feat", "features", "x")
_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_LARGEST = 1e6  # what no feature of a network reaches; sums over regions must stay finite


@dataclass(frozen=True)
class RegionSpec:
    """What a captioner without a picture encoder reads.

    Args:
        dim: D, features per region.

    Raises:
        ConfigurationError: a size that no region can have.
    """

    dim: int

    def __post_init__(self) -> None:
        if not 1 <= self.dim <= 65536:
            raise ConfigurationError(f"Regions of {self.dim} features are not possible; use 1 to 65536.")


@dataclass(frozen=True)
class RegionLimits:
    """What is refused before features are read.

    Args:
        max_bytes: size of the file, and of the array in it.
        max_regions: R.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_regions: int = 4096


def load_regions(source: RegionSource, dim: int | None = None, limits: RegionLimits = RegionLimits()) -> np.ndarray:
    """Read the region features of one picture.

    Args:
        source: a `.npz` with the array `feat` (or `features`, `x`, or one array of any name), a `.npy`, or the array
            itself: (R, D), or a grid (rows, columns, D), or (D,) for a single region.
        dim: D that is needed; None takes any.
        limits: what is refused before reading.

    Returns:
        (R, D) float32, contiguous; a grid is laid out row by row.

    Raises:
        DataError: no such file, no such array, or values that are no features.
    """
    if isinstance(source, np.ndarray):
        return _checked(source, "The array", dim, limits)
    name, content = _read(source, limits)
    if content.startswith(_ZIP):
        content = _member(content, name, limits)
    elif not content.startswith(_NPY):
        raise DataError(f"{name}: {_wanted(dim)}")
    return _checked(_array(content, name, limits), name, dim, limits)


def pad_regions(regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Features (R_i, D) of several pictures as one array (B, R, D) filled with zeros, and its mask (B, R)."""
    lengths = np.array([len(one) for one in regions])
    padded = np.zeros((len(regions), int(lengths.max()), regions[0].shape[1]), np.float32)
    for row, one in zip(padded, regions, strict=True):
        row[: len(one)] = one
    return padded, np.arange(padded.shape[1]) < lengths[:, None]


def _wanted(dim: int | None) -> str:
    """What to do with a photograph, in a line."""
    shape = "R" if dim is None else f"R × {dim}"
    return (
        f"this model takes no photographs but region features ({shape}, a .npz with 'feat', or a .npy); make them with "
        "the detector that it was trained with (optophone features), or import the model again with --encoder."
    )


def _read(source: object, limits: RegionLimits) -> tuple[str, bytes]:
    """The name for messages and the content of `source`, never more than the limit allows."""
    name = "The features"
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
    elif isinstance(source, str | os.PathLike):
        name = "".join(letter if letter.isprintable() else "?" for letter in os.fsdecode(source))
        try:
            with open(source, "rb") as file:
                content = file.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{name[:200]}: the region features cannot be read ({reason}).") from None
    elif hasattr(source, "read"):
        content = source.read(limits.max_bytes + 1)
    else:
        raise DataError(f"Region features cannot come as {type(source).__name__}; give a file name, bytes or an array.")
    if not content:
        raise DataError(f"{name}: empty (0 bytes); make or copy the features again.")
    if len(content) > limits.max_bytes:
        raise DataError(f"{name}: larger than {limits.max_bytes / 2**20:.0f} MiB, too large for features.")
    return name, content


def _member(content: bytes, name: str, limits: RegionLimits) -> bytes:
    """The .npy of the features in the content of a .npz."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = next((key for key in _NAMES if key in found), None)
            if chosen is None and len(found) == 1:
                chosen = next(iter(found))
            if chosen is None:
                raise DataError(f"{name}: has no array 'feat' (it has: {', '.join(sorted(found)[:8]) or 'nothing'}).")
            if found[chosen].file_size > limits.max_bytes:
                raise DataError(f"{name}: {chosen!r} is larger than {limits.max_bytes / 2**20:.0f} MiB.")
            return archive.read(found[chosen])
    except DataError:
        raise
    except Exception:  # zipfile, zlib, bz2 and lzma each raise their own on a stranger's bytes
        raise DataError(f"{name}: damaged or cut off; make or copy the features again.") from None


def _array(content: bytes, name: str, limits: RegionLimits) -> np.ndarray:
    """The array of a .npy, whose header must agree with its size; arrays of Python objects are refused."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, in_columns, dtype = read_header[version](stream)
    except Exception:  # NumPy hands the header to Python's tokenizer and parser, each with errors of its own
        raise DataError(f"{name}: not a NumPy array (.npy) of features.") from None
    if dtype.kind not in "fiu":
        raise DataError(f"{name}: an array of {dtype}, not of numbers.")
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > limits.max_bytes or n_bytes != len(content) - stream.tell():
        raise DataError(f"{name}: damaged or cut off; make or copy the features again.")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if in_columns else "C")


def _checked(features: np.ndarray, name: str, dim: int | None, limits: RegionLimits) -> np.ndarray:
    """`features` as (R, D) float32, or an error."""
    if features.dtype.kind not in "fiu" or features.ndim not in (1, 2, 3) or not features.size:
        raise DataError(f"{name}: {features.dtype} of shape {features.shape}, but region features are numbers (R, D).")
    features = features.reshape(-1, features.shape[-1])
    n_regions, n_features = features.shape
    if dim is not None and n_features != dim:
        raise DataError(f"{name}: regions of {n_features} features, but this model reads {dim} per region.")
    if n_regions > limits.max_regions:
        raise DataError(f"{name}: {n_regions} regions, but at most {limits.max_regions} can be read.")
    if not (np.abs(features) <= _LARGEST).all():  # also false of NaN
        raise DataError(f"{name}: holds values that are no features (not finite, or above {_LARGEST:g}).")
    return np.ascontiguousarray(features, np.float32)
