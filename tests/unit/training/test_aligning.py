"""Training of aligners: that they find which frames belong to which symbol, a whole run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from optophone.data.speech import SpeechBatch, build_speech_vocabulary, collate
from optophone.models.acoustic.alignment_network import AlignmentNetwork, AlignmentNetworkConfig
from optophone.training.aligning import AligningObjective, align, distance
from optophone.training.run import train
from tiny_datasets import aligner_experiment, write_configuration, write_speech

N_MELS = 8


def sound_out(rng: np.random.Generator, sounds: np.ndarray, n: int) -> tuple[SpeechBatch, list[np.ndarray]]:
    """`n` utterances in which each symbol sounds its own way for 1 to 6 frames, and how long they last."""
    ids, mels, durations = [], [], []
    for _ in range(n):
        symbols = rng.integers(1, len(sounds), rng.integers(4, 8))
        lasting = rng.integers(1, 7, len(symbols))
        mel = np.repeat(sounds[symbols], lasting, axis=0).T
        ids.append(torch.from_numpy(symbols))
        mels.append(torch.from_numpy(mel + rng.normal(0, 0.05, mel.shape)).float())
        durations.append(lasting)
    return collate(ids, mels), durations


def test_frames_find_their_symbols() -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    sounds = rng.normal(size=(7, N_MELS))
    model = AlignmentNetwork(AlignmentNetworkConfig(n_symbols=7, n_mels=N_MELS, dim=24, hidden_dim=32, diagonal=0.3))
    objective = AligningObjective(build_speech_vocabulary())
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for step in range(150):
        batch, _ = sound_out(rng, sounds, 8)
        loss, _ = objective.training_loss(model, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    batch, durations = sound_out(rng, sounds, 16)
    model.eval()
    with torch.no_grad():
        found = align(model, model(batch.ids, batch.id_lengths), batch)
    wrong = [np.abs(np.cumsum(one) - np.cumsum(true)) for one, true in zip(found, durations, strict=True)]
    assert np.mean(np.concatenate(wrong)) < 0.3  # frames at each end; repeated symbols cannot be told apart


def test_the_distance_by_hand() -> None:
    batch = collate([torch.tensor([1, 2]), torch.tensor([3])], [torch.zeros(2, 3), torch.ones(2, 2)])
    spectra = torch.tensor([[[1.0, 1.0], [2.0, 0.0]], [[1.0, 3.0], [9.0, 9.0]]])
    found = distance(spectra, batch, [np.array([1, 2]), np.array([2])])
    assert float(found) == pytest.approx((2 * 1 + 2 * 4 + 2 * 4) / 10)


def test_a_run(tmp_path: Path) -> None:
    write_speech(tmp_path / "data")
    path = write_configuration(tmp_path / "aligner.yaml", aligner_experiment(tmp_path / "data"))
    folder = train(path, [("data.speakers", "true")], tmp_path / "run")
    assert load_file(folder / "aligner.safetensors")["embedding.weight"].shape == (148, 8)
    name = json.loads((tmp_path / "data/dataset.json").read_text())["name"]
    assert json.loads((folder / "speakers.json").read_text()) == [name]
