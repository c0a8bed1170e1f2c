"""Shards: tar files of samples, as WebDataset lays them out, read so that no archive can do harm.

Members of a sample stand together and share a name up to the first dot of the file name: `beach/0001.jpg` and
`beach/0001.json` are one sample, of key `beach/0001`. Nothing is unpacked to disk: names are keys and no paths. Headers
and members have limits, links and devices are passed over, and a shard that ends before its end mark is refused.

What was found in a shard once can be read again by its place, as long as it is what it was (`read_place`).

Source: WebDataset's description of its format; POSIX.1-2001, pax interchange format.
"""

import hashlib
import itertools
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from optophone.core.errors import DataError
from optophone.data.manifest import is_inside

BLOCK = 512
MAX_HEADER = 1 << 20  # bytes of an extended header; names and a size need some hundred


class Sample(NamedTuple):
    """A sound or a picture of a shard.

    Args:
        key: its name up to the first dot.
        content: the file, encoded as it is; b"" where there is an error.
        error: why it cannot be had, in a line; "" where it can.
    """

    key: str
    content: bytes
    error: str = ""


class Member(NamedTuple):
    """A file of a sample: the rest of its name from the first dot on, where its content begins, and the content."""

    suffix: str
    offset: int
    content: bytes


class Group(NamedTuple):
    """A sample with those of its members that are wanted, in their order; `error` as in `Sample`."""

    key: str
    members: tuple[Member, ...]
    error: str = ""


class Place(NamedTuple):
    """Where in a shard a member's content lies, and the hash that tells whether it is still the same."""

    offset: int
    n_bytes: int
    sha256: str


