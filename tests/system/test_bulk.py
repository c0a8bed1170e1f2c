"""`optophone bulk`: shards in, shards out, the same whoever does them, and nothing lost when somebody dies."""

import io
import json
import signal
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from bulk_work import DyingOnce
from optophone.cli.bulk_run import BulkRun
from optophone.cli.main import run
from optophone.core.audio import encode_wave
from optophone.core.whole_file import Unfinished
from tiny_bundles import BRIGHT, DARK, picture, write_system
from tiny_speech_models import write_speech_model
from tiny_units import RATE, speech, write_units

LOCAL = ("--workers", "2")
RAY = ("--workers", "2", "--ray")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_system(tmp_path_factory.mktemp("bundles") / "system"))


def encoded(bright: bool) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(bright)).save(file, "PNG")
    return file.getvalue()


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three shards of pictures, of which the second has one that is none."""
    monkeypatch.chdir(tmp_path)
    Path("shards").mkdir()
    for number in range(3):
        members = {f"{number}{i}.png": encoded(i % 2 == 0) for i in range(4)}
        members |= {f"{number}0.json": b"{}"}
        if number == 1:
            members["bad.jpg"] = b"no picture"
            members["../../out.png"] = encoded(True)
        write_shard(Path(f"shards/p-{number}.tar"), members)
    return tmp_path


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_pictures_in_shards_are_spoken(shards: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["bulk", "speak", "shards", "-o", "out", "-m", system, *LOCAL]) == 2
    assert "3 of 3 shards are done in out (12 samples)" in capfd.readouterr().err
    assert sorted(contents("out")) == [
        *("p-0.jsonl", "p-0.tar", "p-1.jsonl", "p-1.tar", "p-2.jsonl", "p-2.tar"),
        "request.json",
    ]
    first = lines("out/p-0.jsonl")
    assert [line["key"] for line in first] == ["00", "01", "02", "03"]
    assert [line["caption"] for line in first] == [BRIGHT, DARK, BRIGHT, DARK]
    bad = {line["key"]: line["error"] for line in lines("out/p-1.jsonl") if "error" in line}
    assert list(bad) == ["bad", "../../out"]
    assert not (shards.parent / "out.png").exists()
    # The sound is the one that a photo by itself gets.
    Path("photo.png").write_bytes(encoded(False))
    assert run(["speak", "photo.png", "-m", system, "-q"]) == 0
    with tarfile.open("out/p-0.tar") as archive:
        assert archive.getnames() == ["00.wav", "01.wav", "02.wav", "03.wav"]
        member = archive.extractfile("01.wav")
        assert member is not None
        assert np.array_equal(soundfile.read(io.BytesIO(member.read()))[0], soundfile.read("photo.wav")[0])


def test_again_does_only_what_is_missing(shards: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    arguments = ["bulk", "speak", "shards/p-0.tar", "shards/p-2.tar", "-o", "out", "-m", system, "--workers", "1"]
    whole = Path("shards/p-2.tar").read_bytes()
    Path("shards/p-2.tar").write_bytes(whole[:3000])
    assert run(arguments) == 2
    assert "is cut off" in capfd.readouterr().err
    assert sorted(contents("out")) == ["p-0.jsonl", "p-0.tar", "request.json"]
    written = Path("out/p-0.jsonl").stat().st_mtime_ns
    Path("shards/p-2.tar").write_bytes(whole)
    with Unfinished("out/p-9.tar") as part:
        left = part.path
    left.write_bytes(b"left by a kill")
    assert run(arguments) == 0
    assert Path("out/p-0.jsonl").stat().st_mtime_ns == written
    assert sorted(contents("out")) == ["p-0.jsonl", "p-0.tar", "p-2.jsonl", "p-2.tar", "request.json"]
    assert run(arguments) == 0
    assert "nothing was left" in capfd.readouterr().err
    assert run([*arguments, "--speed", "2"]) == 2


def test_sounds_in_shards_become_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = str(write_units(tmp_path / "units"))
    sounds = {f"{i}.wav": encode_wave(speech(0.5, i), RATE, "wav") for i in range(3)}
    write_shard(tmp_path / "s.tar", {**sounds, "silence.wav": encode_wave(np.zeros(8000, np.float32), RATE, "wav")})
    assert run(["bulk", "units", "s.tar", "-m", bundle, "-o", "out", "--workers", "1", "-q"]) == 2
    *found, silent = lines("out/s.jsonl")
    assert "silent" in silent["error"]
    assert not Path("out/s.tar").exists(), "units are in the lines"
    for i, line in enumerate(found):
        Path(f"{i}.wav").write_bytes(sounds[f"{i}.wav"])
        assert run(["units", f"{i}.wav", "-m", bundle, "--run-length", "lossless", "--json", "-o", "one.jsonl"]) == 0
        (one,) = lines("one.jsonl")
        assert {**one, "key": str(i)} == {**line, "audio": f"{i}.wav"}


def test_sounds_in_shards_become_units_of_hubert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_speech_model(tmp_path / "hubert")
    sound = encode_wave(speech(0.5, 0), RATE, "wav")
    write_shard(tmp_path / "s.tar", {"a.wav": sound})
    Path("a.wav").write_bytes(sound)
    name = f"hubert:{folder},layer=1,centres=hubert/centres.npy"
    arguments = ["bulk", "units", "s.tar", "-o", "out", "--workers", "1", "-q", "-m"]
    assert run([*arguments, name]) == 0
    (line,) = lines("out/s.jsonl")
    assert run(["units", "a.wav", "-m", name, "--run-length", "lossless", "--json", "-o", "one.jsonl"]) == 0
    (one,) = lines("one.jsonl")
    assert {**one, "key": "a"} == {**line, "audio": "a.wav"}
    assert len(line["units"].split()) > 1
    assert run([*arguments, name.replace("layer=1", "layer=2")]) == 2, "units of another layer go elsewhere"
    assert run([*arguments, name.replace("centres.npy", "none.npy")]) == 2
    assert "none.npy: no such centres" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.tar"], "nowhere.tar: no such shard"),
        (["empty"], "no shards"),
        (["shards/p-0.tar", "empty/../p-0.tar"], "has the name of"),
        (["shards", "-o", "shards"], "the shards lie there themselves"),
        (["shards", "-m", "nobody"], "no bundle of this name"),
    ],
)
def test_mistakes_are_one_line(
    shards: Path, system: str, capfd: pytest.CaptureFixture, arguments: list[str], says: str
) -> None:
    Path("empty").mkdir()
    Path("p-0.tar").write_bytes(Path("shards/p-0.tar").read_bytes())
    assert run(["bulk", "speak", "-m", system, "-o", "out", *arguments]) == 2
    err = capfd.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_without_ray_it_says_what_to_install(
    shards: Path, system: str, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["bulk", "speak", "shards", "-m", system, "-o", "out", "--ray"]) == 2
    assert "optophone[ray]" in capfd.readouterr().err


def test_a_worker_that_dies_is_replaced(shards: Path) -> None:
    work = DyingOnce(str(shards / "died"), signal.SIGKILL)
    assert BulkRun(work, {}, ["shards"], Path("out"), 2, True, False, None).run() == 2
    assert (shards / "died").exists()
    assert [len(lines(f"out/p-{i}.jsonl")) for i in range(3)] == [4, 6, 4]


@pytest.mark.slow
def test_ray_does_the_same_and_survives_a_killed_worker(
    shards: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # where its workers find bulk_work
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else its workers wait for everything else on the machine
    assert run(["bulk", "speak", "shards", "-o", "local", "-m", system, "-q", *LOCAL]) == 2
    assert run(["bulk", "speak", "shards", "-o", "ray", "-m", system, "-q", *RAY]) == 2
    assert contents("ray") == contents("local")
    work = DyingOnce(str(shards / "died"), signal.SIGKILL)
    assert BulkRun(work, {}, ["shards"], Path("killed"), 2, True, True, None).run() == 2
    assert (shards / "died").exists()
    assert BulkRun(DyingOnce(""), {}, ["shards"], Path("whole"), 1, True, False, None).run() == 2
    assert contents("killed") == contents("whole")
