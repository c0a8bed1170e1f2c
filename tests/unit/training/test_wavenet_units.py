"""Training of WaveNet-VQ: losses, measures, what is heard, segments with the units of whole utterances, resumption."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.speaker_segments import SpeakerSegments, utterances_of
from optophone.data.steps import StepItems
from optophone.training.run import train
from optophone.training.synthesis import read_speakers
from optophone.training.wavenet_units import (
    WaveNetUnitsExperiment,
    WaveNetUnitsObjective,
    build_model,
    dev_segments,
)
from optophone.training.weights import load_weights, save_weights
from tiny_datasets import wavenet_units_experiment, write_configuration, write_speech


class Scene:
    """An experiment on tiny data with its parts at hand; codes are vectors of the encoder."""

    def __init__(self, folder: Path) -> None:
        dataset = write_speech(folder, noise=2000)
        self.experiment = from_mapping(WaveNetUnitsExperiment, wavenet_units_experiment(folder))
        spoken, heard = (utterances_of([dataset], split) for split in ("train", "dev"))
        self.model = build_model(self.experiment, 1).eval()
        sizes = self.model.config.encoder.frames_per_unit, self.model.config.context_units
        self.train, self.dev = (
            SpeakerSegments(rows, ["tiny"], self.experiment.data, *sizes) for rows in (spoken, heard)
        )
        with torch.no_grad():
            frames = self.model(*self.train.middles([9, 10, 11])).frames
        self.model.quantizer.codes.copy_(frames[torch.linspace(0, len(frames) - 1, 8).long()])
        self.model.quantizer.sums.copy_(self.model.quantizer.codes)
        self.objective = WaveNetUnitsObjective(self.experiment)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "data")


class Writer:
    """What a run shows, instead of TensorBoard."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        self.shown[name] = values

    def add_audio(self, name: str, wave: np.ndarray, step: int, sample_rate: int) -> None:
        self.shown[name] = (wave, sample_rate)


def test_segments_have_the_units_of_their_utterances(scene: Scene) -> None:
    """The context is wide enough, and what is beyond the ends is told apart from silence."""
    n_units = scene.experiment.data.segment_units
    for step in range(12):
        for index in (0, 8, 11):  # the first is hardly longer than a segment
            batch = scene.train[StepItems(0, step, [index])]
            levels, wave = scene.train.kept[index]
            whole = scene.model.units(torch.from_numpy(levels.astype(np.float32)))
            with torch.no_grad():
                found = scene.model(*batch).units
            starts = [
                i
                for i in range(len(whole) - n_units + 1)
                if np.array_equal(wave[i * 160 :][: n_units * 160], (batch.wave[0].numpy() * 32768).round())
            ]
            assert any(torch.equal(found, whole[start : start + n_units]) for start in starts), (index, step)