def list_shards(places: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The shards of `places`, absolute, each once; of a folder those that lie in it, in the order of their names.

    Raises:
        DataError: one is not there, or a folder without any.
    """
    found: list[str] = []
    for place in [os.fspath(place) for place in places]:
        inside = sorted(str(path) for path in Path(place).glob("*.tar")) if os.path.isdir(place) else [place]
        if not inside:
            raise DataError(f"{place}: no shards (*.tar) in this folder.")
        found += [os.path.abspath(name) for name in inside]
    for shard in found:
        if not os.path.isfile(shard):
            raise DataError(f"{shard}: no such shard.")
    return list(dict.fromkeys(found))


def read_samples(path: str | os.PathLike[str], suffixes: Sequence[str], max_bytes: int) -> Iterator[Sample]:
    """The members of a shard whose names end in one of `suffixes`, in their order, one of each key.

    Args:
        path: a tar file that is not compressed.
        suffixes: in lower case, with the dot.
        max_bytes: of a member; a larger one is a sample with an error.

    Raises:
        DataError: no tar file, damaged, or cut off.
    """
    seen: set[str] = set()
    try:
        with open(path, "rb") as file:
            for name, size in _members(file, str(path)):
                key, suffix = split_name(name)
                if suffix not in suffixes:
                    continue
                error = _refusal(name, size, max_bytes)
                if key in seen and is_inside(name):
                    error = "is there twice"
                seen.add(key)
                yield Sample(key, b"" if error else file.read(size), error)
    except OSError as error:
        raise DataError(f"{path}: cannot read the shard ({error.strerror}).") from None


def read_groups(path: str | os.PathLike[str], limits: Mapping[str, int]) -> Iterator[Group]:
    """The samples of a shard with all members whose suffixes are wanted, in their order.

    Args:
        path: a tar file that is not compressed.
        limits: suffix, in lower case and with the dot → the most bytes of such a member.

    Raises:
        DataError: no tar file, damaged, or cut off.
    """
    seen: set[str] = set()
    try:
        with open(path, "rb") as file:
            wanted = _wanted(file, str(path), limits)
            for key, found in itertools.groupby(wanted, key=lambda one: one[0]):
                members: list[Member] = []
                errors: list[str] = []
                for _, member, error in found:
                    errors += [error] if error else []
                    errors += [f"has two {member.suffix}"] if member.suffix in {one.suffix for one in members} else []
                    members.append(member)
                if key in seen:
                    errors.append("is there twice, or its members do not stand together")
                seen.add(key)
                yield Group(key, () if errors else tuple(members), errors[0] if errors else "")
    except OSError as error:
        raise DataError(f"{path}: cannot read the shard ({error.strerror}).") from None


def read_place(file: BinaryIO, path: str, place: Place) -> bytes:
    """The content of a member that was found in the shard before.

    Args:
        file: the shard, open.
        path: its name, for messages.
        place: where the member was.

    Raises:
        DataError: something else lies there now.
    """
    try:
        file.seek(place.offset)
        content = file.read(place.n_bytes)
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: cannot read the shard ({error}).") from None
    if len(content) != place.n_bytes or hashlib.sha256(content).hexdigest() != place.sha256:
        raise DataError(f"{path}: was changed or cut off since it was indexed; prepare the shards again.")
    return content


def split_name(name: str) -> tuple[str, str]:
    """`beach/0001.JPG` → (`beach/0001`, `.jpg`)."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return folder + slash + stem, (dot + suffix).lower()


def _wanted(file: BinaryIO, path: str, limits: Mapping[str, int]) -> Iterator[tuple[str, Member, str]]:
    """Key, member, and why the member is refused, if it is, of all members with a limit."""
    for name, size in _members(file, path):
        key, suffix = split_name(name)
        if suffix in limits:
            offset, error = file.tell(), _refusal(name, size, limits[suffix])
            yield key, Member(suffix, offset, b"" if error else file.read(size)), error


def _refusal(name: str, size: int, max_bytes: int) -> str:
    """Why a member is not read, "" where it is."""
    if not is_inside(name):
        return "has a name that is absolute or climbs out of its folder"
    return f"is larger than {max_bytes / 2**20:.0f} MiB" if size > max_bytes else ""


def _members(file: BinaryIO, path: str) -> Iterator[tuple[str, int]]:
    """Name and size of each plain file; `file` stands at its content then, and may be moved."""
    n_bytes = os.fstat(file.fileno()).st_size
    extended: dict[str, str] = {}
    while True:
        header = file.read(BLOCK)
        if len(header) == BLOCK and not any(header):
            return
        info = _parse(header, path)
        first, size = file.tell(), _size(info, extended, path)
        if first + size > n_bytes:
            raise DataError(f"{path}: is cut off ({info.name!a} goes on after its end); copy the shard again.")
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            if size > MAX_HEADER:
                raise DataError(f"{path}: has a header of {size} bytes; write the shard again.")
            extended |= _read_extended(file.read(size), info.type, path)
        else:
            name = extended.pop("path", info.name)
            extended = {}
            if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not name.endswith("/"):
                yield name, size
        file.seek(first + -(-size // BLOCK) * BLOCK)


def _parse(header: bytes, path: str) -> tarfile.TarInfo:
    if len(header) < BLOCK:
        raise DataError(f"{path}: is cut off, or empty; copy the shard again.")
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "replace")  # checks the header's sum
    except tarfile.HeaderError:
        compressed = header.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
        hint = "is compressed: unpack it to a plain .tar" if compressed else "is no tar file, or damaged"
        raise DataError(f"{path}: {hint}.") from None


def _size(info: tarfile.TarInfo, extended: dict[str, str], path: str) -> int:
    is_header = info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE)
    written = None if is_header else extended.pop("size", None)
    try:
        size = info.size if written is None else int(written)
    except ValueError:
        size = -1
    if size < 0:
        raise DataError(f"{path}: damaged: {info.name!a} has no size.")
    # Links, folders and devices have no content, whatever their headers say.
    return 0 if info.type in (tarfile.LNKTYPE, tarfile.SYMTYPE, *_NO_CONTENT) else size


_NO_CONTENT = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)


def _read_extended(content: bytes, kind: bytes, path: str) -> dict[str, str]:
    """What an extended header says of the next member's name and size."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": content.rstrip(b"\0").decode("utf-8", "replace")}
    found = {}
    while content.strip(b"\0"):
        length, space, _ = content.partition(b" ")
        n = int(length) if space and length.isdigit() and len(length) < 9 else 0
        if not len(length) + 1 < n <= len(content):
            raise DataError(f"{path}: has a damaged header; write the shard again.")
        name, _, value = content[len(length) + 1 : n].rstrip(b"\n").partition(b"=")
        if name in (b"path", b"size"):
            found[name.decode()] = value.decode("utf-8", "replace")
        content = content[n:]
    return found
