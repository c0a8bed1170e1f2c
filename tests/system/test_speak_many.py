"""`optophone speak` of folders, lists and patterns: many processes, one report, and nothing lost when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from optophone.cli.main import run
from optophone.cli.output_folder import Report, claim_folder
from optophone.cli.worker_pool import Failure, WorkerPool
from optophone.core.errors import ConfigurationError
from pool_work import Doubling, Refusing
from tiny_bundles import BRIGHT, DARK, picture, write_system

OPTOPHONE = [sys.executable, "-m", "optophone.cli.main"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_system(tmp_path_factory.mktemp("bundles") / "system"))


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """album/ with two pictures, one of them below another folder, a text, and one that is no picture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "album/trip").mkdir(parents=True)
    Image.fromarray(picture(True)).save("album/lawn.jpg")
    Image.fromarray(picture(False)).save("album/trip/night.PNG")
    Path("album/broken.jpg").write_text("no picture")
    Path("album/notes.txt").write_text("not a picture's name")
    return tmp_path


def report(folder: str = "spoken") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "report.jsonl").read_bytes().splitlines()]


def files(folder: str = "spoken") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_a_folder_is_spoken_with_one_line_for_each(album: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["speak", "album", "-m", system, "-o", "spoken", "--workers", "2"]) == 2
    _, err = capfd.readouterr()
    assert "optophone: album/broken.jpg" in err
    assert "2 of 3 pictures are spoken in spoken" in err
    assert "failed: 1" in err
    assert files() == ["lawn.wav", "report.jsonl", "request.json", "trip/night.wav"]
    broken, lawn, night = report()
    assert broken["picture"] == "album/broken.jpg"
    assert "not a picture" in broken["error"]
    assert lawn.keys() == {"picture", "caption", "confidence", "audio", "duration_s", "seconds"}
    assert (lawn["caption"], lawn["audio"]) == (BRIGHT, "lawn.wav")
    assert (night["caption"], night["audio"]) == (DARK, "trip/night.wav")
    assert lawn["duration_s"] == pytest.approx(soundfile.info("spoken/lawn.wav").duration, abs=1e-3)
    # The same sound as that of one photo by itself.
    assert run(["speak", "album/lawn.jpg", "-m", system, "-q", "-o", "alone.wav"]) == 0
    assert np.array_equal(soundfile.read("alone.wav")[0], soundfile.read("spoken/lawn.wav")[0])


