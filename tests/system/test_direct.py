"""Photo → speech in one network, from data to sound, as users type it; and the script that does it in full size."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optophone import load
from optophone.cli.main import run
from optophone.core.audio import read_wave
from optophone.core.bundle import open_bundle
from optophone.core.search import SearchConfig
from optophone.core.unit_origin import unit_origin
from optophone.data.manifest import read_dataset
from optophone.pipelines import DirectPipeline
from run_scripts import commands_of
from tiny_bundles import write_detector, write_vocoder
from tiny_datasets import MEL, write_captioned_pictures, write_configuration, write_spoken_captions
from tiny_direct import N_UNITS, OPTIONS, direct_experiment
from tiny_recognizers import write_recognizer
from tiny_textless import write_unit_column

MEMBERS = tuple(OPTIONS)
pytestmark = pytest.mark.filterwarnings("ignore:the model did not find its end")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every member trained for three steps on tiny data, as a bundle; the joint one also as a system."""
    folder = tmp_path_factory.mktemp("direct")
    pictures = write_captioned_pictures(folder / "pictures")
    for row, picture in zip(pictures.rows("dev"), pictures.array("dev", "pictures"), strict=True):
        Image.fromarray(np.asarray(picture)).save(folder / "pictures" / row["picture"], quality=95)
    speech = write_spoken_captions(folder / "speech", pictures)
    write_unit_column(folder / "units", speech)
    write_vocoder(folder / "vocoder", MEL)
    write_recognizer(folder / "ear")
    detector = str(write_detector(folder / "photograph.npz"))
    for member in MEMBERS:
        mapping = direct_experiment(member, pictures.folder, speech.folder, folder / "units")
        path = write_configuration(folder / f"{member}.yaml", mapping)
        assert run(["train", str(path), "--out", str(folder / f"{member}-run")]) == 0
        options = ["--photograph", detector] if member == "joint" else []
        assert run(["export", str(folder / f"{member}-run"), "-o", str(folder / member), *options]) == 0
    parts = [str(folder / "joint"), str(folder / "vocoder")]
    assert run(["export", *parts, "-o", str(folder / "system"), "--name", "all-in-one"]) == 0
    return folder


