"""A run on two data sets with three voices: what it writes, what it learns from, and that it resumes exactly."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from optophone.core.errors import ConfigurationError, DataError
from optophone.data.speech import Utterances
from optophone.training import experiment as module
from optophone.training.run import train
from tiny_datasets import acoustic_experiment, write_configuration, write_speech

TRAINER = {"max_steps": 9, "segment_steps": 2, "validate_every": 2, "save_every_s": 0.0, "average_decay": 0.9}


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    write_speech(tmp_path / "two", speakers=("Zoe", "Ann"))
    write_speech(tmp_path / "one")
    mapping = acoustic_experiment(tmp_path / "two")
    mapping["data"] |= {"also": [{"folder": str(tmp_path / "one"), "share": 0.5}], "speakers": True}
    mapping["trainer"] = TRAINER
    return write_configuration(tmp_path / "several.yaml", mapping)


def test_two_halves_equal_the_whole(configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(configuration, out=tmp_path / "whole")
    save = module.SegmentCheckpoint.on_train_epoch_end

    def save_then_die(self: Any, trainer: Any, pl_module: Any) -> None:
        save(self, trainer, pl_module)
        if trainer.global_step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.SegmentCheckpoint, "on_train_epoch_end", save_then_die)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(configuration, out=tmp_path / "halves")
    assert not (tmp_path / "halves/acoustic.safetensors").exists()
    halves = train(configuration, out=tmp_path / "halves")
    first, second = (load_file(folder / "acoustic.safetensors") for folder in (whole, halves))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert json.loads((halves / "speakers.json").read_text()) == ["Ann", "Zoe", "tiny"]
    assert first["speakers.weight"].shape == (3, 64)


def test_both_data_sets_are_learned_and_the_main_one_is_validated(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, str]] = []
    batch = Utterances.batch

    def batch_and_note(self: Utterances, indices: Any) -> Any:
        heard.append((self.dataset.folder.name, self.rows[0]["id"]))
        return batch(self, indices)

    monkeypatch.setattr(Utterances, "batch", batch_and_note)
    train(configuration, out=tmp_path / "run")
    assert set(heard) == {("two", "train0"), ("one", "train0"), ("two", "dev0")}
    assert len(heard) == TRAINER["max_steps"] + 1


def test_a_run_of_one_voice_writes_no_speakers(configuration: Path, tmp_path: Path) -> None:
    folder = train(configuration, [("data.speakers", "false"), ("trainer.max_steps", "1")], tmp_path / "run")
    assert not (folder / "speakers.json").exists()
    assert "speakers.weight" not in load_file(folder / "acoustic.safetensors")


def test_mistakes_are_named(configuration: Path, tmp_path: Path) -> None:
    also = f"[{{folder: {tmp_path / 'gone'}, share: 0.5}}]"
    with pytest.raises(DataError, match=r"gone: no dataset\.json"):
        train(configuration, [("data.also", also)], tmp_path / "run")
    with pytest.raises(ConfigurationError, match="the share of"):
        train(configuration, [("data.also", also.replace("0.5", "1.5"))], tmp_path / "run")
