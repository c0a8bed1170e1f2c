"""Training of a Vocos: from which step the game is on, what is measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.data.steps import StepItems
from optophone.data.voice_segments import VoiceSegments, sounding_rows
from optophone.models.vocoders.vocos import Vocos
from optophone.training.spoken_segments import dev_segments
from optophone.training.vocos_training import VocosExperiment, VocosObjective, build_model
from optophone.training.weights import save_weights
from tiny_datasets import vocos_experiment, write_speech


class Scene:
    """An experiment on tiny data with its parts at hand."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.experiment = from_mapping(VocosExperiment, {**vocos_experiment(folder), **options})
        dataset = write_speech(folder)
        self.train, self.dev = (
            VoiceSegments(dataset, sounding_rows(dataset, split), self.experiment.data) for split in ("train", "dev")
        )
        self.model = build_model(self.experiment)
        self.objective = VocosObjective(self.experiment)

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.objective.training_loss(self.model, self.train[StepItems(0, step, [2, 5, 8, 11])], step)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "data")


def test_the_game_begins_at_its_step(scene: Scene) -> None:
    spectral = {"total", "mel", "convergence", "log_magnitude", "loss"}
    assert scene.loss(0)[1].keys() == spectral
    loss, terms = scene.loss(1)
    assert terms.keys() == spectral | {"deceive", "features", "judges"}
    assert float(loss.detach()) > float(terms["total"].detach())
    scene.loss(0)[0].backward()
    assert all(parameter.grad is None for parameter in scene.model.discriminators.parameters())


def test_without_a_game(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "data", adversarial={"from_step": None})
    assert "judges" not in scene.loss(10_000)[1]


def test_it_learns_its_tones(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "data", adversarial={"from_step": 10})
    optimizer = torch.optim.Adam(scene.model.parameters(), lr=0.01)
    mels = []
    for step in range(40):
        loss, terms = scene.loss(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mels.append(float(terms["mel"].detach()))
    assert np.mean(mels[-3:]) < 0.7 * np.mean(mels[:3])


def test_measures(scene: Scene) -> None:
    batch = scene.dev.middles([2, 3])
    scene.objective.validate(SimpleNamespace(vocoder=lambda mel: batch.audio), batch)
    found = scene.objective.measures()
    assert found["mel_distance"] < 0.05
    assert found["convergence"] == pytest.approx(0.0, abs=1e-6)
    assert scene.objective.copies.means.found == []


def test_all_is_validated_in_whole_segments(scene: Scene) -> None:
    with torch.no_grad():
        for batch in dev_segments(scene.dev, 3):
            scene.objective.validate(scene.model, batch)
    assert scene.objective.measures().keys() == {"mel_distance", "convergence", "log_magnitude"}


def test_the_vocoder_starts_from_weights(scene: Scene, tmp_path: Path) -> None:
    torch.manual_seed(5)
    other = Vocos(scene.experiment.sizes())
    save_weights(other, tmp_path / "other.safetensors")
    started = Scene(tmp_path / "data2", weights=str(tmp_path / "other.safetensors"))
    assert torch.equal(started.model.vocoder.head.weight, other.head.weight)
    assert not torch.equal(scene.model.vocoder.head.weight, other.head.weight)
