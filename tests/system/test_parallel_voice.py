"""A voice that makes all frames at once, from two data sets to a sentence, as users type it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.training.run import train
from tiny_datasets import acoustic_experiment, parallel_experiment, write_configuration, write_speech

pytestmark = pytest.mark.filterwarnings("ignore:the voice")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its run, aligned by a Tacotron 2 that learned from the same two data sets."""
    folder = tmp_path_factory.mktemp("parallel")
    write_speech(folder / "main", speakers=("Ann",))
    write_speech(folder / "other", speakers=("Zoe",))
    configurations = [
        acoustic_experiment(folder / "main"),
        parallel_experiment(folder / "main", folder / "teacher"),
    ]
    for mapping in configurations:
        mapping["data"] |= {"speakers": True, "also": [{"folder": str(folder / "other"), "share": 0.5}]}
    runs = [folder / "teacher", folder / "run"]
    for mapping, out in zip(configurations, runs, strict=True):
        train(write_configuration(folder / f"{out.name}.yaml", mapping), out=out)
    return runs[-1]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_both_voices_or_one(trained: Path, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--precision", precision]
    assert run(["export", str(trained), "-o", "both", *options]) == 0
    assert run(["export", str(trained), "-o", "zoe", *options, "--speaker", "Zoe"]) == 0
    both, zoe = (open_bundle(name).manifest for name in ("both", "zoe"))
    assert (both.kind, both.cls) == ("acoustic", "parallel")
    assert both.configuration["speakers"] == ["Ann", "Zoe"]
    assert zoe.configuration["speakers"] == ["Zoe"]
    assert both.configuration["export"]["difference_from_torch"] <= 1e-4
    assert ("mel_difference" in both.configuration["export"]) == (precision == "int8")
    waves = {}
    for name, arguments in (("ann", []), ("second", ["--speaker", "Zoe"])):
        assert run(["say", "abc.", "-m", "both", *arguments, "-o", f"{name}.wav", "-q"]) == 0
        waves[name] = soundfile.read(f"{name}.wav")[0]
    assert run(["say", "abc.", "-m", "zoe", "-o", "zoe.wav", "-q"]) == 0
    np.testing.assert_allclose(soundfile.read("zoe.wav")[0], waves["second"], atol=2e-3)
    assert waves["ann"].shape != waves["second"].shape or np.abs(waves["ann"] - waves["second"]).max() > 1e-3


def test_a_voice_that_learned_from_letters_alone_refuses_phones(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """It has symbols for them, and would babble."""
    monkeypatch.chdir(tmp_path)
    assert run(["export", str(trained), "-o", "voice", "--precision", "fp32"]) == 0
    capfd.readouterr()
    assert run(["say", "--phonemes", "HH AH0 L OW1", "-m", "voice", "-o", "x.wav", "-q"]) == 2
    assert "reads letters alone" in capfd.readouterr().err
    assert not Path("x.wav").exists()


def test_the_card_names_all_data(trained: Path, tmp_path: Path) -> None:
    assert run(["export", str(trained), "-o", str(tmp_path / "both"), "--precision", "fp32"]) == 0
    training = json.loads((tmp_path / "both/bundle.json").read_text())["configuration"]["training"]
    assert training["data"].count("tiny") == 2
    assert len(open_bundle(tmp_path / "both").manifest.data_manifest_hash) == 64


def test_mistakes_are_one_line(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(["export", str(trained), "-o", str(tmp_path / "x"), "--speaker", "Eve"]) == 2
    assert "Ann" in capfd.readouterr().err
    configuration = (trained / "configuration.yaml").read_text()
    other = write_configuration(tmp_path / "x.yaml", {})
    other.write_text(configuration)
    assert run(["train", str(other), "--out", str(tmp_path / "run"), "--aligner_from", str(tmp_path / "no")]) == 2
    assert "cannot read the configuration" in capfd.readouterr().err
    assert run(["train", str(other), "--out", str(tmp_path / "run"), "--aligner_from", str(trained)]) == 2
    assert "needs a run of kind aligner or acoustic" in capfd.readouterr().err
