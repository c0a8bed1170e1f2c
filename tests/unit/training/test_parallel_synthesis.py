"""Training of parallel acoustic models: durations from another model's attention, pitch, losses, a whole run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.data.speech import build_speech_vocabulary, collate
from optophone.data.steps import StepItems
from optophone.models.acoustic.parallel import FoundProsody, ParallelOutput
from optophone.models.verdict import Verdict
from optophone.training.aligned_speech import AlignedUtterances, align
from optophone.training.aligners import read_aligner
from optophone.training.parallel_synthesis import ParallelExperiment, ParallelObjective, build_model, losses_of
from optophone.training.run import train
from optophone.training.synthesis import read_speech
from tiny_datasets import (
    MEL,
    acoustic_experiment,
    aligner_experiment,
    parallel_experiment,
    write_configuration,
    write_speech,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny speech, and a Tacotron 2 of three steps."""
    folder = tmp_path_factory.mktemp("parallel")
    write_speech(folder / "data")
    train(write_configuration(folder / "teacher.yaml", acoustic_experiment(folder / "data")), out=folder / "teacher")
    return folder


@pytest.fixture
def experiment(folder: Path) -> ParallelExperiment:
    return from_mapping(ParallelExperiment, parallel_experiment(folder / "data", folder / "teacher"))


@pytest.fixture
def aligned(experiment: ParallelExperiment) -> AlignedUtterances:
    assert experiment.aligner_from is not None
    speech = read_speech(experiment.data)
    aligner = read_aligner(experiment.aligner_from, speech.vocabulary, speech.speakers)
    return AlignedUtterances(speech.train, aligner, experiment.data.mel)


def test_durations_add_up_to_the_frames(aligned: AlignedUtterances) -> None:
    batch = aligned[StepItems(0, 0, [1, 8])]
    assert batch.durations.sum(1).tolist() == batch.speech.mel_lengths.tolist()
    assert batch.frames.mask.sum(1).tolist() == batch.speech.mel_lengths.tolist()
    assert batch.ids_mask.sum(1).tolist() == batch.speech.id_lengths.tolist()
    assert not batch.durations[~batch.ids_mask].any()


def test_durations_are_the_same_in_every_batch(aligned: AlignedUtterances, experiment: ParallelExperiment) -> None:
    """And are asked for once."""
    together = aligned[StepItems(0, 0, [1, 8])]
    again = aligned[StepItems(0, 1, [8])]
    assert torch.equal(again.durations[0], together.durations[1, : again.durations.shape[1]])
    fresh = AlignedUtterances(aligned.utterances, aligned.aligner, MEL)[StepItems(0, 0, [8])]
    assert torch.equal(fresh.durations, again.durations)
    aligned.aligner = None  # type: ignore[assignment]
    aligned[StepItems(0, 2, [8, 1])]


def test_the_pitch_is_that_of_the_tone(aligned: AlignedUtterances) -> None:
    """The sound of row 7 is a tone of 300 Hz."""
    prosody = aligned[StepItems(0, 0, [7])].prosody
    assert prosody is not None
    voiced = prosody.voiced[0] > 0
    assert voiced.float().mean() > 0.5
    hz = 60 * (500 / 60) ** prosody.pitch[0, voiced]
    assert float((hz - 300).abs().median()) < 5
    assert not prosody.pitch[0, ~voiced].any()