@pytest.mark.parametrize("member", MEMBERS)
def test_a_photo_is_spoken(member: str, made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    photo, wave = str(made / "pictures/0.jpg"), tmp_path / "photo.wav"
    assert run(["speak", photo, "-m", str(made / member), "-o", str(wave)]) == 0
    printed = capfd.readouterr().out
    samples, rate = read_wave(wave)
    assert rate == MEL.sample_rate
    assert samples.any()
    if member == "joint":
        units, _, confidence = printed.partition("  (confidence ")
        assert set(units.split()) <= {str(unit) for unit in range(N_UNITS)}
        assert confidence.endswith(" %)\n")
    else:
        assert printed == "", "there is nothing to read"


@pytest.mark.parametrize("member", MEMBERS)
def test_one_line_of_json_says_what_is_known(
    member: str, made: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    arguments = ["speak", str(made / "pictures/1.jpg"), "-m", str(made / member), "-o", str(tmp_path / "a.wav")]
    assert run([*arguments, "--json", "--variants", "2", "--volume", "0.5"]) == 0
    spoken = json.loads(capfd.readouterr().out)
    assert len(spoken["variants"]) == 2
    assert (spoken["confidence"] is None) == (spoken["text"] == "") == (member != "joint")
    assert spoken["photograph"] == (0.5 if member == "joint" else None)
    wave, rate = read_wave(tmp_path / "a.wav")
    assert len(wave) == pytest.approx(spoken["duration_s"] * rate, abs=rate / 1000)


@pytest.mark.parametrize("member", MEMBERS)
def test_to_standard_output_it_is_a_stream(member: str, made: Path, capfdbinary: pytest.CaptureFixture) -> None:
    photo = str(made / "pictures/0.jpg")
    assert run(["speak", photo, "-m", str(made / member), "--raw", "--seed", "1"]) == 0
    samples = np.frombuffer(capfdbinary.readouterr().out, "<i2") / 32768
    whole = load(made / member)(photo, seed=1).wave
    assert len(samples) == len(whole)
    assert samples.any()


def test_in_python(made: Path) -> None:
    describe = load(made / "transformer")
    assert isinstance(describe, DirectPipeline)
    photo = made / "pictures/2.jpg"
    assert len(np.concatenate(list(describe.stream(photo)))) == len(describe(photo).wave)


def test_drawn_speech_differs_by_seed_alone(made: Path, tmp_path: Path) -> None:
    waves = []
    for number, seed in enumerate(("1", "1", "2")):
        path = tmp_path / f"{number}.wav"
        arguments = ["speak", str(made / "pictures/0.jpg"), "-m", str(made / "transformer"), "-o", str(path), "-q"]
        assert run([*arguments, "--temperature", "2", "--seed", seed]) == 0
        waves.append(path.read_bytes())
    assert waves[0] == waves[1] != waves[2]


def test_guidance_changes_what_is_said(made: Path, tmp_path: Path) -> None:
    waves = []
    for number, guidance in enumerate(("0", "5", "5")):
        path = tmp_path / f"{number}.wav"
        arguments = ["speak", str(made / "pictures/0.jpg"), "-m", str(made / "transformer"), "-o", str(path), "-q"]
        assert run([*arguments, "--seed", "1", "--guidance", guidance]) == 0
        waves.append(path.read_bytes())
    assert waves[0] != waves[1] == waves[2]
    said = [load(made / "joint")(made / "pictures/0.jpg", search=SearchConfig(guidance=g)).text for g in (0.0, 5.0)]
    assert said[0]
    assert said[1]


def test_a_system_of_a_direct_model_and_a_vocoder(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    system = open_bundle(made / "system")
    assert (system.manifest.cls, dict(system.manifest.parts)) == ("direct", {"direct": "direct", "vocoder": "vocoder"})
    part = open_bundle(made / "system/direct")
    assert part.manifest.cls == "joint"
    assert part.manifest.configuration["search"]["forbid_repeats"] is True
    origin = unit_origin(part.manifest.configuration, "")
    assert origin is not None
    assert origin.encoder == "tiny-units"
    assert "tiny-units" in (made / "system/direct/CARD.md").read_text()
    assert "one network" in (made / "transformer/CARD.md").read_text()
    arguments = [str(made / "pictures/0.jpg"), "-m", str(made / "system")]
    assert run(["speak", *arguments, "-o", str(tmp_path / "a.wav")]) == 0
    units = capfd.readouterr().out.partition("  (")[0]
    assert run(["caption", *arguments]) == 0
    assert capfd.readouterr().out.startswith(f"{units}  (confidence ")
    assert run(["say", units, "-m", str(made / "system"), "-o", str(tmp_path / "b.wav")]) == 0
    np.testing.assert_array_equal(read_wave(tmp_path / "a.wav")[0], read_wave(tmp_path / "b.wav")[0])


def test_what_cannot_be_asked_of_it(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    photo, bundle = str(made / "pictures/0.jpg"), str(made / "transformer")
    for arguments, words in (
        (["caption", photo, "-m", bundle], "writes nothing down"),
        (["say", "1 2", "-m", bundle], "reads nothing but pictures"),
        (["speak", photo, "-m", bundle, "--speaker", "Ann"], "Ann"),
        (["evaluate", "captions", bundle, str(made / "pictures"), "-q"], "writes nothing down"),
        (["export", bundle, str(made / "joint"), "-o", str(tmp_path / "x")], "one direct model and one vocoder"),
        (["export", str(made / "transformer-run"), "-o", str(tmp_path / "y"), "--precision", "int8"], "fp32 alone"),
    ):
        assert run(arguments) == 2, arguments
        error = capfd.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


WITHOUT_TORCH = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "onnx", "yaml", "safetensors"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Block())
from optophone.cli.main import run
sys.exit(max(run(["speak", sys.argv[1], "-m", bundle, "-o", sys.argv[2]]) for bundle in sys.argv[3:]))
"""


def test_photos_are_spoken_without_torch(made: Path, tmp_path: Path) -> None:
    bundles = [str(made / member) for member in MEMBERS]
    arguments = [str(made / "pictures/1.jpg"), str(tmp_path / "a.wav"), *bundles]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.wav").stat().st_size > 100


@pytest.mark.parametrize("member", ["joint", "transformer"])
def test_what_is_heard_of_it_is_scored(member: str, made: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    result = tmp_path / "result.json"
    controls = ["shuffled", "constant", f"speech={made / 'speech'}"]
    controls += [f"units={made / 'units'}"] if member == "joint" else []
    arguments = ["evaluate", "spoken-captions", str(made / member), str(made / "pictures"), "-o", str(result), "-q"]
    arguments += ["--recognizer", str(made / "ear"), "--order", "1", "--jobs", "1", "--no-java"]
    for control in controls:
        arguments += ["--control", control]
    assert run(arguments) == 0, capfd.readouterr().err
    found = json.loads(result.read_text())
    assert found["bundle"]["class"] == member
    assert {"system", "shuffled", "constant", "speech"} <= found["rows"].keys()
    assert ("units" in found["rows"]) == (member == "joint")
    assert (found["unit_captions"] is None) == (member != "joint")
    assert found["data"]["rows"] == len(read_dataset(made / "pictures").rows("dev"))
    if member != "joint":
        capfd.readouterr()
        assert run([*arguments, "--control", f"units={made / 'units'}"]) == 2
        assert "says no units" in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")
def test_the_script_goes_on_where_it_was(tmp_path: Path) -> None:
    places: dict[str, Any] = {name: tmp_path / name.lower() for name in ("WORK", "RESULTS", "TEXTLESS")}
    places |= {"TEXTLESS_RESULTS": tmp_path, "ALIGNMENTS": tmp_path / "alignments"}
    given = commands_of("runs/direct.sh", tmp_path, {**places, "MEMBERS": "transformer show-and-speak"})
    assert [words[0] for words in given] == ["train", "export", "evaluate"] * 2
    assert given[0][1] == "configs/direct/flickr8k-transformer.yaml"
    controls = [given[2][i + 1] for i, word in enumerate(given[2]) if word == "--control"]
    assert {control.partition("=")[0] for control in controls} == {"speech", "cascade", "shuffled", "constant"}

    (tmp_path / "commands.txt").unlink()
    halves = tmp_path / "textless/resdavenet-vq"
    for name in ("transformer-run/captioner", "voice-run/acoustic"):
        (halves / name).parent.mkdir(parents=True)
        (halves / f"{name}.safetensors").touch()
    given = commands_of("runs/direct.sh", tmp_path, {**places, "MEMBERS": "joint"})
    start = ["export", "export", "evaluate"]  # the two halves as they were, heard
    assert [words[0] for words in given] == ["train", "export", "evaluate", *start, "evaluate"]
    assert str(halves / "voice-run/acoustic.safetensors") in given[0]
    assert given[3][1] == str(halves / "voice-run")
    heard = str(tmp_path / "results/start/textless.json")
    assert heard in given[5]
    assert given[6][1:4] == ["compare", heard, str(tmp_path / "results/joint.json")]

    (tmp_path / "commands.txt").unlink()
    (tmp_path / "retrieval.json").write_text("{}")
    given = commands_of("runs/direct.sh", tmp_path, {**places, "MEMBERS": "joint", "TEXTLESS": tmp_path / "none"})
    kinds = [words[1].split("/")[1] for words in given if words[0] == "train"]
    assert kinds == ["units", "units", "acoustic", "acoustic", "captioner", "direct"], (
        "the halves first, their units in two steps, and the voice of the textless way is sharpened"
    )

    (tmp_path / "commands.txt").write_text("")
    (tmp_path / "work/transformer").mkdir(parents=True)
    (tmp_path / "results/transformer.json").touch()
    assert commands_of("runs/direct.sh", tmp_path, {**places, "MEMBERS": "transformer"}) == []
