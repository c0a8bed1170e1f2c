"""Shards: tar files of samples, as WebDataset lays them out, read so that no archive can do harm.

Members of a sample stand together and share a name up to the first dot of the file name: `beach/0001.jpg` and
`beach/0001.json` are one sample, of key `beach/0001`. Nothing is unpacked to disk: names are keys and no paths. Headers
and members have limits, links and devices are passed over, and a shard that ends before its end mark is refused.

Source: WebDataset's description of its format; POSIX.1-2001, pax interchange format.
"""

import os
import tarfile
from collections.abc import Iterator, Sequence
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
                error = ""
                if not is_inside(name):
                    error = "has a name that is absolute or climbs out of its folder"
                elif key in seen:
                    error = "is there twice"
                elif size > max_bytes:
                    error = f"is larger than {max_bytes / 2**20:.0f} MiB"
                seen.add(key)
                yield Sample(key, b"" if error else file.read(size), error)
    except OSError as error:
        raise DataError(f"{path}: cannot read the shard ({error.strerror}).") from None


def split_name(name: str) -> tuple[str, str]:
    """`beach/0001.JPG` → (`beach/0001`, `.jpg`)."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return folder + slash + stem, (dot + suffix).lower()


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
