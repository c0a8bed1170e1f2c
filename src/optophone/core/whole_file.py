"""Files and folders that are there as a whole or not at all, and what killed writers leave of them.

What is written gathers under a hidden name beside its target and is renamed at the end. The hidden name is made from
the target's, so that the next writer of the same target takes over what a killed one left there; a lock, which the
system gives back when its holder dies, tells the dead from the living. The name holds the machine's too, since on some
shared disks a lock is seen on one machine only. Where a disk has no locks, nothing is taken over or collected.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Self

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What another machine left counts as abandoned when nothing in it has changed for so long.
FOREIGN_S = 24 * 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WAYS_OUT = {
    **dict.fromkeys(_FULL, "make room or choose another place"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "choose another place"),
}
_PART = re.compile(r"\.optophone-(?P<machine>[0-9a-f]{8})-[0-9a-f]{12}-(\d+|x[0-9a-f]{8})\.part")
_MOST_WRITERS = 64
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD of fcntl.h, RENAME_EXCHANGE of linux/fs.h


class Unfinished:
    """A hidden sibling of `target` to write to, of no other process until it is put in place or discarded.

    A context manager: what is not in place on leaving is discarded.

    Args:
        target: the file or folder to be; where it is a link, what the link leads to.
        is_folder: whether a folder is made.

    Attributes:
        path: where to write; an empty file or folder at first.

    Raises:
        OSError: it cannot be made; the error names `target`.
    """

    def __init__(self, target: str | os.PathLike[str], is_folder: bool = False) -> None:
        self.target = Path(os.path.realpath(target))
        with errors_naming(target):
            self.path, self._lock = _claim(self.target, is_folder)
        self._is_ours = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.discard()

    def put_in_place(self) -> None:
        """Force the file to the disk and give it the target's name; an OSError names the target."""
        with errors_naming(self.target, self.path):
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
            if fcntl is None:
                self._release()  # Windows renames no open file
            os.replace(self.path, self.target)
        self._release()

    def put_folder_in_place(self) -> None:
        """Give the folder the target's name, and remove what had it; where the disk can exchange the two names, there
        is one of them at any moment."""
        old = _lock_existing(self.target)  # nobody may take it over under the hidden name while it is being removed
        try:
            if not self.target.exists():
                os.rename(self.path, self.target)
            elif _exchange(self.path, self.target):
                shutil.rmtree(self.path, ignore_errors=True)
            else:
                self._rename_aside()
        finally:
            if old is not None:
                os.close(old)
        self._release()

    def discard(self) -> None:
        """Remove it; nothing happens where it is in place."""
        if self._is_ours:
            with contextlib.suppress(OSError):
                _remove(self.path)
            self._release()

    def _rename_aside(self) -> None:
        aside = self.target.with_name(f".{self.target.name}.{os.getpid()}.old")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(self.target, aside)
        try:
            os.rename(self.path, self.target)
        except OSError:
            os.rename(aside, self.target)
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def _release(self) -> None:
        self._is_ours = False
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextlib.contextmanager
def whole_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """The name to write `target` under: it becomes `target` at the end, and an exception leaves that as it was.

    Raises:
        OSError: it cannot be written; the error names `target`.
    """
    with Unfinished(target) as part, errors_naming(target, part.path):
        yield part.path
        part.put_in_place()


def write_whole(target: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write `content` so that a reader sees the old file or the whole new one, never a part.

    Raises:
        OSError: it cannot be written; the error names `target`.
    """
    with whole_file(target) as path, open(path, "wb") as file:
        file.write(content)


def is_unfinished(path: Path) -> bool:
    """Whether the name is a hidden one of this module: something that is being written, or was when its writer died."""
    return _PART.fullmatch(path.name) is not None


def collect_unfinished(folder: Path) -> None:
    """Remove from `folder`, and from the folders in it, what writers that are dead left half written.

    What belongs to a process that runs stays, and so does what another machine wrote to in the last day.
    """
    for path in [path for path in folder.rglob(".optophone-*.part") if is_unfinished(path)]:
        with contextlib.suppress(OSError):
            _collect(path)


@contextlib.contextmanager
def errors_naming(target: str | os.PathLike[str], *parts: Path) -> Iterator[None]:
    """Let an OSError that names nothing, or one of the hidden `parts` of `target`, name `target`."""
    try:
        yield
    except OSError as error:
        named = error.filename
        is_other = isinstance(named, str | bytes) and parts and Path(os.fsdecode(named)) not in parts
        if is_other or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(target)) from error


def is_full(error: OSError) -> bool:
    """Whether the disk has no room for what was to be written."""
    return error.errno in _FULL


def why_unwritten(error: OSError) -> str:
    """What the system says; and the way out, where the disk is full or may not be written to."""
    way_out = _WAYS_OUT.get(error.errno or 0)
    told = error.strerror or str(error)
    return f"{told}; {way_out}" if way_out else told


def _claim(target: Path, is_folder: bool) -> tuple[Path, int | None]:
    """A new or abandoned hidden sibling of `target`, emptied, and the descriptor that holds its lock, if it has one."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]
    stem = f".optophone-{_machine()}-{digest}-"
    for number in range(_MOST_WRITERS if fcntl else 0):
        path = target.with_name(f"{stem}{number}.part")
        is_new = _make(path, is_folder)
        lock = _lock_existing(path)
        if lock is not None and path.is_dir() != is_folder:  # what a writer of the other kind left
            _remove(path)
            os.close(lock)
            is_new, lock = _make(path, is_folder), _lock_existing(path)
        if lock is not None:
            if not is_new:
                _empty(path, lock)
            with contextlib.suppress(OSError):
                _collect(target.with_name(f"{stem}{number + 1}.part"))
            return path, lock
        if is_new and not _has_locks(path):
            _remove(path)
            break
    path = target.with_name(f"{stem}x{secrets.token_hex(4)}.part")
    _make(path, is_folder)
    return path, None


def _make(path: Path, is_folder: bool) -> bool:
    """Whether it was made; False where it is there already."""
    try:
        if is_folder:
            path.mkdir()
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _lock_existing(path: Path) -> int | None:
    """A descriptor that holds the lock of our file or folder `path`; None where that is not to be had."""
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
        descriptor = os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    if _is_own(descriptor) and _lock(descriptor) and _is_same(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool | None:
    """Whether the lock was taken; None where there are none."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _has_locks(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _lock(descriptor) is not None
    finally:
        os.close(descriptor)


def _is_own(descriptor: int) -> bool:
    """In a folder that all may write to, what bears our name may be a trap of somebody else."""
    return not hasattr(os, "geteuid") or os.fstat(descriptor).st_uid == os.geteuid()


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether `path` still names what was opened, and not what came after it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _empty(path: Path, descriptor: int) -> None:
    if path.is_dir():
        for inside in path.iterdir():
            _remove(inside)
    else:
        os.ftruncate(descriptor, 0)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _collect(path: Path) -> None:
    match = _PART.fullmatch(path.name)
    if match is None or (match["machine"] != _machine() and time.time() - _last_change(path) < FOREIGN_S):
        return
    lock = _lock_existing(path)
    if lock is not None:
        _remove(path)
        os.close(lock)


def _last_change(path: Path) -> float:
    return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or the disk cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # no Linux, or an old one
        return False
    return renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


@functools.cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