def test_again_does_only_what_is_missing(album: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    arguments = ["speak", "album", "-m", system, "-o", "spoken", "--workers", "1"]
    assert run(arguments) == 2
    written = Path("spoken/lawn.wav").stat().st_mtime_ns
    Path("spoken/trip/night.wav").unlink()
    Image.fromarray(picture(True)).save("album/broken.jpg")  # mended
    with open("spoken/report.jsonl", "ab") as torn:
        torn.write(b'{"picture": "album/la')  # as a kill in the middle of a line leaves it
    assert run(arguments) == 0
    assert "3 of 3 pictures are spoken" in capfd.readouterr().err
    assert Path("spoken/lawn.wav").stat().st_mtime_ns == written
    assert [line["audio"] for line in report()] == ["broken.wav", "lawn.wav", "trip/night.wav"]
    assert run(arguments) == 0
    assert "nothing was left to do" in capfd.readouterr().err
    assert run([*arguments, "--speed", "2"]) == 2
    assert "speed 1.0 there, 2.0 asked for" in capfd.readouterr().err


def test_lists_patterns_and_names_that_meet(album: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    Image.fromarray(picture(False)).save("album/lawn.png")
    Path("names.txt").write_text("album/lawn.png\n\nalbum/lawn.jpg\nnowhere.jpg\n")
    assert run(["speak", "--list", "names.txt", "--json", "-m", system, "-o", "a", "--workers", "1", "-q"]) == 2
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {line["picture"] for line in lines} == {"album/lawn.png", "album/lawn.jpg", "nowhere.jpg"}
    assert [line.get("audio") for line in report("a")] == ["lawn.wav", "lawn.jpg.wav", None]
    pattern = ["speak", "--glob", "album/**/*.PNG", "-m", system, "-o", "b", "--format", "flac", "--workers", "1"]
    assert run(pattern) == 0
    assert files("b") == ["night.flac", "report.jsonl", "request.json"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--glob", "*.tiff"], "no files of this pattern"),
        (["--list", "nowhere.txt"], "nowhere.txt: cannot read the list"),
        (["album", "-o", "-"], "Many pictures go to a folder"),
        (["album", "-o", "album"], "album: not empty, and not begun by this command"),
        (["album", "-o", "album/lawn.jpg"], "is a file"),
        (["album/trip/..", "-m", "nobody"], "nobody: no bundle of this name"),
        (["empty"], "empty: no pictures in this folder"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_one_line(
    album: Path, system: str, capfd: pytest.CaptureFixture, arguments: list[str], says: str
) -> None:
    Path("empty").mkdir()
    assert run(["speak", "-m", system, *arguments]) == 2
    assert says in capfd.readouterr().err


def begin(album: Path, system: str, n: int) -> subprocess.Popen[bytes]:
    """Speak many copies of a picture, and come back when some are done."""
    for i in range(n):
        os.link(album / "album/lawn.jpg", album / f"album/{i:04}.jpg")
    command = [*OPTOPHONE, "speak", "album", "-m", system, "-o", "spoken", "--workers", "2"]
    process = subprocess.Popen(command, cwd=album, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    lines = album / "spoken/report.jsonl"
    while (not lines.exists() or lines.read_bytes().count(b"\n") < 5) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def assert_gone(workers: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers), "workers end with the command"


def test_a_kill_leaves_whole_files_and_no_processes_and_is_taken_up(
    album: Path, system: str, capfd: pytest.CaptureFixture
) -> None:
    process = begin(album, system, 300)
    workers = children_of(process.pid)
    process.kill()
    process.communicate()
    assert_gone(workers)
    done = [line["audio"] for line in report() if "audio" in line]
    assert 0 < len(done) < 300
    assert all(soundfile.info(path).frames for path in Path("spoken").rglob("*.wav"))
    before = {name: (Path("spoken") / name).stat().st_mtime_ns for name in done}
    assert run(["speak", "album", "-m", system, "-o", "spoken", "--workers", "2", "-q"]) == 2
    assert len([line for line in report() if "audio" in line]) == 302
    assert {name: (Path("spoken") / name).stat().st_mtime_ns for name in done} == before
    assert not [name for name in files() if name.endswith(".part")]


def test_ctrl_c_is_clean(album: Path, system: str) -> None:
    process = begin(album, system, 300)
    workers = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in complaints
    assert_gone(workers)
    assert not [name for name in files() if name.endswith(".part")]


# ---------------------------------------------------------------------------------------------------------------------
# The pool, and the folder


def test_a_pool_outlives_its_processes(tmp_path: Path) -> None:
    with WorkerPool(Doubling(str(tmp_path)), 2) as pool:
        found = dict(pool.run(range(8)))
    assert {number: found[number] for number in (0, 1, 2, 5, 7)} == {0: 0, 1: 2, 2: 4, 5: 10, 7: 14}
    assert found[3] == Failure("three is refused")
    assert isinstance(found[4], Failure)
    assert found[4].message.startswith("unexpected ZeroDivisionError at pool_work.py:")
    assert found[6] == Failure("the process that worked on it died, 2 times")


def test_a_pool_that_cannot_begin_says_why() -> None:
    with pytest.raises(ConfigurationError, match="cannot begin"), WorkerPool(Refusing(), 2) as pool:
        list(pool.run([1, 2]))


def test_a_report_outlives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    path.write_bytes(b'{"picture": "a", "audio": "a.wav"}\n{"picture": "b", "au')
    written = Report(path, "picture")
    assert list(written.lines) == ["a"]
    written.add({"picture": "c"})
    again = Report(path, "picture")
    assert list(again.lines) == ["a", "c"]
    again.finish(["c", "a"])
    assert path.read_bytes() == b'{"picture": "c"}\n{"picture": "a", "audio": "a.wav"}\n'


def test_a_folder_belongs_to_one_request(tmp_path: Path) -> None:
    claim_folder(tmp_path / "out", {"speed": 1.0, "names": ("a",)})
    claim_folder(tmp_path / "out", {"speed": 1.0, "names": ("a",)})
    with pytest.raises(ConfigurationError, match=r"speed 1\.0 there, 2\.0 asked for"):
        claim_folder(tmp_path / "out", {"speed": 2.0, "names": ("a",)})
    (tmp_path / "out/request.json").write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        claim_folder(tmp_path / "out", {})
