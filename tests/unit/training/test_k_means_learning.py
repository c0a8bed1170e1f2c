"""Learning of k-means units from a configuration: measured, repeatable, done once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.cli.main import run
from optophone.core.errors import AudioError
from optophone.core.k_means_units import KMeansUnits
from optophone.data.manifest import Dataset
from optophone.runtime.load import load_unit_encoder
from optophone.training.run import train
from tiny_datasets import write_configuration
from tiny_units import speech, write_utterances


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_utterances(tmp_path_factory.mktemp("speech"))


def experiment(speech: Path) -> dict[str, Any]:
    return {
        "kind": "k-means-units",
        "name": "tiny-k-means",
        "data": {"speech": str(speech)},
        "model": {"frames_per_unit": 2},
        "k_means": {"n_codes": 6, "n_steps": 4},
    }


def test_units_are_learned_measured_and_exported(dataset: Dataset, tmp_path: Path) -> None:
    configuration = write_configuration(tmp_path / "k.yaml", experiment(dataset.folder))
    assert run(["train", str(configuration), "--out", str(tmp_path / "run")]) == 0
    measures = json.loads((tmp_path / "run/measures.json").read_text())["measures"]
    assert 0.3 < measures["explained"] < 1
    assert 2 <= measures["perplexity"] <= measures["used_codes"] <= 6
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "bundle")]) == 0
    learned, wave = KMeansUnits.load(tmp_path / "run/k-means.npz"), speech(1.0, 50)
    np.testing.assert_array_equal(load_unit_encoder(tmp_path / "bundle").units(wave), learned.units(wave))
    card = (tmp_path / "bundle/CARD.md").read_text()
    assert "6 units of 20 ms" in card
    assert "optimizer steps" not in card


def test_a_finished_run_is_left_alone_until_it_is_asked_otherwise(dataset: Dataset, tmp_path: Path) -> None:
    configuration, out = write_configuration(tmp_path / "k.yaml", experiment(dataset.folder)), tmp_path / "run"
    train(configuration, out=out)
    first = (out / "k-means.npz").stat().st_mtime_ns
    train(configuration, out=out)
    assert (out / "k-means.npz").stat().st_mtime_ns == first
    centres = KMeansUnits.load(out / "k-means.npz").centres
    (out / "measures.json").unlink()  # as a kill leaves it
    train(configuration, out=out)
    np.testing.assert_array_equal(KMeansUnits.load(out / "k-means.npz").centres, centres)
    train(configuration, [("k_means.n_codes", "5")], out=out)
    assert len(KMeansUnits.load(out / "k-means.npz").centres) == 5


def test_bad_speech_is_named(tmp_path: Path) -> None:
    dataset = write_utterances(tmp_path / "speech", n=2)
    (dataset.folder / "audio/train1.wav").write_bytes(b"RIFF, but not quite")
    configuration = write_configuration(tmp_path / "k.yaml", experiment(dataset.folder))
    with pytest.raises(AudioError, match="train1"):
        train(configuration, out=tmp_path / "run")


def test_eight_bits_are_refused(dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    configuration = write_configuration(tmp_path / "k.yaml", experiment(dataset.folder))
    train(configuration, out=tmp_path / "run")
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "b"), "--precision", "int8"]) == 2
    assert "leave --precision out" in capfd.readouterr().err
    assert not (tmp_path / "b").exists()