def test_steps_lower_the_loss(scene: Scene) -> None:
    model = scene.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for step in range(20):
        batch = scene.train[StepItems(0, step, [2, 5, 8, 11])]
        loss, terms = scene.objective.training_loss(model, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert terms.keys() == {"loss", "bits_per_sample", "commitment", "perplexity"}
    assert np.mean(losses[-3:]) < losses[0] - 0.3
    found = {name: float(value.detach()) for name, value in terms.items()}
    assert found["bits_per_sample"] * math.log(2) + found["commitment"] == pytest.approx(found["loss"], rel=1e-4)


def test_the_codebook_moves_in_training_alone(scene: Scene) -> None:
    before = scene.model.quantizer.codes.clone()
    with torch.no_grad():
        scene.objective.validate(scene.model, scene.dev.middles([0, 1]))
    assert torch.equal(scene.model.quantizer.codes, before)
    scene.objective.training_loss(scene.model.train(), scene.train.middles([0, 1]), 0)
    assert not torch.equal(scene.model.quantizer.codes, before)


@torch.no_grad()
def test_measures_are_of_all_batches_and_begin_anew(scene: Scene) -> None:
    both, halves = scene.dev.middles([0, 3]), [scene.dev.middles([0]), scene.dev.middles([3])]
    scene.objective.validate(scene.model, both)
    whole = scene.objective.measures()
    for half in halves:
        scene.objective.validate(scene.model, half)
    again = scene.objective.measures()
    assert again.pop("commitment") == pytest.approx(whole.pop("commitment"), rel=0.5)  # a mean of means
    assert again == pytest.approx(whole, rel=1e-5)
    output = scene.model(*both)
    bits = -output.log_probs[output.samples_mask].mean() / math.log(2)
    assert whole["bits_per_sample"] == pytest.approx(float(bits), rel=1e-5)
    shares = torch.bincount(output.units) / len(output.units)
    entropy = -float((shares[shares > 0] * shares[shares > 0].log2()).sum())
    assert whole["used_codes"] == (shares > 0).sum()
    assert whole["perplexity"] == pytest.approx(2**entropy, rel=1e-4)
    assert whole["bits_per_second"] == pytest.approx(entropy * 8000 / 160, rel=1e-4)  # 50 units of 20 ms


@torch.no_grad()
def test_what_is_shown_and_heard(scene: Scene) -> None:
    writer = Writer()
    for batch in dev_segments(scene.dev, 3):
        scene.objective.validate(scene.model, batch)
    scene.objective.show(scene.model, writer, 3)
    assert writer.shown.keys() == {"dev/mass", "dev/voice", "dev/voice_true"}
    for name in ("dev/voice", "dev/voice_true"):
        wave, sample_rate = writer.shown[name]
        assert (wave.shape, sample_rate) == ((1, 160), 8000)
        assert 0 < np.abs(wave).max() <= 1


def test_development_segments_are_spread_over_all(scene: Scene) -> None:
    assert [len(batch.wave) for batch in dev_segments(scene.train, 0)] == [4, 4, 4]
    found = dev_segments(scene.train, 3)
    assert torch.equal(found[0].wave, scene.train.middles([0, 4, 8]).wave)


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [("trainer", "average_decay", 0.9), (None, "listen_units", 5), (None, "listen_units", -1)],
)
def test_what_cannot_train_is_refused(section: str | None, option: str, value: float) -> None:
    mapping = wavenet_units_experiment(Path("speech"))
    (mapping[section] if section else mapping)[option] = value
    with pytest.raises(ConfigurationError, match=option):
        from_mapping(WaveNetUnitsExperiment, mapping)


def test_two_halves_equal_the_whole(tmp_path: Path) -> None:
    write_speech(tmp_path / "one")
    write_speech(tmp_path / "other", sample_rate=16000, speakers=("zoe", "ann"))
    mapping = wavenet_units_experiment(tmp_path / "one", tmp_path / "other")
    mapping["optimizer"]["schedule"] = "constant"  # which does not know how long the run will be
    path = write_configuration(tmp_path / "tiny.yaml", mapping)
    whole = load_file(train(path, out=tmp_path / "whole") / "units.safetensors")
    train(path, [("trainer.max_steps", "2")], tmp_path / "halves")
    halves = load_file(train(path, out=tmp_path / "halves") / "units.safetensors")
    assert halves.keys() == whole.keys()
    for name, value in halves.items():
        assert torch.equal(value, whole[name]), name
    assert read_speakers(tmp_path / "whole") == ("ann", "tiny", "zoe")


def test_the_model_starts_from_weights(scene: Scene, tmp_path: Path) -> None:
    save_weights(scene.model, tmp_path / "first.safetensors")
    mapping = wavenet_units_experiment(Path("x")) | {"weights": str(tmp_path / "first.safetensors")}
    started = build_model(from_mapping(WaveNetUnitsExperiment, mapping), 1)
    assert torch.equal(started.quantizer.codes, scene.model.quantizer.codes)
    load_weights(started, tmp_path / "first.safetensors")
    with pytest.raises(ConfigurationError, match=r"differs in speakers\.weight"):
        build_model(from_mapping(WaveNetUnitsExperiment, mapping), 2)
