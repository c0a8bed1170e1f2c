"""Training of vocoders: the loss, the measures, what is shown and heard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.data.steps import StepItems
from optophone.data.voice_segments import SegmentBatch, VoiceSegments, sounding_rows
from optophone.models.vocoders.waveglow import WaveGlow
from optophone.training.spoken_segments import dev_segments
from optophone.training.vocoding import VocoderExperiment, VocoderObjective, build_model
from optophone.training.waveglow_loss import WaveGlowLoss
from optophone.training.weights import save_weights
from tiny_datasets import MEL, vocoder_experiment, write_speech
from tiny_vocoders import tiny_waveglow


class Scene:
    """An experiment on tiny data with its parts at hand."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.experiment = from_mapping(VocoderExperiment, {**vocoder_experiment(folder), **options})
        dataset = write_speech(folder)
        self.train, self.dev = (
            VoiceSegments(dataset, sounding_rows(dataset, split), self.experiment.data) for split in ("train", "dev")
        )
        self.model = build_model(self.experiment)
        self.objective = VocoderObjective(self.experiment)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "data")


class Writer:
    """What a run shows, instead of TensorBoard."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def add_image(self, name: str, image: Tensor, step: int) -> None:
        self.shown[name] = image

    def add_audio(self, name: str, wave: np.ndarray, step: int, sample_rate: int) -> None:
        self.shown[name] = (wave, sample_rate)


def test_the_loss_is_a_likelihood() -> None:
    """Against the density of a normal distribution, with the change of volume from `test_waveglow_flows`."""
    model = tiny_waveglow()
    output = model(torch.randn(2, 3, 6), torch.randn(2, 96))
    losses = WaveGlowLoss(0.7)(output)
    normal = torch.distributions.Normal(0.0, 0.7)
    constant = np.log(0.7 * np.sqrt(2 * np.pi))
    volume = sum(scale.sum() for scale in output.log_scales) + sum(output.log_dets)
    expected = -(normal.log_prob(output.z).sum() + volume) / output.z.numel() - constant
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(losses.total, losses.noise - losses.scales - losses.mixing)


def test_a_vocoder_learns_its_tones(scene: Scene) -> None:
    optimizer = torch.optim.Adam(scene.model.parameters(), lr=0.01)
    losses = []
    for step in range(30):
        loss, terms = scene.objective.training_loss(scene.model, scene.train[StepItems(0, step, [2, 5, 8, 11])], step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert terms.keys() == {"loss", "noise", "scales", "mixing"}
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.5


def test_every_parameter_learns(scene: Scene) -> None:
    with torch.no_grad():
        for network in scene.model.couplings:
            network.end.weight.normal_()  # type: ignore[union-attr]
    scene.objective.training_loss(scene.model, scene.train[StepItems(0, 0, [2, 5])], 0)[0].backward()
    still = [n for n, p in scene.model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


class Echo(torch.nn.Module):
    """A vocoder that speaks the truth, louder by a factor."""

    def __init__(self, model: WaveGlow, batch: SegmentBatch, factor: float) -> None:
        super().__init__()
        self.model, self.audio, self.factor = model, batch.audio, factor

    def forward(self, mel: Tensor, audio: Tensor) -> Any:
        return self.model(mel, audio)

    def infer(self, mel: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        assert sigma == 0.6
        return self.audio * self.factor


def test_measures(scene: Scene) -> None:
    batch = scene.dev.middles([2, 3])  # the others are shorter, and end in silence
    found = []
    with torch.no_grad():
        for factor in (1.0, 1.5, float("nan")):
            scene.objective.validate(Echo(scene.model, batch, factor), batch)
            found.append(scene.objective.measures())
    assert found[0]["mel_distance"] < 0.05
    assert found[1]["mel_distance"] > found[0]["mel_distance"] + 0.1
    assert np.isfinite(found[2]["mel_distance"])
    with torch.no_grad():
        expected = float(scene.objective.loss(scene.model(*batch)).total)
    assert found[0]["loss"] == found[1]["loss"] == pytest.approx(expected)
    assert scene.objective.copies.means.found == []


def test_what_is_shown_and_heard(scene: Scene) -> None:
    writer = Writer()
    with torch.no_grad():
        for batch in dev_segments(scene.dev, 3):
            scene.objective.validate(scene.model, batch)
    scene.objective.show(scene.model, writer, 3)
    assert writer.shown.keys() == {"dev/mel", "dev/mel_true", "dev/voice", "dev/voice_true"}
    for name in ("dev/voice", "dev/voice_true"):
        wave, sample_rate = writer.shown[name]
        assert sample_rate == MEL.sample_rate
        assert wave.shape[0] == 1
        assert 1400 < wave.shape[1] <= 1536
        assert np.abs(wave).max() <= 1
    assert writer.shown["dev/mel"].shape[1] == 16


def test_the_model_starts_from_weights(scene: Scene, tmp_path: Path) -> None:
    config = scene.model.config
    assert (config.n_mels, config.hop_length) == (16, 64)
    save_weights(WaveGlow(config), tmp_path / "other.safetensors")
    plain = Scene(tmp_path / "data2", weight_norm=False)
    assert not any("original" in name for name, _ in plain.model.named_parameters())
    started = Scene(tmp_path / "data3", weights=str(tmp_path / "other.safetensors"), weight_norm=False)
    assert not torch.equal(started.model.upsample.weight, plain.model.upsample.weight)


def test_all_or_some_development_segments(scene: Scene) -> None:
    assert [len(batch.audio) for batch in dev_segments(scene.dev, 3)] == [3]
    assert [len(batch.audio) for batch in dev_segments(scene.train, 0)] == [4, 4, 4]
