"""Shards as WebDataset writes them, and shards that want to do harm."""

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.data.shards import MAX_HEADER, read_samples, split_name

SUFFIXES = (".jpg", ".png")


def write_shard(path: Path, members: Sequence[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


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
