"""Files that are whole or not there, and what writers that were killed leave."""

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from optophone.core import whole_file as module
from optophone.core.whole_file import Unfinished, collect_unfinished, is_unfinished, whole_file, write_whole

WRITER = "import sys, time; from optophone.core.whole_file import Unfinished\n"
WRITER += "part = Unfinished(sys.argv[1], bool(sys.argv[2])); print(part.path, flush=True); time.sleep(60)"


@contextlib.contextmanager
def writer(target: Path, is_folder: bool = False) -> Iterator[tuple[Path, subprocess.Popen]]:
    """Another process that is writing `target`: its hidden file, and the process."""
    command = [sys.executable, "-c", WRITER, str(target), "yes" if is_folder else ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        if is_folder:
            (path / "half").write_text("of it")
        else:
            path.write_text("half of it")
        try:
            yield path, process
        finally:
            process.kill()


def killed(target: Path, is_folder: bool = False) -> Path:
    """What a writer of `target` leaves that is killed."""
    with writer(target, is_folder) as (path, process):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.exists()
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_whole(target, b"old")
    with whole_file(target) as path:
        path.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        assert is_unfinished(path)
        assert path.parent == tmp_path
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == {"x.json"}


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_whole(target, b"old")
    for error in (ValueError, KeyboardInterrupt):
        with contextlib.suppress(error), whole_file(target) as path:
            path.write_bytes(b"half")
            raise error
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == {"x.json"}


def test_the_longest_names_links_and_rights(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"long")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"long"
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/there")
    write_whole(tmp_path / "link", b"seen through")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk/there").read_bytes() == b"seen through"
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / "disk/there").stat().st_mode == plain.stat().st_mode


def test_an_error_names_the_target(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "x.json"
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(target, b"")
    assert caught.value.filename == str(target)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match=r"x\.json") as full:
            write_whole(tmp_path / "x.json", b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (full.value.errno, full.value.filename) == (errno.EFBIG, str(tmp_path / "x.json"))
    assert not names(tmp_path)


def test_an_error_about_something_else_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "x") as path:
        path.write_bytes((tmp_path / "source").read_bytes())
    assert caught.value.filename == str(tmp_path / "source")


def test_the_next_writer_takes_over_what_a_killed_one_left(tmp_path: Path) -> None:
    left = killed(tmp_path / "x.json")
    with Unfinished(tmp_path / "x.json") as part:
        assert part.path == left
        assert part.path.read_bytes() == b""
    assert not names(tmp_path)
    left = killed(tmp_path / "bundle", is_folder=True)
    with Unfinished(tmp_path / "bundle", is_folder=True) as part:
        assert part.path == left
        assert not names(part.path)
    assert not names(tmp_path)


def test_a_writer_of_the_other_kind_leaves_no_trap(tmp_path: Path) -> None:
    for was, now in ((True, False), (False, True)):
        left = killed(tmp_path / "x", is_folder=was)
        with Unfinished(tmp_path / "x", is_folder=now) as part:
            assert part.path == left
            assert part.path.is_dir() == now
        assert not names(tmp_path)


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    with writer(target) as (theirs, _):
        write_whole(target, b"mine")
        collect_unfinished(tmp_path)
        assert theirs.read_text() == "half of it"
        assert names(tmp_path) == {"x.json", theirs.name}
    with Unfinished(target) as one, Unfinished(target) as two:
        assert one.path != two.path


def test_two_killed_writers_of_one_file_leave_nothing_to_the_third(tmp_path: Path) -> None:
    with writer(tmp_path / "x"), writer(tmp_path / "x"):
        pass
    assert len(names(tmp_path)) == 2
    write_whole(tmp_path / "x", b"")
    assert names(tmp_path) == {"x"}


def test_what_killed_writers_left_is_collected(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    killed(tmp_path / "deep/x.json")
    killed(tmp_path / "bundle", is_folder=True)
    for stranger in (".x.part", ".optophone-notes.part", "x.partial"):
        (tmp_path / stranger).touch()
    collect_unfinished(tmp_path)
    assert names(tmp_path) == {"deep", ".x.part", ".optophone-notes.part", "x.partial"}
    assert not names(tmp_path / "deep")


def test_another_machines_is_left_alone_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed(tmp_path / "x.json")
    monkeypatch.setattr(module, "_machine", lambda: "0123abcd")
    collect_unfinished(tmp_path)
    assert left.exists()
    with Unfinished(tmp_path / "x.json") as part:
        assert part.path != left
    old = time.time() - module.FOREIGN_S - 10
    os.utime(left, (old, old))
    collect_unfinished(tmp_path)
    assert not names(tmp_path)


def test_a_trap_is_not_written_to(tmp_path: Path) -> None:
    """In a folder that all may write to, somebody may guess the name."""
    with Unfinished(tmp_path / "x") as part:
        guessed = part.path
    (tmp_path / "precious").write_text("mine")
    guessed.symlink_to(tmp_path / "precious")
    write_whole(tmp_path / "x", b"text")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "x").is_symlink()
    assert guessed.is_symlink()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    left = killed(tmp_path / "y")

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    write_whole(tmp_path / "x", b"whole")
    with Unfinished(tmp_path / "b", is_folder=True) as part:
        (part.path / "inside").touch()
        part.put_folder_in_place()
    collect_unfinished(tmp_path)
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert names(tmp_path) == {"x", "b", left.name}


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    if not exchanges:
        monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    for name in ("one", "two"):
        with Unfinished(tmp_path / "b", is_folder=True) as part:
            (part.path / name).touch()
            part.put_folder_in_place()
        assert names(tmp_path) == {"b"}
        assert names(tmp_path / "b") == {name}


@pytest.mark.skipif(sys.platform != "linux", reason="exchanges names")
def test_folders_are_exchanged_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No moment without the one or the other: nothing is renamed."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/old").touch()
    with Unfinished(tmp_path / "b", is_folder=True) as part:
        if not module._exchange(part.path, tmp_path / "b"):
            pytest.skip("this disk cannot exchange names")
        assert names(part.path) == {"old"}
        assert module._exchange(part.path, tmp_path / "b")
        monkeypatch.setattr(os, "rename", lambda *names: pytest.fail("renamed"))
        part.put_folder_in_place()
    assert not names(tmp_path / "b")
    assert names(tmp_path) == {"b"}
