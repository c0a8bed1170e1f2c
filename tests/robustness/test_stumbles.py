"""Commands that are killed, or run out of disk, at any step: nothing half-written, one line, a restart completes."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from optophone.cli.main import run
from robustness.corpus import write_corpus
from robustness.stumble import files_below, reports
from tiny_bundles import picture, write_system
from tiny_datasets import write_speech

FAULTS = ("kill", "full", "short", "torn")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, a system bundle, a unit bundle, a data set of speech, and the LJSpeech layout."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "photos").mkdir()
    for name, bright in (("a.jpg", True), ("b.png", False)):
        Image.fromarray(picture(bright)).save(folder / "photos" / name)
    write_system(folder / "system")
    write_corpus("bundles", folder / "corpus")
    (folder / "corpus" / "k-means").rename(folder / "k-means")
    shutil.copytree(folder / "system/acoustic", folder / "older")
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards/p.tar", "w") as shard:
        for path in sorted((folder / "photos").iterdir()):
            shard.add(path, path.name)
    write_speech(folder / "speech", sample_rate=8000)
    (folder / "lj" / "wavs").mkdir(parents=True)
    wave = 0.2 * np.sin(np.arange(4000) * 0.2)
    names = [f"LJ001-{i:04}" for i in range(4)]
    for name in names:
        soundfile.write(folder / "lj" / "wavs" / f"{name}.wav", wave, 22050)
    (folder / "lj" / "metadata.csv").write_text("".join(f"{name}|Two dogs.|Two dogs.\n" for name in names))
    return folder


def seen(files: dict[str, str]) -> dict[str, str]:
    """Without hidden files and those that say by their names that they are unfinished."""
    parts = (".part", ".partial")
    return {name: value for name, value in files.items() if "/." not in f"/{name}" and not name.endswith(parts)}


def of(report: dict[str, Any], folder: str, when: str = "files") -> dict[str, str]:
    """The files of a folder, hidden ones included."""
    return {name: value for name, value in report[when].items() if name.startswith(folder)}


def check(whole: dict[str, Any], *faulty: dict[str, Any], fault: str, finished: str) -> None:
    """Whatever the step: no `finished` that is not whole, a plain error, and a restart that ends as `whole` did."""
    for report in faulty:
        where = (report["step"], report["status"], report["stderr"])
        if fault == "kill":
            assert report["status"] == -9, where
        elif fault == "torn":
            assert report["status"] in (-signal.SIGXFSZ, 0), where  # 0: nothing was left to write
        elif report["status"]:
            lines = report["stderr"].splitlines()
            assert report["status"] == 2, where
            assert "Traceback" not in report["stderr"], where
            assert sum(line.startswith("optophone: ") for line in lines) >= 1, where
            assert not [name for name in report["files"] if name.endswith((".part", ".partial"))], where
        for name in report["files"]:
            if name == finished or (name.startswith(finished + "/") and finished + "/bundle.json" in report["files"]):
                assert report["files"][name] == whole["files"][name], (name, *where)
        assert report["again"] == 0, (report["second"], *where)
        assert seen(report["afterwards"]) == seen(whole["files"]), where


@pytest.mark.parametrize("fault", FAULTS)
def test_speaking(place: Path, fault: str) -> None:
    command = ["speak", "photos/a.jpg", "-m", "system", "-o", "out.mp3"]
    check(*reports(place, "optophone.cli.speak", fault, 9, command), fault=fault, finished="out.mp3")


@pytest.mark.parametrize("fault", FAULTS)
def test_preparing(place: Path, fault: str) -> None:
    command = ["prepare", "ljspeech", "lj", "made"]
    check(*reports(place, "optophone.cli.prepare", fault, 7, command), fault=fault, finished="made/dataset.json")


@pytest.mark.parametrize("fault", FAULTS)
def test_writing_units(place: Path, fault: str) -> None:
    command = ["units", "speech", "-m", "k-means", "-o", "column"]
    check(*reports(place, "optophone.cli.units", fault, 7, command), fault=fault, finished="column/dataset.json")


@pytest.mark.parametrize("fault", FAULTS)
def test_exporting(place: Path, fault: str) -> None:
    command = ["export", "system/captioner", "system/acoustic", "-o", "bundle"]
    check(*reports(place, "optophone.cli.export", fault, 7, command), fault=fault, finished="bundle")


@pytest.mark.parametrize("fault", FAULTS)
def test_replacing_a_bundle(place: Path, fault: str) -> None:
    """At no moment is there neither the older one nor the new one."""
    command = ["export", "system/captioner", "system/acoustic", "-o", "older"]
    whole, *faulty = reports(place, "optophone.cli.export", fault, 7, command)
    before = {"files": files_below(place)}
    for report in faulty:
        assert of(report, "older/") in (of(before, "older/"), of(whole, "older/")), report["step"]
        assert report["again"] == 0, report["second"]
        assert of(report, "older/", "afterwards") == of(whole, "older/")
        assert not [name for name in report["afterwards"] if name.startswith(".")], "left for ever"


@pytest.mark.parametrize("fault", FAULTS)
def test_working_in_bulk(place: Path, fault: str) -> None:
    modules = "optophone.cli.bulk,optophone.cli.shard_work,robustness.in_process"
    command = ["bulk", "speak", "shards/p.tar", "-m", "system", "-o", "spoken"]
    whole, *faulty = reports(place, modules, fault, 9, command)
    check(whole, *faulty, fault=fault, finished="spoken/p.jsonl")
    for report in faulty:
        if "spoken/p.jsonl" in report["files"]:
            assert report["files"]["spoken/p.tar"] == whole["files"]["spoken/p.tar"]
        assert of(report, "spoken/", "afterwards") == of(whole, "spoken/")


@pytest.mark.parametrize("writable", [True, False])
def test_speaking_needs_no_home_and_leaves_nothing_there(place: Path, tmp_path: Path, writable: bool) -> None:
    """No settings and no cache; ONNX Runtime, too, keeps its data base of events elsewhere: nowhere."""
    home = tmp_path / "home" if writable else Path("/proc/nowhere")
    (tmp_path / "home").mkdir()
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(home))
    environment = {**os.environ, **homes, "OMP_NUM_THREADS": "1"}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-m", "optophone", "speak", str(place / "photos/a.jpg"), "-m", str(place / "system")]
    options = ["-o", "out.wav", "-q"]
    done = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert soundfile.info(tmp_path / "out.wav").frames
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("target", ["/dev/full", "/proc/nowhere/out.wav"])
def test_what_cannot_be_written_is_said_in_a_line(place: Path, target: str, capfd: pytest.CaptureFixture) -> None:
    options = ["-o", target, "-q"] + (["--format", "wav"] if target == "/dev/full" else [])
    assert run(["speak", str(place / "photos/a.jpg"), "-m", str(place / "system"), *options]) == 2
    error = capfd.readouterr().err
    assert error.startswith("optophone: ")
    assert error.count("\n") == 1


def test_one_flipped_bit_in_any_file_of_a_bundle(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    files = sorted(path for path in (place / "system").rglob("*") if path.is_file())
    assert len(files) >= 10
    out = tmp_path / "out.wav"
    for path in files:
        content = path.read_bytes()
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            status = run(["speak", str(place / "photos/a.jpg"), "-m", str(place / "system"), "-o", str(out), "-q"])
        finally:
            path.write_bytes(content)
        error = capfd.readouterr().err
        assert (status, error.count("\n")) == (2, 1), (path, error)
        assert error.startswith("optophone: ")
        assert str(place / "system") in error
        assert not out.exists()
