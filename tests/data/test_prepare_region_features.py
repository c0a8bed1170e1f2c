"""Region features packed into one array, found by the ids of pictures, and continued after an interruption."""

import base64
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from optophone.cli.prepare import prepare
from optophone.core.errors import DataError
from optophone.data.manifest import read_dataset
from optophone.data.packed_regions import PackedRegions
from optophone.data.prepare import region_features
from optophone.data.prepare.region_features import prepare_region_features


def features(i: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(i).normal(size=(i + 1, dim)).astype(np.float32)


def write_tsv(path: Path, ids: list[int], end: bytes = b"") -> Path:
    lines = []
    for i in ids:
        arrays = (base64.b64encode(values.astype("<f4").tobytes()) for values in (np.zeros((i + 1, 4)), features(i)))
        lines.append(b"\t".join([b"%d" % i, b"9", b"9", b"%d" % (i + 1), *arrays]) + b"\n")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(lines) + end)
    return path


def write_arrays(folder: Path, ids: list[int]) -> Path:
    folder.mkdir()
    for i in ids:
        np.savez(folder / f"{i}.npz", feat=features(i))
    return folder


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("kind", ["tsv", "arrays"])
def test_every_picture_has_its_own_regions(tmp_path: Path, precision: str, kind: str) -> None:
    write = write_tsv if kind == "tsv" else write_arrays
    source = write(tmp_path / ("x.tsv" if kind == "tsv" else "arrays"), [3, 0, 7])
    packed = PackedRegions(prepare_region_features(source, tmp_path / "out", precision))
    assert (packed.dim, packed.array.shape, packed.array.dtype) == (6, (13, 6), np.dtype(precision))
    for i in (3, 0, 7):
        expected = features(i).astype(precision).astype(np.float32)
        np.testing.assert_array_equal(packed[str(i)], expected)
        assert packed[str(i)].dtype == np.float32
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"all.jsonl", "all.regions.npy", "dataset.json"}
    assert (tmp_path / "out" / "all.regions.npy").stat().st_size == 128 + packed.array.nbytes


def test_the_command(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "x.tsv", [1, 2])
    arguments = ["region-features", str(source), str(tmp_path / "out")]
    assert CliRunner().invoke(prepare, arguments).output.endswith("region-features is ready (2 all)\n")
    assert "nothing to do" in CliRunner().invoke(prepare, arguments).output
    assert PackedRegions(read_dataset(tmp_path / "out")).array.dtype == np.float16
    with pytest.raises(DataError, match="precision 'float16' there, 'float32' asked for"):
        CliRunner().invoke(prepare, [*arguments, "--precision", "float32"], catch_exceptions=False)


@pytest.mark.parametrize("left", ["whole", "half a row", "more features than rows", "fewer features than rows"])
def test_an_interrupted_run_is_continued(tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source breaks off in its third picture and is then mended."""
    source, out = write_tsv(tmp_path / "x.tsv", [3, 1], end=b"4\tcut off"), tmp_path / "out"
    with pytest.raises(DataError, match=r"x\.tsv:3"):
        prepare_region_features(source, out)
    assert not (out / "dataset.json").exists()
    array, manifest = out / "all.regions.npy.partial", out / "all.jsonl.partial"
    if left == "half a row":
        manifest.write_bytes(manifest.read_bytes() + b'{"id": "4", "off')
    elif left == "more features than rows":
        array.write_bytes(array.read_bytes() + b"12345")
    elif left == "fewer features than rows":
        array.write_bytes(array.read_bytes()[:-1])
    write_tsv(tmp_path / "x.tsv", [3, 1, 4])
    added = []
    add = region_features._add
    monkeypatch.setattr(region_features, "_add", lambda *args: added.append(args[1].id) or add(*args))
    packed = PackedRegions(prepare_region_features(source, out))
    assert added == (["3", "1", "4"] if left == "fewer features than rows" else ["4"])
    assert len(packed.array) == 4 + 2 + 5
    for i in (3, 1, 4):
        np.testing.assert_array_equal(packed[str(i)], features(i).astype(np.float16))


def test_of_a_picture_that_is_there_twice_the_first_is_taken(tmp_path: Path) -> None:
    source = tmp_path / "tables"
    write_tsv(source / "a.tsv", [1, 2, 1])
    write_tsv(source / "b.tsv", [2, 3])
    packed = PackedRegions(prepare_region_features(source, tmp_path / "out"))
    assert list(packed.places) == ["1", "2", "3"]
    assert len(packed.array) == 9


@pytest.mark.parametrize(
    ("values", "message"), [(features(2, dim=5), "5 features, those before have 6"), (features(2) * 1e5, "too large")]
)
def test_what_cannot_be_packed_is_named(tmp_path: Path, values: np.ndarray, message: str) -> None:
    source = write_arrays(tmp_path / "arrays", [1])
    np.save(source / "9.npy", values)
    with pytest.raises(DataError, match=f"^9: .*{message}"):
        prepare_region_features(source, tmp_path / "out")


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"")
    with pytest.raises(DataError, match="no region features"):
        prepare_region_features(tmp_path / "x.tsv", tmp_path / "out")


def test_pictures_are_found_by_the_names_that_extractors_give(tmp_path: Path) -> None:
    packed = PackedRegions(prepare_region_features(write_tsv(tmp_path / "x.tsv", [1, 2, 3]), tmp_path / "out"))
    rows = [
        {"id": "3"},
        {"id": "x", "picture": "val2014/COCO_val2014_000000000002.jpg"},
        {"id": "COCO_train2014_000000000001"},
    ]
    assert packed.ids_of(rows) == ["3", "2", "1"]
    with pytest.raises(DataError, match=r"no regions of 2 of 3 pictures: y10, COCO_val2014_4\.$"):
        packed.ids_of([{"id": "y10"}, {"id": "COCO_val2014_4"}, {"id": "1"}])


def test_an_array_that_is_too_short_is_noticed(tmp_path: Path) -> None:
    dataset = prepare_region_features(write_tsv(tmp_path / "x.tsv", [1, 2]), tmp_path / "out")
    np.save(dataset.folder / "all.regions.npy", features(2))
    with pytest.raises(DataError, match="does not hold the regions of 2"):
        PackedRegions(dataset)


def test_another_data_set_has_no_regions(trees, tmp_path: Path) -> None:
    from optophone.data.prepare.flickr8k import prepare_flickr8k

    with pytest.raises(DataError, match="no region features; make them"):
        PackedRegions(prepare_flickr8k(trees.flickr8k(), tmp_path / "out", 8))
