"""Photo → units → speech, from data to sound: what the script for it does, in a tiny form."""

import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optophone.cli.main import run
from optophone.core.audio import read_wave
from optophone.core.bundle import open_bundle
from optophone.core.unit_origin import unit_origin
from optophone.core.vocabulary import build_units
from optophone.data.manifest import read_dataset
from optophone.data.unit_column import read_unit_column
from run_scripts import commands_of
from tiny_bundles import write_voice
from tiny_datasets import write_captioned_pictures, write_configuration, write_spoken_captions
from tiny_textless import unit_acoustic_experiment, unit_captioner_experiment, unit_to_mel_experiment

ROOT = Path(__file__).resolve().parents[2]
N_UNITS = 9
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `runs/textless-small.sh` makes of tiny data and tiny networks, three steps each."""
    folder = tmp_path_factory.mktemp("textless")
    pictures = write_captioned_pictures(folder / "pictures")
    for row, picture in zip(pictures.rows("dev"), pictures.array("dev", "pictures"), strict=True):
        Image.fromarray(np.asarray(picture)).save(folder / "pictures" / row["picture"], quality=95)
    speech = write_spoken_captions(folder / "speech", pictures)
    units = {
        "kind": "k-means-units",
        "name": "tiny-k-means",
        "data": {"speech": str(speech.folder), "max_utterances": 8, "dev_limit": 2},
        "k_means": {"n_codes": N_UNITS, "n_steps": 5},
    }
    captioner = unit_captioner_experiment(pictures.folder, folder / "overridden")
    captioner["search"] = {"beam_size": 2, "max_length": 20}
    voice = unit_to_mel_experiment(speech.folder, folder / "overridden")
    configurations = {
        f"{name}_CONFIG": str(write_configuration(folder / f"{name.lower()}.yaml", mapping))
        for name, mapping in (("UNITS", units), ("CAPTIONER", captioner), ("VOICE", voice))
    }
    places = {"WORK": folder / "work", "PICTURES": pictures.folder, "SPEECH": speech.folder}
    counts = {"CAPTIONER_STEPS": 3, "VOICE_STEPS": 3, "N_TESTED": 4}
    variables = {**places, **counts, **configurations, "PHOTO": folder / "pictures/0.jpg"}
    for arguments in commands_of("runs/textless-small.sh", folder, variables):
        assert run(arguments) == 0, arguments
    return folder


def test_the_script_speaks_a_photo(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    photo, again = str(made / "pictures/0.jpg"), tmp_path / "again.wav"
    assert run(["speak", photo, "-m", str(made / "work/system"), "-o", str(again), "--json"]) == 0
    spoken = json.loads(capfd.readouterr().out)
    units = spoken["text"].split()
    assert units
    assert set(units) <= {str(unit) for unit in range(N_UNITS)}, "units are printed instead of words"
    assert 0 < spoken["confidence"] < 1
    assert spoken["said"] == spoken["text"], "no words of doubt: nobody could say them"
    assert again.read_bytes() == (made / "work/photo.wav").read_bytes()
    wave, rate = read_wave(again)
    assert rate == spoken["sample_rate"]
    assert len(wave) == pytest.approx(spoken["duration_s"] * rate, abs=rate / 1000)
    assert wave.any()


def test_every_part_says_whose_units_it_is_over(made: Path) -> None:
    system = open_bundle(made / "work/system")
    assert system.manifest.cls == "textless"
    captioner, voice = (open_bundle(system.part(kind)) for kind in ("captioner", "acoustic"))
    column = read_unit_column(made / "work/column")
    written, read = (unit_origin(part.manifest.configuration, "") for part in (captioner, voice))
    assert written == read
    assert written is not None
    assert written.encoder == "tiny-k-means"
    assert captioner.vocabulary() == voice.vocabulary() == column.vocabulary == build_units(N_UNITS)
    assert captioner.manifest.configuration["search"]["forbid_repeats"] is True
    assert "units of speech" in (made / "work/system/CARD.md").read_text()
    assert "tiny-k-means" in (made / "work/system/acoustic/CARD.md").read_text()
    assert system.manifest.metrics["bleu_4"] >= 0


def test_what_is_evaluated_is_units(made: Path) -> None:
    found = json.loads((made / "work/captions.json").read_text())
    column = read_unit_column(made / "work/column")
    assert found["tokenizer"] == "units"
    assert found["units"] == column.dataset.hash()
    assert {"unit_error_rate", "loop_rate"} <= found.keys()
    references = column.captions("dev")
    assert found["captions"].keys() == references.keys()
    assert 0 < found["scores"]["mean_length"] <= 20
    shuffled = json.loads((made / "work/captions-shuffled.json").read_text())
    assert shuffled["kind"] == "shuffled captions"


WITHOUT_TORCH = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "onnx", "yaml", "safetensors"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Block())
from optophone.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_photo_is_spoken_without_torch(made: Path, tmp_path: Path) -> None:
    arguments = ["speak", str(made / "pictures/1.jpg"), "-m", str(made / "work/system"), "-o", str(tmp_path / "a.wav")]
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line, _, confidence = done.stdout.partition("  (confidence ")
    assert set(line.split()) <= {str(unit) for unit in range(N_UNITS)}
    assert confidence.endswith(" %)\n")
    assert (tmp_path / "a.wav").stat().st_size > 100


def test_units_come_twice_in_a_row_where_it_is_allowed(made: Path, capfd: pytest.CaptureFixture) -> None:
    arguments = ["caption", str(made / "pictures/0.jpg"), "-m", str(made / "work/system"), "--json", "--sample"]
    repeats = {}
    for choice in ("--forbid-repeats", "--allow-repeats"):
        repeats[choice] = 0
        for seed in range(5):
            assert run([*arguments, "--seed", str(seed), "--temperature", "3", choice]) == 0
            units = json.loads(capfd.readouterr().out)["text"].split()
            repeats[choice] += sum(a == b for a, b in itertools.pairwise(units))
    assert repeats["--forbid-repeats"] == 0 < repeats["--allow-repeats"]


def test_units_are_said(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    voice = str(made / "work/unit-to-mel")
    assert run(["say", "1 2 7 7 3", "-m", voice, "-o", str(tmp_path / "said.wav")]) == 0
    assert read_wave(tmp_path / "said.wav")[0].any()
    assert run(["say", "1 2 1023", "-m", voice, "-o", str(tmp_path / "no.wav")]) == 2
    assert "'1023'" in capfd.readouterr().err
    assert not (tmp_path / "no.wav").exists()


@pytest.mark.filterwarnings("ignore:the voice")
def test_tacotron_2_speaks_the_same_units(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    mapping = unit_acoustic_experiment(made / "speech", made / "work/column")
    mapping["data"]["chunk_curriculum"] = {"first": 4, "per_1000_steps": 1000}
    configuration = write_configuration(tmp_path / "voice.yaml", mapping)
    assert run(["train", str(configuration), "--out", str(tmp_path / "run")]) == 0
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "voice"), "--precision", "fp32"]) == 0
    parts = [str(made / "work/captioner"), str(tmp_path / "voice")]
    assert run(["export", *parts, "-o", str(tmp_path / "system")]) == 0
    photo = str(made / "pictures/2.jpg")
    assert run(["speak", photo, "-m", str(tmp_path / "system"), "-o", str(tmp_path / "a.wav"), "--json"]) == 0
    spoken = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert run(["caption", photo, "-m", str(made / "work/captioner")]) == 0
    assert capfd.readouterr().out.startswith(f"{spoken['text']}  (confidence ")
    assert run(["caption", photo, "-m", str(made / "work/captioner"), "--json", "--variants", "2"]) == 0
    assert len(json.loads(capfd.readouterr().out)["variants"]) == 2
    assert run(["say", spoken["text"], "-m", str(tmp_path / "system"), "-o", str(tmp_path / "b.wav")]) == 0
    np.testing.assert_array_equal(read_wave(tmp_path / "a.wav")[0], read_wave(tmp_path / "b.wav")[0])


@pytest.mark.parametrize("what", ["another number of units", "another encoder", "letters"])
def test_parts_over_other_units_are_refused(
    what: str, made: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    captioner = made / "work/captioner"
    origin = unit_origin(open_bundle(captioner).manifest.configuration, "")
    assert origin is not None
    if what == "another encoder":
        others = replace(origin, encoder="other-units", content="f" * 64)
        write_voice(tmp_path / "voice", build_units(N_UNITS), units=vars(others))
    else:
        write_voice(tmp_path / "voice", build_units(N_UNITS + 1) if what == "another number of units" else None)
    assert run(["export", str(captioner), str(tmp_path / "voice"), "-o", str(tmp_path / "system")]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "tiny-captioner writes units" in error
    assert "tiny-voice reads" in error
    assert not (tmp_path / "system").exists()


def test_evaluation_needs_the_captioners_own_units(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    captioner, pictures = str(made / "work/captioner"), str(made / "pictures")
    assert run(["evaluate", "captions", captioner, pictures, "-q"]) == 2
    assert "writes units; give those of spoken captions with --units" in capfd.readouterr().err
    column = tmp_path / "column"
    shutil.copytree(made / "work/column", column)
    content = json.loads((column / "dataset.json").read_text())
    content["options"]["content"] = "f" * 64
    (column / "dataset.json").write_text(json.dumps(content))
    assert read_dataset(column).options["content"] == "f" * 64
    assert run(["evaluate", "captions", captioner, pictures, "--units", str(column), "-q"]) == 2
    assert "make units with the same encoder" in capfd.readouterr().err
