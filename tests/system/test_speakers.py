"""From a run on two speakers to each of them saying something, as users type it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.training.run import train
from tiny_bundles import write_system, write_voice
from tiny_datasets import acoustic_experiment, write_configuration, write_speech

pytestmark = pytest.mark.filterwarnings("ignore:the voice")
NAMES = ["Ann", "Zoe Q."]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two speakers."""
    folder = tmp_path_factory.mktemp("trained")
    write_speech(folder / "data", speakers=("Zoe Q.", "Ann"))
    mapping = acoustic_experiment(folder / "data")
    mapping["data"]["speakers"] = True
    torch.manual_seed(0)
    return train(write_configuration(folder / "tiny.yaml", mapping), out=folder / "run")


@pytest.fixture(scope="module")
def voices(trained: Path) -> str:
    """The bundle of both."""
    assert run(["export", str(trained), "-o", str(trained.parent / "both"), "--precision", "fp32"]) == 0
    return str(trained.parent / "both")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(bundle: str, *arguments: str) -> np.ndarray:
    assert run(["say", "abc abc.", "-m", bundle, *arguments, "-o", "x.wav", "-q"]) == 0
    return soundfile.read("x.wav", dtype="float32")[0]


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or not np.allclose(one, other, atol=1e-3)


def test_each_speaks_with_a_voice_of_its_own(here: Path, voices: str) -> None:
    assert open_bundle(voices).manifest.configuration["speakers"] == NAMES
    assert "- speakers, from 0: Ann, Zoe Q." in open_bundle(voices).file("CARD.md").read_text()
    ann, zoe = (said(voices, "--speaker", name) for name in NAMES)
    assert differ(ann, zoe)
    np.testing.assert_array_equal(said(voices), ann)
    np.testing.assert_array_equal(said(voices, "--speaker", "1"), zoe)


def test_one_alone_says_what_it_says_among_them(here: Path, trained: Path, voices: str) -> None:
    for wanted, name in (("1", "Zoe Q."), ("Ann", "Ann")):
        out = str(here / name)
        assert run(["export", str(trained), "-o", out, "--precision", "fp32", "--speaker", wanted]) == 0
        manifest = open_bundle(out).manifest
        assert manifest.configuration["speakers"] == [name]
        assert manifest.configuration["export"]["difference_from_torch"] <= 1e-4
        np.testing.assert_allclose(said(out), said(voices, "--speaker", name), atol=2e-4)


def test_lines_of_json_choose_for_themselves(here: Path, capfd: pytest.CaptureFixture) -> None:
    bundle = str(write_voice(here / "voice", speakers=["1", "Bob"]))
    lines: list[dict[str, Any]] = [{}, {"speaker": "Bob"}, {"speaker": "1"}, {"speaker_id": 1}, {"speaker": 0}]
    lines += [{"speaker": True}, {"speaker": "Eve"}, {"speaker_id": 2}]
    text = "\n".join(json.dumps({"text": "hello", "output_file": f"{i}.wav", **line}) for i, line in enumerate(lines))
    assert run(["say", text, "--json-lines", "-m", bundle, "--speaker", "Bob", "-q"]) == 2
    errors = capfd.readouterr().err.splitlines()
    assert len(errors) == 3
    assert 'line 6: "speaker" is neither a name nor a number' in errors[0]
    assert "line 7: speaker Eve: this voice has 2 speakers: '1' (0), 'Bob' (1)" in errors[1]
    found = [Path(f"{i}.wav").read_bytes() for i in range(5)]
    assert found[0] == found[1] == found[3] != found[2] == found[4]
    assert not any(Path(f"{i}.wav").exists() for i in (5, 6, 7))


@pytest.mark.parametrize("options", [[], ["--stream"], ["-o", "-"]])
def test_an_unknown_speaker_is_one_line(
    here: Path, voices: str, capfd: pytest.CaptureFixture, options: list[str]
) -> None:
    assert run(["say", "abc", "-m", voices, "--speaker", "Bob", *options]) == 2
    err = capfd.readouterr().err
    assert "speaker Bob: this voice has 2 speakers: 'Ann' (0), 'Zoe Q.' (1)" in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_photos_are_spoken_by_whom_one_likes(here: Path, capfd: pytest.CaptureFixture) -> None:
    from PIL import Image

    from tiny_bundles import picture, write_captioner, write_vocoder

    Image.fromarray(picture()).save("photo.png")
    parts = [write_captioner(here / "c"), write_voice(here / "a", speakers=["Ann", "Bob"]), write_vocoder(here / "v")]
    assert run(["export", *map(str, parts), "-o", "system"]) == 0
    for speaker in ("Ann", "Bob"):
        assert run(["speak", "photo.png", "-m", "system", "--speaker", speaker, "-o", f"{speaker}.wav", "-q"]) == 0
    assert run(["speak", "photo.png", "-m", "system", "-o", "first.wav", "-q"]) == 0
    assert Path("first.wav").read_bytes() == Path("Ann.wav").read_bytes() != Path("Bob.wav").read_bytes()
    assert run(["speak", "photo.png", "-m", "system", "--speaker", "Eve", "-o", "Eve.wav"]) == 2
    assert "2 speakers: 'Ann' (0), 'Bob' (1)" in capfd.readouterr().err
    assert not Path("Eve.wav").exists()


def test_models_names_them(here: Path, voices: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["models", voices, str(write_system(here / "system"))]) == 0
    head, row, plain = capfd.readouterr().out.splitlines()
    assert head.split() == ["name", "kind", "class", "size", "licence", "speakers", "figures"]
    assert "Apache-2.0  Ann, Zoe Q.  -" in row
    assert plain.split()[-2:] == ["-", "-"]
    parts = [str(here / "system/captioner"), voices]
    write_many = str(write_voice(here / "many", speakers=[f"s{i}" for i in range(9)]))
    capfd.readouterr()
    assert run(["models", write_many]) == 0
    assert "s0, s1, s2, s3, s4, s5 and 3 more" in capfd.readouterr().out
    assert run(["models", *parts, "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["speakers"] for row in rows] == [[], NAMES]


def test_mistakes_of_an_export_are_one_line(
    here: Path, trained: Path, voices: str, capfd: pytest.CaptureFixture
) -> None:
    single = trained.parent / "single"
    if not single.exists():
        train(trained / "configuration.yaml", [("data.speakers", "false"), ("trainer.max_steps", "1")], single)
    bare = here / "bare"
    bare.mkdir()
    for file in trained.glob("*.*"):
        if file.name != "speakers.json":
            (bare / file.name).write_bytes(file.read_bytes())
    capfd.readouterr()
    for arguments, message in (
        ([str(trained), "--speaker", "Bob"], "tiny-acoustic has 2 speakers: 'Ann' (0), 'Zoe Q.' (1)"),
        ([str(single), "--speaker", "Ann"], "tells no speakers apart; leave --speaker out"),
        ([voices, "--speaker", "Ann"], "--speaker chooses from the run of an acoustic model"),
        ([str(bare)], "speakers.json: missing or no list of names"),
    ):
        assert run(["export", *arguments, "-o", "out"]) == 2
        err = capfd.readouterr().err
        assert message in err
        assert err.count("\n") == 1
        assert not Path("out").exists()
