"""Flickr8k from its official layout; interrupted, repeated, damaged; and the real one where it is."""

import shutil

import numpy as np
import pytest

from optophone.core.errors import DataError, PictureError
from optophone.core.picture import PictureSpec, load_picture, resize_picture
from optophone.data.manifest import read_dataset
from optophone.data.prepare import packing
from optophone.data.prepare.flickr8k import prepare_flickr8k


def test_reads_the_official_layout(trees, tmp_path):
    dataset = prepare_flickr8k(trees.flickr8k(), tmp_path / "out", size=32)
    assert list(dataset.splits) == ["train", "dev"]
    row = dataset.rows("dev")[1]
    assert row["id"] == "dev_1"
    assert row["picture"] == "dev_1.jpg"
    assert row["captions"][3] == 'Dog "Rex", running .'
    pictures = dataset.array("dev", "pictures")
    assert pictures.shape == (3, 32, 32, 3)
    original = load_picture(dataset.path("picture", row))
    assert original.shape == (40, 50, 3)
    np.testing.assert_array_equal(pictures[1], resize_picture(original, PictureSpec(32, 32)))


@pytest.mark.parametrize("splits", [("test",), ("train",), ("train", "dev", "test")])
def test_whichever_lists_are_there_are_read(trees, tmp_path, splits):
    dataset = prepare_flickr8k(trees.flickr8k(splits), tmp_path / "out", size=8)
    assert tuple(dataset.splits) == splits
    assert [row["id"] for row in dataset.rows(splits[-1])] == [f"{splits[-1]}_{i}" for i in range(3)]


def test_captions_come_in_the_order_of_their_numbers(trees, tmp_path):
    source = trees.flickr8k()
    path = source / "Flickr8k_text" / "Flickr8k.token.txt"
    before = prepare_flickr8k(source, tmp_path / "a", size=8).rows("train")
    path.write_text("\r\n".join(reversed(path.read_text().splitlines())) + "\r\n")
    assert prepare_flickr8k(source, tmp_path / "b", size=8).rows("train") == before


@pytest.mark.parametrize("after", [0, 2])
def test_continues_after_a_kill(trees, tmp_path, snapshot, killer, monkeypatch, after):
    monkeypatch.setattr(packing, "PICTURES_BETWEEN_SAVES", 2)
    source = trees.flickr8k()
    prepare_flickr8k(source, tmp_path / "whole", size=16)
    killer.arm("optophone.data.prepare.packing", after)
    with pytest.raises(killer.killed):
        prepare_flickr8k(source, tmp_path / "out", size=16)
    with pytest.raises(DataError, match="no finished data set"):
        read_dataset(tmp_path / "out")
    with pytest.raises(DataError, match="size 16 there, 24 asked for"):
        prepare_flickr8k(source, tmp_path / "out", size=24)
    prepare_flickr8k(source, tmp_path / "out", size=16)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_a_second_run_does_nothing_and_other_options_are_refused(trees, tmp_path, monkeypatch):
    source = trees.flickr8k()
    first = prepare_flickr8k(source, tmp_path / "out", size=16)
    monkeypatch.setattr(packing, "load_picture", None)
    assert prepare_flickr8k(source, tmp_path / "out", size=16) == first
    with pytest.raises(DataError, match="size 16 there, 192 asked for"):
        prepare_flickr8k(source, tmp_path / "out")


def _append(name, text):
    def damage(source):
        path = source / "Flickr8k_text" / name
        path.write_text((path.read_text() if path.exists() else "") + text)

    return damage


def _remove(pattern):
    def damage(source):
        for path in source.glob(pattern):
            path.unlink()

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove("Flicker8k_Dataset/train_*.jpg"), r"3 of 3 pictures are missing: train_0\.jpg, train_1\.jpg, train_2"),
        (_append("Flickr_8k.devImages.txt", "ghost.jpg\n"), r"1 of 4 pictures are missing: ghost\.jpg"),
        (_append("Flickr_8k.devImages.txt", "train_1.jpg\n"), r"train_1\.jpg is already in the train list"),
        (_append("Flickr_8k.testImages.txt", "\n"), "names no pictures"),
        (_append("Flickr8k.token.txt", "no tab here\n"), r"Flickr8k\.token\.txt:36: expected NAME\.jpg#NUMBER"),
        (_append("Flickr8k.token.txt", "dev_1.jpg#2\tagain\n"), r":36: dev_1\.jpg#2 occurs twice"),
        (_remove("Flickr8k_text/Flickr8k.token.txt"), r"Flickr8k\.token\.txt: missing"),
        (_remove("Flickr8k_text/Flickr_8k.*"), "one is needed"),
    ],
)
def test_a_damaged_source_is_told_in_one_line(trees, tmp_path, damage, message):
    source = trees.flickr8k()
    damage(source)
    with pytest.raises(DataError, match=message) as failure:
        prepare_flickr8k(source, tmp_path / "out", size=8)
    assert "\n" not in str(failure.value)


def test_pictures_without_captions_are_named(trees, tmp_path):
    source = trees.flickr8k()
    path = source / "Flickr8k_text" / "Flickr8k.token.txt"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if not line.startswith("dev_2")))
    with pytest.raises(DataError, match=r"1 of 3 pictures have no captions: dev_2\.jpg"):
        prepare_flickr8k(source, tmp_path / "out", size=8)


def test_an_unreadable_picture_is_named(trees, tmp_path):
    source = trees.flickr8k()
    (source / "Flicker8k_Dataset" / "dev_0.jpg").write_bytes(b"not a picture")
    with pytest.raises(PictureError, match=r"dev_0\.jpg"):
        prepare_flickr8k(source, tmp_path / "out", size=8)


def test_a_wrong_folder_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected the folders Flicker8k_Dataset and Flickr8k_text"):
        prepare_flickr8k(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="not a folder"):
        prepare_flickr8k(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.shared_data
def test_the_real_data_set(shared_dir, tmp_path):
    """All real captions, and the first pictures of the dev list."""
    real, source = shared_dir / "data" / "flickr8k", tmp_path / "source"
    (source / "Flickr8k_text").mkdir(parents=True)
    (source / "Flicker8k_Dataset").symlink_to(real / "Flicker8k_Dataset")
    shutil.copy(real / "Flickr8k_text" / "Flickr8k.token.txt", source / "Flickr8k_text")
    names = (real / "Flickr8k_text" / "Flickr_8k.devImages.txt").read_text().split()
    (source / "Flickr8k_text" / "Flickr_8k.devImages.txt").write_text("\n".join(names[:50]))
    dataset = prepare_flickr8k(source, tmp_path / "out", size=16)
    rows = dataset.rows("dev")
    assert [row["picture"] for row in rows] == names[:50]
    assert all(len(row["captions"]) == 5 for row in rows)
    for index in (0, 25, 49):
        picture = load_picture(dataset.path("picture", rows[index]))
        packed = dataset.array("dev", "pictures")[index]
        np.testing.assert_array_equal(packed, resize_picture(picture, PictureSpec(16, 16)))
