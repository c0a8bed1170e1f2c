"""Training of acoustic models: losses, how well it speaks by itself, what is shown."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.speech import SpeechBatch, Utterances, build_speech_vocabulary, spoken_rows
from optophone.data.steps import StepItems
from optophone.models.acoustic.tacotron2 import AcousticUtterance, Tacotron2
from optophone.training.acoustic_loss import AcousticLoss
from optophone.training.synthesis import (
    SynthesisExperiment,
    SynthesisObjective,
    build_model,
    dev_batches,
    picture_of,
)
from optophone.training.weights import save_weights
from tiny_datasets import MEL, acoustic_experiment, write_speech

VOCABULARY = build_speech_vocabulary()


class Writer:
    """What a run shows, instead of TensorBoard."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def add_text(self, name: str, text: str, step: int) -> None:
        self.shown[name] = text

    def add_image(self, name: str, image: Tensor, step: int) -> None:
        self.shown[name] = image

    def add_audio(self, name: str, wave: np.ndarray, step: int, sample_rate: int) -> None:
        self.shown[name] = (wave, sample_rate)


class Scene:
    """An experiment on tiny data with its parts at hand."""

    def __init__(self, folder: Path, **model: Any) -> None:
        mapping = acoustic_experiment(folder)
        mapping["model"].update(model)
        self.experiment = from_mapping(SynthesisExperiment, mapping)
        dataset = write_speech(folder)
        self.train, self.dev = (
            Utterances(dataset, spoken_rows(dataset, split, self.experiment.data), VOCABULARY, MEL)
            for split in ("train", "dev")
        )
        self.model = build_model(self.experiment, VOCABULARY)
        self.objective = SynthesisObjective(self.experiment.loss, MEL, VOCABULARY)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "data")


class Speaker(nn.Module):
    """A model that always says the same, for a batch of any two."""

    def __init__(self, model: Tacotron2, spoken: AcousticUtterance) -> None:
        super().__init__()
        self.model, self.spoken, self.config = model, spoken, model.config

    def forward(self, *arguments: Tensor | None) -> Any:
        return self.model(*arguments)

    def infer(self, ids: Tensor, id_lengths: Tensor, speakers: Tensor | None) -> AcousticUtterance:
        return self.spoken


def utterance(lengths: list[int], stopped: list[bool], alignment: Tensor) -> AcousticUtterance:
    mel = torch.randn(len(lengths), MEL.n_mels, max(lengths), generator=torch.Generator().manual_seed(0))
    stops = torch.zeros(len(lengths), max(lengths))
    return AcousticUtterance(mel, mel, stops, alignment, torch.tensor(lengths), torch.tensor(stopped))


def test_the_loss_and_its_terms(scene: Scene) -> None:
    scene.model.eval()
    batch = scene.train[StepItems(0, 0, [3, 8])]
    torch.manual_seed(0)
    loss, terms = scene.objective.training_loss(scene.model, batch, 0)
    torch.manual_seed(0)
    output = scene.model(batch.ids, batch.id_lengths, batch.mel, batch.mel_lengths)
    expected = AcousticLoss(scene.experiment.loss)(output, batch.mel, batch.mel_lengths, batch.id_lengths)
    torch.testing.assert_close(loss, expected.total)
    assert terms.keys() == {"loss", "mel_before", "mel_after", "stop", "guide"}
    parts = terms["mel_before"] + terms["mel_after"] + terms["stop"] + terms["guide"]
    torch.testing.assert_close(loss, parts)


