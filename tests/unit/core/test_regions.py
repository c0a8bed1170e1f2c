"""Region features from files and arrays, and what is refused."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.regions import RegionLimits, RegionSpec, load_regions, pad_regions

FEATURES = np.random.default_rng(0).random((5, 8)).astype(np.float32)


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


@pytest.mark.parametrize("save", [
    lambda path: np.savez(path, feat=FEATURES),
    lambda path: np.savez_compressed(path, feat=FEATURES, bbox=np.zeros((5, 4))),
    lambda path: np.savez(path, x=FEATURES, bbox=np.zeros((5, 4))),
    lambda path: np.savez(path, arr=FEATURES),
    lambda path: path.write_bytes(npy(FEATURES)),
    lambda path: path.write_bytes(npy(np.asfortranarray(FEATURES))),
    lambda path: path.write_bytes(npy(FEATURES.astype(">f8"))),
])  # fmt: skip
def test_files_are_read(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "1.npz"
    save(path)
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        found = load_regions(source, 8)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, FEATURES)


def test_a_grid_becomes_rows_of_regions() -> None:
    grid = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(load_regions(grid), grid.reshape(6, 4))
    assert load_regions(np.ones(4), 4).shape == (1, 4)


def test_rows_are_filled_up_and_masked() -> None:
    padded, mask = pad_regions([FEATURES[:2], FEATURES])
    np.testing.assert_array_equal(padded[0], np.concatenate([FEATURES[:2], np.zeros((3, 8))]))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [[True] * 2 + [False] * 3, [True] * 5]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('it ran')",))


def many(n: int, claimed: int) -> bytes:
    """A .npz with `n` bytes of zeros, packed to nearly nothing, behind a header that claims `claimed` rows."""
    stream = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (claimed, 8)})
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feat.npy", header.getvalue() + bytes(n))
    return stream.getvalue()


@pytest.mark.parametrize(("content", "says"), [
    (b"", "empty"),
    (b"\xff\xd8\xff\xe0 a photo", "takes no photographs but region features (R × 8, a .npz with 'feat', or a .npy)"),
    (b"\xff\xd8\xff\xe0 a photo", "import the model again with --encoder"),
    (npy(np.array([Evil()]), pickled=True), "not of numbers"),
    (pickle.dumps(Evil()), "takes no photographs"),
    (npy(FEATURES[:, :7]), "regions of 7 features, but this model reads 8"),
    (npy(np.array(["a"])), "not of numbers"),
    (npy(np.zeros((0, 8))), "shape (0, 8)"),
    (npy(np.full((2, 8), np.nan)), "no features"),
    (npy(np.full((2, 8), np.inf)), "no features"),
    (npy(np.zeros((5000, 8))), "5000 regions, but at most 4096"),
    (npy(np.zeros((2, 2, 2, 8))), "shape (2, 2, 2, 8)"),
    (npy(FEATURES)[:-4], "damaged or cut off"),
    (npy(FEATURES)[:20], "not a NumPy array"),
    (b"\x93NUMPY\x09\x00aaaa", "not a NumPy array"),
    (b"PK\x03\x04 nothing", "damaged or cut off"),
    (many(100 * 2**20, 3 * 2**20), "larger than 64 MiB"),
    (many(32, 10**12), "damaged or cut off"),
])  # fmt: skip
def test_what_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(DataError) as caught:
        load_regions(content, 8)
    assert says in str(caught.value)


def test_several_arrays_without_the_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", a=FEATURES, b=FEATURES)
    with pytest.raises(DataError, match=r"1\.npz: has no array 'feat' \(it has: a, b\)"):
        load_regions(tmp_path / "1.npz")


def test_missing_and_large_files_and_other_things(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_regions(tmp_path / "none.npz")
    with pytest.raises(DataError, match="larger than"):
        load_regions(bytes(2000), limits=RegionLimits(max_bytes=1000))
    with pytest.raises(DataError, match="cannot come as int"):
        load_regions(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="0 features"):
        RegionSpec(0)
