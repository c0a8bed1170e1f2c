"""Tiny ImageNet from both layouts; interrupted, repeated, damaged."""

import json
import shutil
import tarfile

import numpy as np
import pytest

from optophone.core.errors import DataError, PictureError
from optophone.data.manifest import read_dataset
from optophone.data.prepare import packing
from optophone.data.prepare.tiny_imagenet import prepare_tiny_imagenet


def test_reads_the_official_folder(trees, tmp_path):
    dataset = prepare_tiny_imagenet(trees.tiny_imagenet_folder(), tmp_path / "out")
    assert dataset.layout == "official folder"
    assert [row["label"] for row in dataset.rows("train")] == [0, 1, 2]
    assert [row["label"] for row in dataset.rows("dev")] == [2, 1, 0]
    assert dataset.rows("dev")[0] == {"id": "val_0", "picture": "val/images/val_0.JPEG", "label": 2}
    assert dataset.path("picture", dataset.rows("train")[1]).is_file()
    classes = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert classes[1] == {"wnid": "n01629819", "name": "name 1, of it"}
    pictures = dataset.array("dev", "pictures")
    assert pictures.shape == (3, 64, 64, 3)
    assert pictures.dtype == np.uint8
    for i in range(3):  # JPEG changes a flat colour by a step or two
        assert np.abs(pictures[i].astype(int) - np.array(trees.colour(3 + i))).max() <= 3


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_reads_shards(trees, tmp_path, kind):
    dataset = prepare_tiny_imagenet(trees.tiny_imagenet_shards(kind), tmp_path / "out")
    assert dataset.layout == "WebDataset shards"
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 6, "dev": 3}
    row = dataset.rows("train")[4]
    assert row == {"id": "tra_4", "picture": f"train-0001.tar.gz/tra_4.{kind}", "label": 2}
    assert dataset.array("train", "labels").tolist() == [1, 2, 0, 1, 2, 0]
    assert dataset.array("train", "pictures")[4, 5, 6].tolist() == list(trees.colour(4))
    assert dataset.array("dev", "pictures")[2, 63, 63].tolist() == list(trees.colour(8))


def test_larger_pictures_are_squashed(trees, tmp_path):
    source = trees.tiny_imagenet_shards()
    trees.shard(source / "val-0000.tar.gz", {"big.png": trees.picture(7, (90, 30)), "big.cls": b"0\n"})
    pictures = prepare_tiny_imagenet(source, tmp_path / "out").array("dev", "pictures")
    assert pictures.shape == (1, 64, 64, 3)
    assert (pictures == np.array(trees.colour(7), np.uint8)).all()