def test_losses_by_hand(aligned: AlignedUtterances, experiment: ParallelExperiment) -> None:
    batch = aligned[StepItems(0, 0, [1, 8])]
    model = build_model(experiment, build_speech_vocabulary())
    assert batch.prosody is not None
    output = model(batch.speech.ids, batch.ids_mask, batch.frames, batch.prosody)
    perfect = output._replace(
        mel=batch.speech.mel + 0.5,
        log_durations=batch.durations.float().log1p() + 0.2,
        prosody=FoundProsody(batch.prosody.pitch - 0.1, (2 * batch.prosody.voiced - 1) * 30),
    )
    deviance = 2 * (math.exp(-0.2) + 0.2 - 1)
    expected = {"mel": 0.5, "mel_squared": 0.25, "durations": deviance, "pitch": 0.1, "voicing": 0.0}
    found = {name: float(value) for name, value in losses_of(perfect, batch).items()}
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_symbol_that_lasts_now_long_now_short_is_given_its_mean() -> None:
    """So that sentences are as long as people say them; the mean of logarithms is shorter."""
    lasting = [np.array([1, 3]), np.array([9, 3])]
    speech = collate([torch.tensor([5, 6])] * 2, [torch.zeros(MEL.n_mels, int(one.sum())) for one in lasting])
    batch = align(speech, lasting)
    guess = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([guess], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        losses_of(ParallelOutput(speech.mel, guess.expand(2, 2), None), batch)["durations"].backward()
        optimizer.step()
    assert guess.detach().expm1().tolist() == pytest.approx([5, 3], rel=1e-3)


def test_it_learns(aligned: AlignedUtterances, experiment: ParallelExperiment) -> None:
    vocabulary = build_speech_vocabulary()
    model = build_model(experiment, vocabulary)
    objective = ParallelObjective(experiment.loss, MEL, vocabulary)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for step in range(40):
        loss, terms = objective.training_loss(model, aligned[StepItems(0, step, [1, 4, 8])], step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert terms.keys() == {"mel", "mel_squared", "pitch", "voicing", "durations", "loss"}
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert missing == []


def test_a_whole_run_and_again_after_every_stop(folder: Path, tmp_path: Path) -> None:
    mapping = parallel_experiment(folder / "data", folder / "teacher")
    mapping["optimizer"]["schedule"] = "constant"
    path = write_configuration(tmp_path / "tiny.yaml", mapping)
    whole = train(path, out=tmp_path / "whole")
    for n in ("1", "2", "3"):
        train(path, [("trainer.max_steps", n)], tmp_path / "stopped")
    expected, found = (load_file(run / "acoustic.safetensors") for run in (whole, tmp_path / "stopped"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert Vocabulary.load(whole / "vocabulary.json").hash == build_speech_vocabulary().hash


def test_an_aligner_of_other_voices_is_refused(folder: Path, experiment: ParallelExperiment) -> None:
    with pytest.raises(ConfigurationError, match="does not tell voices apart"):
        read_aligner(experiment.aligner_from, build_speech_vocabulary(), ("Ann", "Zoe"))
    with pytest.raises(ConfigurationError, match="cannot read the configuration"):
        read_aligner(folder / "nothing", build_speech_vocabulary(), ())


def test_a_trained_aligner_serves_as_well(folder: Path, tmp_path: Path) -> None:
    train(write_configuration(tmp_path / "aligner.yaml", aligner_experiment(folder / "data")), out=tmp_path / "aligner")
    experiment = from_mapping(ParallelExperiment, parallel_experiment(folder / "data", tmp_path / "aligner"))
    speech = read_speech(experiment.data)
    aligner = read_aligner(tmp_path / "aligner", speech.vocabulary, speech.speakers)
    batch = AlignedUtterances(speech.train, aligner, MEL)[StepItems(0, 0, [1, 8])]
    assert batch.durations.sum(1).tolist() == batch.speech.mel_lengths.tolist()
    path = write_configuration(tmp_path / "tiny.yaml", parallel_experiment(folder / "data", tmp_path / "aligner"))
    assert (train(path, out=tmp_path / "run") / "acoustic.safetensors").exists()


def test_an_aligner_of_another_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    path = write_configuration(tmp_path / "tiny.yaml", parallel_experiment(folder / "data", folder / "teacher"))
    with pytest.raises(ConfigurationError, match="kind aligner or acoustic"):
        train(path, [("aligner_from", str(train(path, out=tmp_path / "run")))], tmp_path / "other")


def adversarial_experiment(folder: Path) -> dict[str, Any]:
    mapping = parallel_experiment(folder / "data", folder / "teacher")
    game = {"from_step": 1, "deceive_weight": 1.0, "feature_weight": 2.0}
    sizes = {"channels": [2, 3], "kernels": [[3, 5]]}
    return {**mapping, "adversary": {"n_frames": 6, "discriminators": sizes, "game": game}}


def test_a_run_against_networks_keeps_the_voice_and_stops_anywhere(folder: Path, tmp_path: Path) -> None:
    """And nothing of the networks."""
    path = write_configuration(tmp_path / "tiny.yaml", adversarial_experiment(folder))
    constant = [("optimizer.schedule", "constant")]
    whole = train(path, constant, tmp_path / "whole")
    for n in ("1", "2", "3"):
        train(path, [*constant, ("trainer.max_steps", n)], tmp_path / "stopped")
    plain = train(path, [*constant, ("adversary", "null")], tmp_path / "plain")
    voice, stopped, without = (load_file(run / "acoustic.safetensors") for run in (whole, tmp_path / "stopped", plain))
    assert set(voice) == set(without)
    assert all(torch.equal(stopped[name], voice[name]) for name in voice)
    assert any(not torch.equal(without[name], voice[name]) for name in voice)


def test_networks_see_no_padding(folder: Path) -> None:
    """Excerpts end where utterances do, whatever lies beyond."""
    experiment = from_mapping(ParallelExperiment, adversarial_experiment(folder))
    speech = read_speech(experiment.data)
    objective = ParallelObjective(experiment.loss, MEL, speech.vocabulary, experiment.adversary)
    batch = speech.train.batch([1, 8])
    seen: list[torch.Tensor] = []

    def judge(mel: torch.Tensor) -> list[Verdict]:
        seen.append(mel)
        return [Verdict(mel, [mel])]

    beyond = torch.arange(batch.mel.shape[2]) >= batch.mel_lengths[:, None]
    marked = batch.mel.masked_fill(beyond[:, None], torch.nan)
    judges = torch.nn.Module()
    judges.forward = judge  # type: ignore[method-assign]
    for _ in range(20):
        objective._play(judges, marked, batch._replace(mel=marked))
    assert {excerpt.shape[2] for excerpt in seen} == {6}
    assert not any(excerpt.isnan().any() for excerpt in seen)
