"""A home, a cache or an output folder that cannot be written to, and no folder for temporary files: a command works, or
says in a line what to do."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from optophone.cli.main import run
from robustness.corpus import write_corpus
from tiny_bundles import picture, write_system
from tiny_datasets import SPLITS, acoustic_experiment, write_captioned_pictures, write_configuration, write_speech

NOWHERE = "/proc/nowhere"  # where not even root may write
COMMANDS = {
    "speak": "speak a.jpg -m system -q -o {}/a.wav",
    "speak-many": "speak a.jpg b.jpg -m system -q -o {}/many",
    "caption": "caption a.jpg -m system",
    "say": "say hello -m system -q -o {}/say.mp3",
    "train": "train acoustic.yaml --out {}/run",
    "export": "export system/captioner system/acoustic -o {}/bundle",
    "prepare": "prepare ljspeech lj {}/made",
    "units": "units s.wav -m corpus/k-means -o {}/u.jsonl",
    "column": "units speech -m corpus/k-means -o {}/column",
    "evaluate": "evaluate captions system pictures --split dev --no-java -q -o {}/scores.json",
}
# All commands in one interpreter: what is imported decides where is written, and importing takes longest.
ALL = "import json, sys; from optophone.cli.main import run\n"
ALL += "for name, command in json.loads(sys.argv[1]).items(): print('STATUS', name, run(command.split()), flush=True)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, parts, data to train on, to evaluate on and to prepare."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(picture(name == "a.jpg")).save(folder / name)
    soundfile.write(folder / "s.wav", 0.2 * np.sin(np.arange(8000) * 0.2), 16000)
    write_system(folder / "system")
    write_corpus("bundles", folder / "corpus")
    write_speech(folder / "speech")
    write_captioned_pictures(folder / "pictures")
    for i in range(max(SPLITS.values())):
        Image.fromarray(picture(i % 2 == 0)).save(folder / "pictures" / f"{i}.jpg")
    mapping = acoustic_experiment(Path("speech"))
    mapping["trainer"] |= {"max_steps": 1, "validate_every": 1}
    write_configuration(folder / "acoustic.yaml", mapping)
    (folder / "lj" / "wavs").mkdir(parents=True)
    for i in range(4):
        soundfile.write(folder / "lj" / "wavs" / f"LJ001-{i:04}.wav", 0.2 * np.sin(np.arange(4000) * 0.2), 22050)
    (folder / "lj" / "metadata.csv").write_text("".join(f"LJ001-{i:04}|Two dogs.|Two dogs.\n" for i in range(4)))
    return folder


def test_no_command_needs_a_home(place: Path, tmp_path: Path) -> None:
    """Nor a cache, nor the folder that TMPDIR names; and whoever has a home finds nothing new in it."""
    home = tmp_path / "home"
    home.mkdir()
    for where in (NOWHERE, str(home)):
        out = tmp_path / f"out{len(where)}"
        out.mkdir()
        names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR")
        environment = {**os.environ, **dict.fromkeys(names, where), "OMP_NUM_THREADS": "1", "TMPDIR": NOWHERE}
        environment.pop("ORT_DISABLE_TELEMETRY", None)
        environment.pop("MPLCONFIGDIR", None)
        commands = json.dumps({name: command.format(out) for name, command in COMMANDS.items()})
        process = [sys.executable, "-c", ALL, commands]
        done = subprocess.run(process, cwd=place, env=environment, capture_output=True, text=True, check=False)
        statuses = dict(re.findall(r"^STATUS (\S+) (\d+)$", done.stdout, re.M))
        assert statuses == dict.fromkeys(COMMANDS, "0"), done.stderr
        assert NOWHERE not in done.stderr
        if where == NOWHERE:
            continue
        assert not [path for path in home.rglob("*") if path.is_file() and "matplotlib" not in str(path)]


@pytest.mark.parametrize("name", [name for name in COMMANDS if "{}" in COMMANDS[name]])
def test_an_output_that_cannot_be_written_is_a_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, name: str
) -> None:
    monkeypatch.chdir(place)
    assert run(COMMANDS[name].format(NOWHERE).split()) == 2
    error = capfd.readouterr().err
    lines = [line for line in error.splitlines() if not line.startswith("optophone: warning: ")]
    assert len(lines) == (2 if name == "speak-many" else 1), error
    assert all(line.startswith("optophone: ") and NOWHERE in line for line in lines), error


@pytest.mark.parametrize("name", COMMANDS)
def test_no_folder_for_temporary_files(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, name: str
) -> None:
    """Neither TMPDIR nor /tmp nor the working folder."""
    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", None)
        patch.setattr(tempfile, "_candidate_tempdir_list", lambda: [NOWHERE])
        status = run(COMMANDS[name].format(tmp_path).split())
    error = capfd.readouterr().err
    if name == "export":
        assert status == 2
        assert error.splitlines()[-1].startswith("optophone: no folder for temporary files")
        assert "TMPDIR" in error
        assert not list(tmp_path.iterdir())
    else:
        assert status == 0, error


def test_without_any_folder_for_temporary_files_training_says_so(place: Path, tmp_path: Path) -> None:
    """A library of PyTorch Lightning's looks for one as soon as it is imported."""
    program = "import sys, tempfile; where = sys.argv.pop(1); tempfile._candidate_tempdir_list = lambda: [where]\n"
    program += "from optophone.cli.main import main; main()"
    command = [sys.executable, "-c", program, NOWHERE, *COMMANDS["train"].format(tmp_path).split()]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    assert done.returncode == 0 or re.fullmatch("optophone: no folder for temporary files.*TMPDIR.*\n", done.stderr)