@pytest.mark.parametrize("layout", ["tiny_imagenet_folder", "tiny_imagenet_shards"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_continues_after_a_kill(trees, tmp_path, snapshot, killer, monkeypatch, layout, after):
    monkeypatch.setattr(packing, "PICTURES_BETWEEN_SAVES", 1)
    source = getattr(trees, layout)()
    prepare_tiny_imagenet(source, tmp_path / "whole")
    killer.arm("optophone.data.prepare.packing", after)
    with pytest.raises(killer.killed):
        prepare_tiny_imagenet(source, tmp_path / "out")
    with pytest.raises(DataError, match=r"no dataset\.json"):
        read_dataset(tmp_path / "out")
    assert not (tmp_path / "out" / "train.pictures.npy").exists()
    decoded = []
    original = packing.load_picture
    monkeypatch.setattr(packing, "load_picture", lambda source: decoded.append(1) or original(source))
    dataset = prepare_tiny_imagenet(source, tmp_path / "out")
    n_pictures = sum(split.rows for split in dataset.splits.values())
    assert len(decoded) == n_pictures - after
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_a_second_run_does_nothing(trees, tmp_path, monkeypatch):
    source = trees.tiny_imagenet_shards()
    first = prepare_tiny_imagenet(source, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(packing, "load_picture", None)  # calling it would fail
    assert prepare_tiny_imagenet(source, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


def test_another_source_is_refused(trees, tmp_path):
    prepare_tiny_imagenet(trees.tiny_imagenet_shards(), tmp_path / "out")
    with pytest.raises(DataError, match=r"source '.*tiny-imagenet' there, '.*tiny-imagenet-200' asked for"):
        prepare_tiny_imagenet(trees.tiny_imagenet_folder(), tmp_path / "out")


def test_a_foreign_folder_is_left_alone(trees, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty and no prepared data set"):
        prepare_tiny_imagenet(trees.tiny_imagenet_shards(), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["diary.txt"]


def test_a_mistyped_source_can_be_mended(trees, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no Tiny ImageNet here"):
        prepare_tiny_imagenet(tmp_path / "empty", tmp_path / "out")
    assert prepare_tiny_imagenet(trees.tiny_imagenet_shards(), tmp_path / "out").splits["dev"].rows == 3


def _break_shard(members):
    def damage(trees, source):
        trees.shard(source / "train-0000.tar.gz", {key: value or trees.picture(1) for key, value in members.items()})

    return damage


def _cut_shard(trees, source):
    content = (source / "train-0001.tar.gz").read_bytes()
    (source / "train-0001.tar.gz").write_bytes(content[: len(content) // 2])


def _no_classes(trees, source):
    (source / "classes.json").unlink()


def _bad_classes(trees, source):
    (source / "classes.json").write_text('["a", "b"]')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_break_shard({"a.png": b"", "b.png": b"", "b.cls": b"0"}), r"train-0000\.tar\.gz: a: no a\.cls"),
        (_break_shard({"a.png": b"", "a.cls": b"3"}), r"class '3' is not one of 0\.\.2"),
        (_break_shard({"a.png": b"", "a.cls": b"-1"}), r"class '-1' is not one of 0\.\.2"),
        (_break_shard({"a.cls": b"0"}), "a: no picture; expected one of webp"),
        (_break_shard({"../../a.png": b"", "../../a.cls": b"0"}), "damaged"),
        (_break_shard({"tra_3.png": b"", "tra_3.cls": b"0"}), "1 keys occur twice: tra_3"),
        (_cut_shard, r"train-0001\.tar\.gz: damaged"),
        (_no_classes, r"classes\.json: missing"),
        (_bad_classes, r"classes\.json: expected a list"),
    ],
)
def test_damaged_shards_are_told_in_one_line(trees, tmp_path, damage, message):
    source = trees.tiny_imagenet_shards()
    damage(trees, source)
    with pytest.raises(DataError, match=message) as failure:
        prepare_tiny_imagenet(source, tmp_path / "out")
    assert "\n" not in str(failure.value)


def test_an_unreadable_picture_is_named(trees, tmp_path):
    source = trees.tiny_imagenet_shards()
    trees.shard(source / "val-0000.tar.gz", {"bad.webp": b"RIFF no picture", "bad.cls": b"0"})
    with pytest.raises(PictureError, match=r"val-0000\.tar\.gz: bad: "):
        prepare_tiny_imagenet(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("val/val_annotations.txt", None, r"val_annotations\.txt: missing"),
        ("val/val_annotations.txt", "val_0.JPEG\tn99\t0\n", r"val_annotations\.txt:1: expected a file name"),
        ("val/images/val_1.JPEG", None, r"1 validation pictures are missing: val/images/val_1\.JPEG"),
        ("train/n01443537/images/n01443537_0.JPEG", None, "no pictures of class n01443537"),
        ("wnids.txt", "\n", "names no classes"),
    ],
)
def test_a_damaged_folder_is_told_in_one_line(trees, tmp_path, path, content, message):
    source = trees.tiny_imagenet_folder()
    (source / path).unlink() if content is None else (source / path).write_text(content)
    with pytest.raises(DataError, match=message) as failure:
        prepare_tiny_imagenet(source, tmp_path / "out")
    assert "\n" not in str(failure.value)


@pytest.mark.shared_data
def test_the_real_shards(trees, shared_dir, tmp_path):
    """The beginning of a real training shard: the file names carry the wnid, which must be that of the label."""
    real, source = shared_dir / "data" / "tiny-imagenet", tmp_path / "source"
    source.mkdir()
    shutil.copy(real / "classes.json", source)
    with tarfile.open(real / "train-0000.tar.gz", "r|*") as archive:
        members = {entry.name: archive.extractfile(entry).read() for entry, _ in zip(archive, range(200), strict=False)}
    trees.shard(source / "train-0000.tar.gz", members)
    dataset = prepare_tiny_imagenet(source, tmp_path / "out")
    classes = json.loads((tmp_path / "out" / "classes.json").read_text())
    rows = dataset.rows("train")
    assert len(classes) == 200
    assert len(rows) == 100
    assert all(classes[row["label"]]["wnid"] == row["id"].partition("_")[0] for row in rows)
    assert dataset.array("train", "pictures").shape == (100, 64, 64, 3)
