"""The command line as users type it: files, streams, JSON, bad pictures, exit statuses."""

import importlib.metadata
import io
import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import optophone
from optophone.cli.main import COMMANDS, run
from optophone.runtime.load import DEFAULT, EMBEDDED
from tiny_bundles import BRIGHT, DARK, picture, write_system, write_voice

OPTOPHONE = [sys.executable, "-m", "optophone.cli.main"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_system(tmp_path_factory.mktemp("bundles") / "system"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a bright photo.jpg and a dark night.png."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(True)).save("photo.jpg")
    Image.fromarray(picture(False)).save("night.png")
    return tmp_path


def call(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*OPTOPHONE, *arguments], input=stdin, capture_output=True, timeout=60, check=False)


def sounds(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg", ".mp3", ".part"))


# ---------------------------------------------------------------------------------------------------------------------
# speak


def test_a_photo_is_spoken_to_a_file_beside_the_user(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["speak", "photo.jpg", "-m", system]) == 0
    out, err = capfd.readouterr()
    assert out == f"{BRIGHT}  (confidence 95 %)\n"
    assert err.startswith("wrote photo.wav (")
    samples, rate = soundfile.read("photo.wav")
    assert rate == 8000
    assert np.abs(samples).max() > 0.001
    assert sounds(here) == ["photo.wav"]


def test_many_photos_go_to_a_folder(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    (here / "more").mkdir()
    Image.fromarray(picture(False)).save("more/photo.png")
    assert run(["speak", "photo.jpg", "more/photo.png", "night.png", "-o", "spoken", "-m", system, "-q"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        f"photo.jpg: {BRIGHT}",
        f"more/photo.png: {DARK}",
        f"night.png: {DARK}",
    ]
    assert sounds(here / "spoken") == ["night.wav", "photo-2.wav", "photo.wav"]


def test_one_bad_photo_does_not_stop_the_others(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    (here / "bad.jpg").write_text("no picture")
    assert run(["speak", "bad.jpg", "photo.jpg", "nowhere.jpg", "-m", system, "-q"]) == 2
    out, err = capfd.readouterr()
    assert out.startswith(f"photo.jpg: {BRIGHT}")
    assert [line.split()[1].strip(":") for line in err.splitlines()] == ["bad.jpg", "nowhere.jpg"]
    assert sounds(here) == ["photo.wav"]


@pytest.mark.parametrize(("options", "name", "kind"), [
    (["-o", "x.mp3"], "x.mp3", "MP3"),
    (["-o", "x.flac"], "x.flac", "FLAC"),
    (["--format", "ogg"], "photo.ogg", "OGG"),
    (["-o", "new/deep/", "--format", "flac"], "new/deep/photo.flac", "FLAC"),
])  # fmt: skip
def test_formats(here: Path, system: str, options: list[str], name: str, kind: str) -> None:
    assert run(["speak", "photo.jpg", "-m", system, "-q", *options]) == 0
    assert soundfile.info(name).format == kind
    assert len(sounds(here)) == 1


def test_the_photo_is_never_overwritten(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    content = (here / "photo.jpg").read_bytes()
    (here / "picture.wav").write_bytes(content)  # a photo with the name of a sound
    assert run(["speak", "picture.wav", "-m", system]) == 0
    assert "wrote picture-2.wav" in capfd.readouterr().err
    os.link("picture.wav", "same.wav")
    assert run(["speak", "picture.wav", "-o", "same.wav", "-m", system]) == 2
    assert "the picture itself" in capfd.readouterr().err
    assert (here / "picture.wav").read_bytes() == content


def test_json_is_one_line_per_photo(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    (here / "bad.jpg").write_text("no picture")
    assert run(["speak", "photo.jpg", "bad.jpg", "--json", "--variants", "2", "-m", system]) == 2
    good, bad = map(json.loads, capfd.readouterr().out.splitlines())
    assert good["picture"] == "photo.jpg"
    assert good["text"] == good["variants"][0]["text"] == BRIGHT
    assert len(good["variants"]) == 2
    assert 0 < good["confidence"] < 1
    assert good["output"] == "photo.wav"
    assert good["duration_s"] == pytest.approx(soundfile.info("photo.wav").duration, abs=1e-3)
    assert bad["picture"] == "bad.jpg"
    assert "not a picture" in bad["error"]


def test_the_sound_can_be_streamed(here: Path, system: str) -> None:
    done = call("speak", "photo.jpg", "night.png", "-o", "-", "-m", system)
    assert done.returncode == 0
    assert BRIGHT in done.stderr.decode()
    assert DARK in done.stderr.decode()
    samples, rate = soundfile.read(io.BytesIO(done.stdout))
    assert rate == 8000
    with wave.open(io.BytesIO(done.stdout)) as header:
        assert (header.getnchannels(), header.getsampwidth()) == (1, 2)
    raw = call("speak", "photo.jpg", "night.png", "--raw", "-m", system)
    np.testing.assert_allclose(np.frombuffer(raw.stdout, "<i2") / 32768, samples)
    assert sounds(here) == []


def test_a_streamed_format_with_an_end_and_a_photo_from_a_pipe(here: Path, system: str) -> None:
    content = (here / "photo.jpg").read_bytes()
    done = call("speak", "-", "-o", "-", "--format", "flac", "-m", system, stdin=content)
    assert done.returncode == 0
    assert soundfile.info(io.BytesIO(done.stdout)).format == "FLAC"
    assert call("caption", "-", "-m", system, stdin=content).stdout.decode().startswith(BRIGHT)


def test_raw_to_a_file(here: Path, system: str) -> None:
    assert run(["speak", "photo.jpg", "--raw", "-o", "photo.pcm", "-m", system, "-q"]) == 0
    assert run(["speak", "photo.jpg", "-m", system, "-q"]) == 0
    assert (here / "photo.pcm").stat().st_size == 2 * soundfile.info("photo.wav").frames
    assert sounds(here) == ["photo.wav"]


def test_speed_and_hedge(here: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    unsure = str(write_system(tmp_path / "unsure", {"hedge": [{"below": 1.0, "say": "i am not sure but perhaps "}]}))
    durations = {}
    for options in ((), ("--no-hedge",), ("--no-hedge", "--speed", "2")):
        assert run(["speak", "photo.jpg", "--json", "-m", unsure, *options]) == 0
        record = json.loads(capfd.readouterr().out)
        assert record["text"] == BRIGHT
        durations[options] = record["duration_s"]
    assert durations["--no-hedge", "--speed", "2"] == pytest.approx(durations["--no-hedge",] / 2, abs=0.01)
    assert durations["--no-hedge",] < durations[()]


def test_play_needs_a_player_and_says_which(
    here: Path, system: str, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run(["speak", "photo.jpg", "--play", "-m", system]) == 2
    assert "optophone[play]" in capfd.readouterr().err
    assert sounds(here) == []


class FakeSounddevice:
    """Collects what would be heard."""

    class PortAudioError(Exception):
        pass

    class OutputStream:
        heard: list[np.ndarray] = []  # noqa: RUF012

        def __init__(self, samplerate: int, channels: int, dtype: str) -> None:
            assert (samplerate, channels, dtype) == (8000, 1, "float32")

        def __enter__(self) -> "FakeSounddevice.OutputStream":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, samples: np.ndarray) -> None:
            self.heard.append(samples)


def test_play_sends_the_sound_to_the_loudspeaker(here: Path, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSounddevice)
    assert run(["speak", "photo.jpg", "--play", "-m", system]) == 0
    assert sounds(here) == []
    heard = np.concatenate(FakeSounddevice.OutputStream.heard)
    assert heard.shape[1] == 1
    assert run(["speak", "photo.jpg", "--play", "-o", "photo.wav", "-m", system]) == 0
    assert soundfile.info("photo.wav").frames == len(heard)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--speed", "9"], "speed: 9 is out of range"),
        (["-o", "photo.xyz"], "photo.xyz: the name ends in none of"),
        (["-o", "photo.mp3", "--format", "wav"], "the name says mp3 but --format says wav"),
        (["night.png", "-o", "both.wav"], "both.wav: one file cannot hold 2 results"),
        (["--sample", "--temperature", "0"], "temperature"),
        (["--guidance", "1"], "has no mean picture to be guided by; leave the guidance at 0"),
        (["--guidance", "-1"], "guidance"),
        (["-o", "night.png/x.wav"], "night.png"),
        (["-m", "nobody"], "nobody: no bundle of this name"),
        (["-m", "."], "not a bundle"),
    ],
)
def test_wrong_options_are_one_line(
    here: Path, system: str, capfd: pytest.CaptureFixture, arguments: list[str], says: str
) -> None:
    assert run(["speak", "photo.jpg", "-m", system, *arguments]) == 2
    err = capfd.readouterr().err
    assert says in err
    assert err.startswith("optophone: ")
    assert err.count("\n") == 1
    assert sounds(here) == []


# ---------------------------------------------------------------------------------------------------------------------
# Bad and strange pictures


def declared_30000(path: Path) -> None:
    """A PNG whose header declares 30,000 x 30,000 pixels and that has none."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def truncated(path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(stream, "JPEG")
    path.write_bytes(stream.getvalue()[:2000])


BAD = {
    "truncated.jpg": truncated,
    "zero.jpg": lambda path: path.write_bytes(b""),
    "text.jpg": lambda path: path.write_text("This is a text.\n" * 50),
    "huge.png": declared_30000,
    "folder.jpg": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_one_line_and_status_2(
    here: Path, system: str, capfd: pytest.CaptureFixture, name: str
) -> None:
    BAD[name](here / name)
    for command in (["speak", name, "-o", "out.wav"], ["speak", name], ["caption", name]):
        assert run([*command, "-m", system]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("optophone: ")
        assert name in err
        assert err.count("\n") == 1
    assert sounds(here) == []
    assert not list(here.glob(".*"))


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def strange_pictures(folder: Path) -> list[str]:
    """Bright pictures in every strange form that is a picture nonetheless."""
    bright = Image.fromarray(picture(True))
    bright.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.full((40, 60), 60_000, np.uint16)).save(folder / "sixteen.png")
    bright.save(folder / "moving.gif", save_all=True, append_images=[Image.fromarray(picture(False))] * 3)
    palette = bright.convert("P")
    palette.save(folder / "palette.png", transparency=palette.getpixel((0, 0)))
    Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(folder / "clear.png")  # transparent black on white paper
    Image.new("RGB", (1, 1), (230, 230, 230)).save(folder / "one.png")
    for orientation in range(1, 9):
        bright.save(folder / f"turned{orientation}.jpg", exif=exif(orientation))
    return sorted(path.name for path in folder.iterdir() if path.name not in ("photo.jpg", "night.png"))


def test_strange_pictures_are_described(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    names = strange_pictures(here)
    assert len(names) == 14
    assert run(["speak", *names, "-o", "spoken/", "-m", system, "-q"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.split("  ")[0] for line in out.splitlines()] == [f"{name}: {BRIGHT}" for name in names]
    assert len(sounds(here / "spoken")) == len(names)


def test_a_file_name_that_is_no_text(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        os.rename("photo.jpg", name)
    except OSError:
        pytest.skip("this file system takes text names only")
    for options in ([], ["--json"]):
        assert run(["speak", name, "night.png", "-m", system, *options]) == 0
    assert "caf?.jpg" in capfd.readouterr().out
    assert run(["caption", os.fsdecode(b"none\xe9.jpg"), "-m", system]) == 2


# ---------------------------------------------------------------------------------------------------------------------
# caption, say, models


def test_caption(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["caption", "photo.jpg", "--variants", "3", "-m", system]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"{BRIGHT}  (confidence 95 %)"
    assert run(["caption", "photo.jpg", "nowhere.jpg", "--json", "-m", system]) == 2
    good, bad = map(json.loads, capfd.readouterr().out.splitlines())
    assert good["text"] == BRIGHT
    assert "nowhere.jpg" in bad["error"]
    assert sounds(here) == []


def test_sampling_is_repeatable(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    found = []
    for seed in ("1", "1", "2"):
        assert run(["caption", "photo.jpg", "--sample", "--temperature", "4", "--seed", seed, "-m", system]) == 0
        found.append(capfd.readouterr().out)
    assert found[0] == found[1] != found[2]


def test_say(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["say", "Hello", "there.", "-m", system]) == 0
    assert capfd.readouterr().err.startswith("wrote speech.wav")
    assert run(["say", "Hello there.", "-o", "hello.ogg", "--json", "-m", system, "-q"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["text"] == "Hello there."
    assert record["duration_s"] == pytest.approx(soundfile.info("speech.wav").duration, abs=1e-3)
    assert run(["say", "...", "-o", "nothing.wav", "-m", system]) == 2
    assert sounds(here) == ["hello.ogg", "speech.wav"]


def test_say_reads_lines(here: Path, system: str) -> None:
    lines = b"One dog.\n\nTwo cats.\n???\n\xff three\n"
    done = call("say", "-o", "lines/", "-m", system, stdin=lines)
    assert done.returncode == 2
    assert b"line 4" in done.stderr
    assert sounds(here / "lines") == ["0001.wav", "0003.wav", "0005.wav"]
    assert call("say", "-o", "all.wav", "-m", system, stdin=lines).returncode == 2
    parts = [soundfile.info(f"lines/{name}").frames for name in sounds(here / "lines")]
    assert soundfile.info("all.wav").frames == sum(parts) + 2 * round(0.2 * 8000)
    streamed = call("say", "--raw", "-m", system, stdin=lines)
    assert len(streamed.stdout) == 2 * soundfile.info("all.wav").frames


def test_a_voice_without_an_end_warns_in_one_line(here: Path, capfd: pytest.CaptureFixture) -> None:
    endless = str(write_voice(here / "endless", stops=False))
    assert run(["say", "hello", "-m", endless, "-o", "x.wav", "-q"]) == 0
    err = capfd.readouterr().err
    assert err.startswith("optophone: warning: the voice did not find its end")
    assert err.count("\n") == 1


def test_models(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["models", system]) == 0
    head, row = capfd.readouterr().out.splitlines()
    assert head.split() == ["name", "kind", "class", "size", "licence", "figures"]
    assert row.split()[:3] == ["tiny", "system", "cascade"]
    assert run(["models", system, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["parts"]["captioner"] == "captioner"
    (here / "empty").mkdir()
    assert run(["models", "empty"]) == 2
    assert "empty: not a bundle" in capfd.readouterr().err


def test_a_damaged_bundle_is_named(here: Path, capfd: pytest.CaptureFixture) -> None:
    damaged = write_system(here / "damaged")
    step = damaged / "captioner" / "step.onnx"
    step.write_bytes(step.read_bytes()[:-1] + b"?")
    for command in (["models"], ["speak", "photo.jpg", "-m"], ["caption", "photo.jpg", "-m"]):
        status = run([*command, str(damaged if command != ["models"] else damaged / "captioner")])
        assert status == 2
        err = capfd.readouterr().err
        assert "step.onnx: damaged" in err
        assert err.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------------------
# The command itself


def test_help_needs_nothing_heavy() -> None:
    """Which is what keeps it fast; how fast, `benchmarks/main_job.py` says."""
    check = (
        "import sys; from optophone.cli.main import run; status = run(['--help']); "
        "heavy = {'numpy', 'onnxruntime', 'PIL', 'soundfile', 'torch'} & set(sys.modules); "
        "sys.exit(status or (3 if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout.decode()


@pytest.mark.parametrize("command", ["speak", "caption", "say", "models"])
def test_every_help_page_teaches_by_example(command: str, capfd: pytest.CaptureFixture) -> None:
    assert run([command, "--help"]) == 0
    assert f"optophone {command} " in capfd.readouterr().out.split("Examples:")[1]


def test_version(capfd: pytest.CaptureFixture) -> None:
    assert run(["--version"]) == 0
    assert optophone.__version__ in capfd.readouterr().out
    assert importlib.metadata.version("optophone") == optophone.__version__


@pytest.mark.parametrize("arguments", [["paint"], ["speak"], ["speak", "--loudly"], []])
def test_usage_errors_have_status_2(arguments: list[str], capfd: pytest.CaptureFixture) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capfd.readouterr().err


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    import importlib

    def needs_torch(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importlib, "import_module", needs_torch)
    assert run(["train", "x.yaml"]) == 2
    assert "pip install 'optophone[train]'" in capfd.readouterr().err


def test_a_reader_who_goes_away_is_no_error(here: Path, system: str) -> None:
    arguments = [*OPTOPHONE, "speak", *["photo.jpg"] * 40, "-o", "-", "-m", system, "-q"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        complaints = process.stderr.read().decode()
        assert process.wait(30) == 141
    assert "Traceback" not in complaints
    assert "BrokenPipe" not in complaints


def test_ctrl_c_leaves_with_130_and_no_partial_file(here: Path, system: str) -> None:
    arguments = [*OPTOPHONE, "speak", *["photo.jpg"] * 2000, "-o", "spoken/", "-m", system]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)  # what is not read fills the pipe, so it cannot finish by itself
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in complaints
    assert all(name.endswith(".wav") for name in sounds(here / "spoken"))


# ---------------------------------------------------------------------------------------------------------------------
# The embedded default


@pytest.fixture(scope="module")
def default() -> str:
    if not (EMBEDDED / DEFAULT / "bundle.json").is_file():
        pytest.skip("no embedded default in this checkout")
    return DEFAULT


def test_the_default_speaks_within_its_memory(here: Path, default: str) -> None:
    # A process of its own has no other children, whose peak would count here as well.
    script = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run([sys.executable, '-m', 'optophone', 'speak', 'photo.jpg', '--json']).returncode\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["text"]
    assert record["duration_s"] > 0.5
    if sys.platform == "linux":
        assert int(done.stderr.split()[-1]) / 1024 < 300  # megabytes


def test_the_default_is_complete_and_small(default: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["models", "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {"system", "captioner", "acoustic", "vocoder"} <= {row["kind"] for row in rows}
    assert all(row["licence"] for row in rows)
    assert sum(row["bytes"] for row in rows if row["kind"] == "system") < 30e6
