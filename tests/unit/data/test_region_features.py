"""Region features of others: what is read, and what is refused with file and line."""

import base64
from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.regions import RegionLimits
from optophone.data.region_features import read_region_features, read_tsv


def encoded(values: np.ndarray) -> bytes:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes())


def line(picture: str, features: np.ndarray, boxes: np.ndarray | None = None, n: object = None) -> bytes:
    """One line as the extractor writes it."""
    boxes = np.arange(4.0 * len(features)).reshape(-1, 4) if boxes is None else boxes
    fields = [picture.encode(), b"640", b"480", str(n or len(features)).encode(), encoded(boxes), encoded(features)]
    return b"\t".join(fields)


def features(n: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("header", [b"", b"image_id\timage_w\timage_h\tnum_boxes\tboxes\tfeatures\n", b"\n"])
def test_a_tsv_is_read_line_by_line(tmp_path: Path, end: bytes, header: bytes) -> None:
    path = tmp_path / "train.tsv.0"
    path.write_bytes(header + line("391895", features(3)) + end + line("a.b-c", features(5, seed=1)))
    first, second = read_tsv(path)
    assert (first.id, second.id) == ("391895", "a.b-c")
    np.testing.assert_array_equal(first.features, features(3))
    np.testing.assert_array_equal(second.features, features(5, seed=1))
    assert first.boxes is not None
    np.testing.assert_array_equal(first.boxes, np.arange(12).reshape(3, 4))
    assert first.features.dtype == first.boxes.dtype == np.float32
    first.features[0] = 0  # nobody else's memory


def test_known_pictures_are_passed_over_without_being_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"7\tdamaged\n" + line("8", features(2)))
    assert [picture.id for picture in read_tsv(path, known={"7"})] == ["8"]


GOOD = line("1", features(2))


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (line("2", features(2))[:-30], "features have|not base64"),
        (line("2", features(2))[:40], "columns instead of 6"),
        (b"\t".join([b"2", b"640", b"480", b"2"]), r"4 columns instead of 6 \(image_id, image_w"),
        (b"\t" + line("2", features(2)).split(b"\t", 1)[1], "columns"),
        (line("2", features(2), n=3), "which 3 regions cannot share"),
        (line("2", features(2), n=-1), "num_boxes is '-1'"),
        (line("2", features(2), n="two"), "num_boxes is 'two'"),
        (line("2", features(2), n=5000), "at most 4096"),
        (line("2", features(2)).replace(b"640", b"0"), "image_w is '0'"),
        (line("2", features(2), boxes=np.zeros((2, 5))), "no boxes of 2 regions"),
        (line("2", features(2), boxes=np.full((2, 4), np.nan)), "no boxes of 2 regions"),
        (line("2", features(2) * np.nan), "not finite"),
        (line("2", features(2)) + b"!", "not base64"),
        (line("2", features(2)).rsplit(b"\t", 1)[0] + b"\t", "features have 0 bytes"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, damaged: bytes, message: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(GOOD + b"\n" + damaged + b"\n")
    with pytest.raises(DataError, match=message) as raised:
        list(read_tsv(path))
    assert str(raised.value).startswith(f"{path}:2: ")
    assert "\n" not in str(raised.value)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(GOOD + b"\n" + b"1" * 2000)
    with pytest.raises(DataError, match=r"x\.tsv:2: a line of more than"):
        list(read_tsv(path, limits=RegionLimits(max_bytes=1000)))


def test_a_folder_of_tables_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for i, name in enumerate(["train.tsv.1", "train.tsv.0", "val.tsv"]):
        (tmp_path / name).write_bytes(line(str(i), features(2)))
    assert [picture.id for picture in read_region_features(tmp_path)] == ["1", "0", "2"]


@pytest.mark.parametrize("name", ["feat", "features", "x"])
def test_a_folder_of_arrays_is_read_picture_by_picture(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "12.npz", **{name: features(4), "bbox": np.zeros((4, 4))})
    np.save(tmp_path / "COCO_val2014_000000000013.npy", features(3, seed=1))
    (tmp_path / "README.txt").write_text("features")
    first, second = read_region_features(tmp_path)
    assert (first.id, second.id) == ("12", "COCO_val2014_000000000013")
    np.testing.assert_array_equal(first.features, features(4))
    np.testing.assert_array_equal(second.features, features(3, seed=1))
    assert [picture.id for picture in read_region_features(tmp_path, known={"12"})] == [second.id]


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", feat=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"1\.npz: an array of object"):
        list(read_region_features(tmp_path))


def test_a_folder_of_both_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.tsv file and no \.npz"):
        list(read_region_features(tmp_path))
    np.save(tmp_path / "1.npy", features(1))
    (tmp_path / "x.tsv").write_bytes(GOOD)
    with pytest.raises(DataError, match="both"):
        list(read_region_features(tmp_path))
