"""Shards of captioned pictures, as they are found: what becomes a row, and what is told of the rest."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from optophone.cli.main import run
from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.prepare import caption_shards
from optophone.data.prepare.caption_shards import prepare_caption_shards
from tiny_shards import encoded, write_shard

Members = list[tuple[str, bytes]]


def picture(number: int = 0, kind: str = "PNG") -> bytes:
    return encoded(np.full((9, 12, 3), number, np.uint8), kind)


def sample(key: str, captions: str = "a dog", number: int = 0) -> Members:
    return [(f"{key}.png", picture(number)), (f"{key}.txt", captions.encode())]


def prepare(folder: Path, skip_damaged: bool = False) -> Dataset:
    return prepare_caption_shards([folder / "shards"], folder / "out", skip_damaged=skip_damaged, jobs=1)


def write(folder: Path, shards: dict[str, Members]) -> None:
    for name, members in shards.items():
        path = folder / "shards" / f"{name}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_shard(path, members)


@pytest.mark.parametrize(
    ("members", "captions"),
    [
        ([("a.txt", b"a dog\n\n  A  cat \r\n")], ["a dog", "A cat"]),
        ([("a.txt", b"\xef\xbb\xbfa dog")], ["a dog"]),
        ([("a.json", b'{"caption": "a dog", "url": "x", "width": 3, "status": "success"}')], ["a dog"]),
        ([("a.json", b'{"captions": ["a dog", "a cat", "a dog"]}')], ["a dog", "a cat"]),
        ([("a.json", b'{"caption": ["a dog"], "captions": "a\\ncat"}')], ["a dog", "a cat"]),
        ([("a.json", b'{"caption": "a dog"}'), ("a.txt", b"a dog")], ["a dog"]),
        ([("a.json", b'{"key": "a", "caption": null}'), ("a.txt", b"a cat"), ("a.cls", b"3")], ["a cat"]),
        ([("a.json", b'{"captions": ["...", 3, null, {"raw": "x"}, "a dog"]}')], ["a dog"]),
        ([("a.json", '{"caption": "ein süßer Hund"}'.encode())], ["ein süßer Hund"]),
    ],
)
def test_captions_beside_a_picture(tmp_path: Path, members: Members, captions: list[str]) -> None:
    for number, both in enumerate(([("a.jpg", picture(kind="JPEG")), *members], [*members, ("a.jpg", picture())])):
        folder = tmp_path / str(number)
        write(folder, {"train": both})
        (row,) = prepare(folder).rows("train")
        assert row["captions"] == captions


def test_rows_say_where_pictures_lie(tmp_path: Path) -> None:
    write(tmp_path, {"x/train-1": sample("b/1", number=3), "x/train-0": sample("7") + sample("8"), "val": sample("9")})
    dataset = prepare_caption_shards([tmp_path / "shards/x", tmp_path / "shards"], tmp_path / "out", jobs=1)
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 3, "dev": 1}
    assert [(row["id"], row["picture"]) for row in dataset.rows("train")] == [
        ("7", "x/train-0.tar"),
        ("8", "x/train-0.tar"),
        ("b/1", "x/train-1.tar"),
    ]
    row = dataset.rows("train")[2]
    shard = (tmp_path / "shards" / row["picture"]).read_bytes()
    assert shard[row["offset"] : row["offset"] + row["n_bytes"]] == picture(3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset.json", "dev.jsonl", "train.jsonl"]


def test_keys_of_several_shards_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"train": sample("0") + sample("1"), "test": sample("0")})
    dataset = prepare(tmp_path)
    assert [row["id"] for row in dataset.rows("train")] == ["train.tar/0", "train.tar/1"]
    assert [row["id"] for row in dataset.rows("test")] == ["test.tar/0"]


SURROGATE = b'{"caption": "a \\ud800 dog"}'


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("a.png", picture())], "'a' has no caption beside it"),
        ([("a.png", picture()), ("a.txt", b"...\n\n")], "'a' has no caption beside it"),
        ([("a.txt", b"a dog")], "'a' has no pictures beside its captions"),
        ([("a.jpg", picture()), ("a.png", picture()), ("a.txt", b"a dog")], "'a' has 2 pictures"),
        ([("a.png", picture()[:-30]), ("a.txt", b"a dog")], "'a' The picture is damaged"),
        ([("a.png", b""), ("a.txt", b"a dog")], "'a' The picture is empty"),
        ([("a.png", picture()), ("a.json", b"{")], "'a' has a .json that is none"),
        ([("a.png", picture()), ("a.json", b"[" * 100000)], "'a' has a .json that is none"),
        ([("a.png", picture()), ("a.json", b"[1]")], "'a' has a .json that is no object"),
        ([("a.png", picture()), ("a.json", SURROGATE)], "'a' has a caption that is no text"),
        ([("a.png", picture()), ("a.txt", b"\xff\xfe")], "'a' has a .txt that is not UTF-8"),
        ([("a.png", picture()), ("a.txt", b"a" * (2 << 20))], "'a' is larger than 1 MiB"),
        ([(".png", picture()), (".txt", b"a dog")], "'' has no name"),
        (sample("../../a"), "'../../a' has a name that is absolute or climbs"),
        (sample("/etc/a"), "'/etc/a' has a name that is absolute or climbs"),
        (sample("a\n\x1b[2J"), r"'a\n\x1b[2J' has no name before the first dot, or one that cannot be printed"),
        (sample("z"), "'z' is there twice"),
    ],
)
def test_damage_is_told_or_left_out(tmp_path: Path, members: Members, says: str) -> None:
    write(tmp_path, {"train": [*sample("z"), *sample("y"), *members]})
    with pytest.raises(DataError, match="--skip-damaged") as raised:
        prepare(tmp_path)
    assert says in str(raised.value)
    assert str(tmp_path / "shards/train.tar") in str(raised.value)
    assert str(raised.value).isprintable()
    dataset = prepare_caption_shards([tmp_path / "shards"], tmp_path / "other", skip_damaged=True, jobs=1)
    assert [row["id"] for row in dataset.rows("train")] == ["z", "y"]
    (line,) = (tmp_path / "other/damaged.txt").read_text().splitlines()
    assert says in line
    assert line.isprintable()


def test_shards_that_cannot_be_read_to_their_end(tmp_path: Path) -> None:
    write(tmp_path, {"train-0": sample("a"), "train-1": sample("b") + sample("c")})
    bad = tmp_path / "shards/train-1.tar"
    bad.write_bytes(bad.read_bytes()[:2048])
    with pytest.raises(DataError, match=r"train-1.tar: is cut off.*--skip-damaged"):
        prepare(tmp_path)
    dataset = prepare_caption_shards([tmp_path / "shards"], tmp_path / "other", skip_damaged=True, jobs=1)
    assert [row["id"] for row in dataset.rows("train")] == ["a"]
    assert "train-1.tar: is cut off" in (tmp_path / "other/damaged.txt").read_text()


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    write(tmp_path, {"train": [("a.wav", b"RIFF")]})
    with pytest.raises(DataError, match=r"train\.tar: holds no pictures"):
        prepare(tmp_path)
    with pytest.raises(DataError, match=r"train: nothing of its shards can be learned from: .*holds no pictures"):
        prepare_caption_shards([tmp_path / "shards"], tmp_path / "other", skip_damaged=True, jobs=1)


def test_an_interrupted_run_goes_on_with_the_next_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"train-{number}": sample(str(number)) for number in range(3)})
    whole = prepare_caption_shards([tmp_path / "shards"], tmp_path / "whole", jobs=2)
    looked_at: list[str] = []
    look = caption_shards.index_shard

    def look_or_die(work: caption_shards.ShardIndexing) -> None:
        looked_at.append(work.name)
        if len(looked_at) == 2:
            raise KeyboardInterrupt
        look(work)

    monkeypatch.setattr(caption_shards, "index_shard", look_or_die)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path)
    assert not (tmp_path / "out/dataset.json").exists()
    shards = [tmp_path / f"shards/train-{number}.tar" for number in (2, 1, 0)]
    again = prepare_caption_shards(shards, tmp_path / "out", jobs=1)
    assert looked_at == ["train-0.tar", "train-1.tar", "train-1.tar", "train-2.tar"]
    assert whole.hash() == again.hash()
    assert prepare(tmp_path).hash() == again.hash(), "and then does nothing"
    assert len(looked_at) == 4


def test_other_shards_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {f"train-{number:03d}": sample(str(number)) for number in range(30)})
    prepare(tmp_path)
    write(tmp_path, {"train-030": sample("30")})
    with pytest.raises(DataError, match=r"prepared differently \(shards .* … .*choose another folder") as raised:
        prepare(tmp_path)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("coco-train2014-00", "train"),
        ("Train_0", "train"),
        ("val", "dev"),
        ("cc-validation-1", "dev"),
        ("dev0", "dev"),
        ("test/00", "test"),
        ("val/train", "train"),
        ("contest", None),
        ("latest/0", None),
        ("trained", None),
    ],
)
def test_splits_by_name(tmp_path: Path, name: str, split: str | None) -> None:
    write(tmp_path, {name: sample("a")})
    shard = tmp_path / f"shards/{name}.tar"
    if split is None:
        with pytest.raises(DataError, match="its name says no split; give --split"):
            prepare_caption_shards([shard], tmp_path / "out", jobs=1)
    else:
        assert list(prepare_caption_shards([shard], tmp_path / "out", jobs=1).splits) == [split]


def test_splits_by_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"b-{number}": sample(str(number)) for number in range(4)})
    monkeypatch.chdir(tmp_path)
    command = ["prepare", "shards", "shards", "out", "--jobs", "1"]
    for given, says in (
        (["--split", "train"], "need NAME=GLOB"),
        (["--split", "train=b-[012].tar"], "b-3.tar: fits no --split"),
        (["--split", "train=*", "--split", "dev=c-*"], "none of the 4 shards is called so"),
        (["--split", "../x=*"], "is no name for a split"),
    ):
        assert run([*command, *given]) != 0
        assert says in capsys.readouterr().err
        assert not os.path.exists("out")
    assert run([*command, "--split", "dev=b-3*", "--split", "train=*"]) == 0
    assert capsys.readouterr().out == "out: shards is ready (3 train, 1 dev)\n"
    assert json.loads(Path("out/dataset.json").read_bytes())["roots"] == {"picture": "../shards"}


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"train": [*sample("a"), ("b.png", b"x"), ("b.txt", b"a cat"), ("c.txt", b"a cat")]})
    command = ["prepare", "shards", str(tmp_path / "shards"), str(tmp_path / "out"), "--jobs", "1"]
    assert run(command) == 2
    assert "--skip-damaged" in capsys.readouterr().err
    other = [*command[:3], str(tmp_path / "other"), "--jobs", "1", "--skip-damaged"]
    assert run(other) == 0
    assert "left out 2 that are damaged, see damaged.txt" in capsys.readouterr().out
