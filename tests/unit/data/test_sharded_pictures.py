"""Pictures out of shards are those that were packed; what happened to a shard is noticed."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.picture import PictureSpec, load_picture, resize_picture
from optophone.data import sharded_pictures
from optophone.data.captioned_pictures import (
    CaptionedPictures,
    CaptionedPicturesConfig,
    build_vocabulary,
    encode_captions,
)
from optophone.data.manifest import Dataset, read_dataset, write_dataset, write_manifest
from optophone.data.prepare.caption_shards import prepare_caption_shards
from optophone.data.sharded_pictures import OpenShards, ShardedPictures, picture_files, picture_of, place_of, shard_of
from optophone.data.steps import Portion, StepItems
from optophone.data.written_captions import pictures_of
from tiny_datasets import write_captioned_pictures
from tiny_shards import encoded, put_into_shards, write_shard

SIZE = 32


@pytest.fixture
def packed(tmp_path: Path) -> Dataset:
    return write_captioned_pictures(tmp_path / "packed", SIZE)


@pytest.fixture
def indexed(packed: Dataset, tmp_path: Path) -> Dataset:
    return put_into_shards(packed, tmp_path / "shards", tmp_path / "indexed")


def pictures(dataset: Dataset, side: int = SIZE) -> ShardedPictures:
    return ShardedPictures(dataset, dataset.rows("train"), side)


def test_they_are_the_packed_pictures(packed: Dataset, indexed: Dataset) -> None:
    found, expected = pictures(indexed), packed.array("train", "pictures")
    assert len(found) == len(expected) == 12
    assert found.shards == [0] * 4 + [1] * 4 + [2] * 4
    for places in (np.array([7, 0, 11, 7]), slice(3, 9), slice(10, 99), np.array([], int)):
        np.testing.assert_array_equal(found[places], expected[places])


def test_a_step_is_that_of_packed_pictures(packed: Dataset, indexed: Dataset) -> None:
    """Also where the pictures of the step are smaller than those of the data set."""
    config = CaptionedPicturesConfig("", min_count=1, sizes=((0, 16), (5, SIZE)), size=16)
    assert config.largest == SIZE
    batches = []
    for dataset in (packed, indexed):
        rows = dataset.rows("train")
        vocabulary = build_vocabulary(rows, config)
        shown = pictures_of(dataset, "train", rows, config.largest)
        source = CaptionedPictures(shown, encode_captions(rows, vocabulary), vocabulary, config)
        batches.append([source[StepItems(3, step, [4, 1, 9, 2], Portion(1, 2))] for step in (0, 7)])
    for one, other in zip(*batches, strict=True):
        assert one.pictures.shape[-1] in (16, SIZE)
        for name in ("pictures", "inputs", "targets", "indices"):
            assert getattr(one, name).equal(getattr(other, name)), name


def test_pictures_of_any_shape_are_squashed(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 70, 3), dtype=np.uint8)
    write_shard(tmp_path / "train.tar", [("a.jpg", encoded(picture, "JPEG")), ("a.txt", b"a picture")])
    dataset = prepare_caption_shards([tmp_path / "train.tar"], tmp_path / "out", jobs=1)
    expected = resize_picture(load_picture(encoded(picture, "JPEG")), PictureSpec(24, 24))
    np.testing.assert_array_equal(pictures(dataset, 24)[np.array([0])][0], expected)


def test_shards_are_found_again_where_all_moved_together(packed: Dataset, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    os.chdir(tmp_path / "old")
    try:
        put_into_shards(packed, Path("shards"), Path("data/indexed"))
    finally:
        os.chdir(tmp_path)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert pictures(read_dataset(tmp_path / "new/data/indexed"))[:].shape == (12, SIZE, SIZE, 3)


def test_few_files_are_open_at_a_time(indexed: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    open_one = sharded_pictures._open
    monkeypatch.setattr(sharded_pictures, "_open", lambda path: opened.append(open_one(path)) or opened[-1])
    shards = OpenShards(most=2)
    rows = indexed.rows("train")
    for row in (rows[0], rows[1], rows[5], rows[2], rows[9], rows[3]):
        shards.read(shard_of(indexed, row), place_of(indexed, row))
        assert sum(not file.closed for file in opened) <= 2
    assert len(opened) == 3, "the shard that was read last stays open"
    shards.close()
    assert all(file.closed for file in opened)


def test_a_shard_that_is_gone_or_cut_off_is_told_at_the_start(indexed: Dataset, tmp_path: Path) -> None:
    shard = tmp_path / "shards/train-00004.tar"
    content = shard.read_bytes()
    for harm, says in ((content[:-512], f"had {len(content)}"), (content + bytes(512), "when it was indexed")):
        shard.write_bytes(harm)
        with pytest.raises(DataError, match=f"train-00004.tar: has {len(harm)} bytes .*{says}"):
            pictures(indexed)
    shard.unlink()
    with pytest.raises(DataError, match=r"train-00004.tar: cannot read the shard \(No such file"):
        pictures(indexed)
    assert len(ShardedPictures(indexed, indexed.rows("dev"), SIZE)) == 4, "the other split needs it not"


def test_a_shard_that_was_changed_is_told_when_its_picture_is_read(indexed: Dataset, tmp_path: Path) -> None:
    found = pictures(indexed)
    row = indexed.rows("train")[5]
    shard = tmp_path / "shards/train-00004.tar"
    content = bytearray(shard.read_bytes())
    content[row["offset"] + row["n_bytes"] // 2] ^= 1
    shard.write_bytes(content)
    found[np.array([4])]
    with pytest.raises(DataError, match=r"train-00004.tar: was changed or cut off since it was indexed") as raised:
        found[np.array([5])]
    assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="was changed"):
        picture_of(indexed, row)


@pytest.mark.parametrize(
    "harm",
    [
        {"offset": -1},
        {"n_bytes": -1},
        {"n_bytes": 1 << 40},
        {"offset": None},
        {"picture": None},
    ],
)
def test_rows_that_name_no_place_are_refused(indexed: Dataset, harm: dict[str, Any]) -> None:
    rows = indexed.rows("train")
    rows[3] = {name: value for name, value in {**rows[3], **harm}.items() if value is not None}
    with pytest.raises(DataError, match="'train3' lacks its place in a shard"):
        ShardedPictures(indexed, rows, SIZE)


@pytest.mark.parametrize("sizes", [None, 3, {"train": 4}, {"train": {}}])
def test_a_data_set_that_knows_no_sizes_is_refused(indexed: Dataset, tmp_path: Path, sizes: object) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    write_manifest(folder / "train.jsonl", indexed.rows("train"))
    strange = write_dataset(
        folder,
        "strange",
        splits=["train"],
        options={"shards": sizes},
        source="",
        layout="",
        licence="",
        roots={"picture": tmp_path / "shards"},
    )
    with pytest.raises(DataError, match="had None when it was indexed"):
        pictures(strange)


def test_other_readers_of_pictures_are_told(packed: Dataset, indexed: Dataset) -> None:
    row = indexed.rows("train")[0]
    for read in (lambda: indexed.path("picture", row), lambda: indexed.array("train", "pictures")):
        with pytest.raises(DataError, match="its pictures lie in shards"):
            read()
    assert load_picture(picture_of(indexed, row)).shape == (SIZE, SIZE, 3)
    assert picture_of(packed, packed.rows("train")[0]) == packed.folder / "0.jpg"
    assert picture_files(indexed, indexed.rows("dev")) == {}
    assert picture_files(packed, packed.rows("dev"))["dev1"] == packed.folder / "1.jpg"
