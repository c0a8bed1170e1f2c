"""Shards as WebDataset writes them, and shards that want to do harm."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.data.shards import (
    MAX_HEADER,
    Place,
    list_shards,
    read_groups,
    read_place,
    read_samples,
    split_name,
)
from tiny_shards import write_shard

SUFFIXES = (".jpg", ".png")
LIMITS = {".jpg": 1000, ".png": 1000, ".txt": 10}


def read(path: Path, max_bytes: int = 1000) -> list[tuple[str, bytes, str]]:
    return [tuple(sample) for sample in read_samples(path, SUFFIXES, max_bytes)]


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_samples_in_their_order(tmp_path: Path, format: int) -> None:
    long = "deep/" * 30 + "photo" if format != tarfile.USTAR_FORMAT else "photo"
    members = [("a.jpg", b"A" * 600), ("a.json", b"{}"), ("b/c.PNG", b"C"), (f"{long}.jpg", b""), ("ä.jpg", b"D")]
    found = read(write_shard(tmp_path / "x.tar", members, format))
    assert found == [("a", b"A" * 600, ""), ("b/c", b"C", ""), (long, b"", ""), ("ä", b"D", "")]


def test_names_are_cut_at_the_first_dot_of_the_file() -> None:
    assert split_name("v1.2/0001.left.JPG") == ("v1.2/0001", ".left.jpg")
    assert split_name("0001") == ("0001", "")


def test_members_that_are_refused_and_those_that_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"special{kind!r}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, content in (("../up.jpg", b"u"), ("/root.jpg", b"r"), ("big.jpg", b"b" * 2000), ("a.jpg", b"a")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo("a.png"))
    found = {key: error for key, _, error in read(path)}
    assert list(found) == ["../up", "/root", "big", "a"]
    assert "climbs out" in found["../up"]
    assert "climbs out" in found["/root"]
    assert "larger than" in found["big"]
    assert [(key, content) for key, content, error in read(path) if not error] == [("a", b"a")]
    assert read(path)[-1] == ("a", b"", "is there twice")


def cut(content: bytes) -> bytes:
    return content[:700]


def without_end(content: bytes) -> bytes:
    return content[: 2 * 512]


def declares_too_much(content: bytes) -> bytes:
    """A member of 8 GiB less a byte, of which nothing is there."""
    info = tarfile.TarInfo("a.jpg")
    info.size = 8**11 - 1
    return info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


def huge_header(content: bytes) -> bytes:
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, MAX_HEADER + 512
    return info.tobuf(tarfile.USTAR_FORMAT) + bytes(MAX_HEADER + 2048)


def damaged_header(content: bytes) -> bytes:
    record = b"999999 path=a.jpg\n"
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + content


def negative_size(content: bytes) -> bytes:
    record = b"12 size=-99\n"
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + content


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (cut, "cut off"),
        (without_end, "cut off"),
        (declares_too_much, "cut off"),
        (huge_header, "has a header of"),
        (damaged_header, "damaged header"),
        (negative_size, "has no size"),
        (lambda content: b"", "empty"),
        (lambda content: b"x" * 2048, "no tar file"),
        (lambda content: b"\x1f\x8b" + bytes(2048), "is compressed"),
    ],
)
def test_a_shard_that_cannot_be_read_to_its_end(tmp_path: Path, harm: Callable[[bytes], bytes], says: str) -> None:
    path = write_shard(tmp_path / "x.tar", [("a.jpg", b"A" * 400), ("b.jpg", b"B" * 400)], tarfile.USTAR_FORMAT)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=says) as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_missing_shard(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the shard"):
        read(tmp_path / "nowhere.tar")


def groups(path: Path) -> list[tuple[str, list[tuple[str, bytes]], str]]:
    return [
        (found.key, [(one.suffix, one.content) for one in found.members], found.error)
        for found in read_groups(path, LIMITS)
    ]


def test_members_of_a_sample_come_together(tmp_path: Path) -> None:
    members = [("a.txt", b"an a"), ("a.json", b"{}"), ("a.JPG", b"A"), ("b/c.cls", b"1"), ("b/c.png", b"C" * 700)]
    found = groups(write_shard(tmp_path / "x.tar", members))
    assert found == [("a", [(".txt", b"an a"), (".jpg", b"A")], ""), ("b/c", [(".png", b"C" * 700)], "")]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("../a.jpg", b"A")], "climbs out"),
        ([("/a.jpg", b"A")], "is absolute"),
        ([("a.jpg", b"A" * 1001)], "is larger than"),
        ([("a.jpg", b"A"), ("a.txt", b"far too long")], "is larger than"),
        ([("a.jpg", b"A"), ("a.jpg", b"B")], "has two .jpg"),
    ],
)
def test_a_sample_with_a_member_that_is_refused_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes]], says: str
) -> None:
    first, last = groups(write_shard(tmp_path / "x.tar", [*members, ("z.jpg", b"Z")]))
    assert says in first[2]
    assert first[1] == []
    assert last == ("z", [(".jpg", b"Z")], "")


def test_members_that_do_not_stand_together(tmp_path: Path) -> None:
    found = groups(write_shard(tmp_path / "x.tar", [("a.jpg", b"A"), ("b.jpg", b"B"), ("a.txt", b"an a")]))
    assert [error for _, _, error in found] == ["", "", "is there twice, or its members do not stand together"]


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_was_found_is_read_again_by_its_place(tmp_path: Path, format: int) -> None:
    names = ["a.jpg", f"{'deep/' * 30}b.jpg", "ä.jpg"]
    path = write_shard(tmp_path / "x.tar", [(name, name.encode() * 9) for name in names], format)
    places = [
        Place(member.offset, len(member.content), hashlib.sha256(member.content).hexdigest())
        for group in read_groups(path, {".jpg": 10000})
        for member in group.members
    ]
    with open(path, "rb") as file:
        assert [read_place(file, str(path), place) for place in reversed(places)] == [
            name.encode() * 9 for name in reversed(names)
        ]
        for wrong in (places[0]._replace(offset=513), places[0]._replace(n_bytes=10**6), Place(10**30, 1, "")):
            with pytest.raises(DataError, match=r"x\.tar: ") as raised:
                read_place(file, str(path), wrong)
            assert "\n" not in str(raised.value)


def test_shards_of_folders_stand_in_order_and_come_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("more").mkdir()
    for name in ("z.tar", "more/b.tar", "more/a.tar", "more/a.txt"):
        Path(name).touch()
    found = list_shards(["z.tar", "more", Path("more/a.tar")])
    assert found == [str(tmp_path / name) for name in ("z.tar", "more/a.tar", "more/b.tar")]
    Path("empty").mkdir()
    for place, says in (("empty", "no shards"), ("y.tar", "no such shard")):
        with pytest.raises(DataError, match=f"^{place}: {says}" if place == "empty" else says):
            list_shards([place])