def test_a_voice_learns_its_tones(scene: Scene) -> None:
    optimizer = torch.optim.Adam(scene.model.parameters(), lr=0.02)
    losses = []
    for step in range(25):
        torch.manual_seed(step)
        loss, _ = scene.objective.training_loss(scene.model, scene.train[StepItems(0, step, [2, 5, 8, 11])], step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_measures_are_means_over_batches(scene: Scene) -> None:
    scene.model.eval()
    batch = scene.dev.batch([0, 1])
    true = batch.mel_lengths.tolist()
    alignment = torch.zeros(2, 20, int(batch.ids.shape[1]))
    alignment[:, :, 0], alignment[:, :, 1] = 0.75, 0.25
    exact = utterance(true, [True, True], alignment)
    double = utterance([2 * n for n in true], [True, False], alignment)
    with torch.no_grad():
        for spoken in (exact, double):
            scene.objective.validate(Speaker(scene.model, spoken), batch)
    found = scene.objective.measures()
    assert found["stopped"] == pytest.approx(0.75)
    assert found["duration_within_25_percent"] == pytest.approx(0.5)
    assert found["attention_focus"] == pytest.approx(0.75)
    assert found["mel_after"] > 0
    assert scene.objective.means.found == []


def test_focus_counts_valid_steps_only(scene: Scene) -> None:
    batch = scene.dev.batch([0, 1])
    alignment = torch.zeros(2, 20, 9)
    alignment[0, :2, 0] = 1.0  # 3 frames at 2 a step
    alignment[1, :4, 0] = 0.5  # 8 frames
    spoken = utterance([3, 8], [True, True], alignment)
    with torch.no_grad():
        scene.objective.validate(Speaker(scene.model.eval(), spoken), batch)
    assert scene.objective.measures()["attention_focus"] == pytest.approx((2 * 1.0 + 4 * 0.5) / 6)


def test_what_is_shown_and_heard(tmp_path: Path) -> None:
    scene = Scene(tmp_path, stop_threshold=1.1, max_frames=21)
    scene.model.eval()
    with torch.no_grad():
        for batch in dev_batches(scene.dev, 4):
            scene.objective.validate(scene.model, batch)
    writer = Writer()
    scene.objective.show(scene.model, writer, 3)
    assert writer.shown.keys() == {"dev/mel", "dev/mel_true", "dev/alignment", "dev/text", "dev/voice"}
    assert writer.shown["dev/mel"].shape == (1, 16, 21)
    assert writer.shown["dev/mel_true"].shape == (1, 16, int(scene.dev.batch([0]).mel_lengths))
    assert writer.shown["dev/alignment"].shape == (1, 3, 11), "symbols upwards, a column a step"
    assert writer.shown["dev/text"] == scene.dev.rows[0]["text"] + "."
    wave, sample_rate = writer.shown["dev/voice"]
    assert sample_rate == MEL.sample_rate
    assert wave.shape[0] == 1
    assert abs(wave.shape[1] - 21 * MEL.hop_length) <= MEL.hop_length
    assert np.isfinite(wave).all()


def test_too_little_to_hear_is_only_shown(scene: Scene) -> None:
    batch = scene.dev.batch([0, 1])
    with torch.no_grad():
        spoken = utterance([2, 2], [True, True], torch.ones(2, 1, 9) / 9)
        scene.objective.validate(Speaker(scene.model.eval(), spoken), batch)
    writer = Writer()
    scene.objective.show(scene.model, writer, 3)
    assert "dev/voice" not in writer.shown
    assert "dev/mel" in writer.shown


def test_spectrograms_stand_upright() -> None:
    picture = picture_of(torch.tensor([[0.0, 1.0], [2.0, 4.0]]))
    assert picture.tolist() == [[[0.5, 1.0], [0.0, 0.25]]]
    assert picture_of(torch.full((2, 3), -11.5)).tolist() == [[[0.0] * 3] * 2]


@pytest.mark.parametrize(("limit", "n"), [(3, 3), (0, 4), (64, 4)])
def test_dev_batches(scene: Scene, limit: int, n: int) -> None:
    batches = dev_batches(scene.dev, limit)
    assert [len(batch.ids) for batch in batches] == [n]
    expected = scene.dev.batch(range(n))
    torch.testing.assert_close(batches[0][:4], expected[:4], rtol=0, atol=0)
    assert batches[0].speakers is None


def test_dev_batches_are_of_sixteen(scene: Scene) -> None:
    scene.train.rows = scene.train.rows * 3
    assert [len(batch.ids) for batch in dev_batches(scene.train, 0)] == [16, 16, 4]


def test_sizes_follow_from_vocabulary_and_mel(scene: Scene) -> None:
    assert (scene.model.config.n_symbols, scene.model.config.n_mels) == (len(VOCABULARY), MEL.n_mels)
    other = replace(scene.experiment, data=replace(scene.experiment.data, mel=replace(MEL, n_mels=9)))
    assert build_model(other, VOCABULARY).config.n_mels == 9


def test_a_run_starts_from_the_weights_it_names(scene: Scene, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in scene.model.parameters():
            parameter.add_(1.0)
    save_weights(scene.model, tmp_path / "voice.safetensors")
    started = build_model(replace(scene.experiment, weights=str(tmp_path / "voice.safetensors")), VOCABULARY)
    fresh = build_model(scene.experiment, VOCABULARY)
    for (name, one), other in zip(started.named_parameters(), scene.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert not torch.equal(next(fresh.parameters()), next(started.parameters()))


def test_a_batch_of_the_loader_fits_the_model(scene: Scene) -> None:
    assert isinstance(scene.train[StepItems(0, 0, [1])], SpeechBatch)


def test_several_voices_start_from_a_single_one(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    save_weights(scene.model, path)
    experiment = replace(scene.experiment, weights=str(path))
    model = build_model(experiment, VOCABULARY, 3).eval()
    assert model.config.n_speakers == 3
    batch = scene.train.batch([3, 8])
    with torch.no_grad():
        torch.manual_seed(0)
        expected = scene.model.eval()(*batch)
        for speaker in range(3):
            torch.manual_seed(0)
            found = model(*batch._replace(speakers=torch.full((2,), speaker)))
            torch.testing.assert_close(tuple(found), tuple(expected), rtol=1e-5, atol=1e-5)
    save_weights(model, path)
    assert build_model(experiment, VOCABULARY, 3).state_dict().keys() == model.state_dict().keys()
    for other, n_speakers in ((experiment, 4), (experiment, 0)):
        with pytest.raises(ConfigurationError, match=r"voice\.safetensors: does not fit .*speakers\.weight"):
            build_model(other, VOCABULARY, n_speakers)


def test_growing_is_strict_about_all_else(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    save_weights(scene.model, path)
    sizes = replace(scene.experiment.model, attention_rnn_dim=12)
    with pytest.raises(ConfigurationError, match=r"does not fit .*attention"):
        build_model(replace(scene.experiment, model=sizes, weights=str(path)), VOCABULARY, 3)


def test_voices_reach_the_loss_and_the_validation(scene: Scene) -> None:
    model = build_model(scene.experiment, VOCABULARY, 2).eval()
    losses = []
    for speaker in (0, 1):
        batch = scene.train.batch([3, 8])._replace(speakers=torch.full((2,), speaker))
        torch.manual_seed(0)
        with torch.no_grad():
            losses.append(float(scene.objective.training_loss(model, batch, 0)[0]))
            torch.manual_seed(0)
            scene.objective.validate(model, batch)
    assert losses[0] != losses[1]
    assert scene.objective.means.found[0]["mel_after"] != scene.objective.means.found[1]["mel_after"]
