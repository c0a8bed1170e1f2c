"""Training of parallel acoustic models over units, whose lengths are known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.vocabulary import build_units
from optophone.data.speech import collate
from optophone.models.acoustic.parallel import ParallelOutput
from optophone.training.aligned_speech import AlignedBatch, align
from optophone.training.parallel_synthesis import (
    ParallelExperiment,
    ParallelObjective,
    build_model,
    losses_of,
    run_parallel_synthesis,
)
from optophone.training.weights import load_weights
from tiny_datasets import MEL, write_captioned_pictures, write_spoken_captions
from tiny_textless import N_UNITS, unit_to_mel_experiment, write_unit_column


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    speech = write_spoken_captions(folder / "speech", write_captioned_pictures(folder / "pictures", 16))
    write_unit_column(folder / "units", speech)
    write_unit_column(folder / "plain", speech, "collapsed")
    return folder


def mapping_of(folder: Path, **data: Any) -> dict[str, Any]:
    mapping = unit_to_mel_experiment(folder / "speech", folder / "units")
    mapping["data"] |= data
    return mapping


def batch_of_two() -> AlignedBatch:
    """Units 3, 4, 5 of one, two and three frames, and unit 6 of two; the mels count up."""
    mels = [torch.arange(n * MEL.n_mels).reshape(MEL.n_mels, n) / 100 for n in (6, 2)]
    return align(collate([torch.tensor([3, 4, 5]), torch.tensor([6])], mels), [np.array([1, 2, 3]), np.array([2])])


def test_batches_are_padded_with_nothing() -> None:
    batch = batch_of_two()
    assert batch.speech.ids.tolist() == [[3, 4, 5], [6, 0, 0]]
    assert batch.durations.tolist() == [[1, 2, 3], [2, 0, 0]]
    assert batch.ids_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.speech.mel_lengths.tolist() == batch.durations.sum(1).tolist() == batch.frames.mask.sum(1).tolist()
    assert batch.prosody is None


def test_losses_are_means_over_what_is_valid() -> None:
    batch = batch_of_two()
    off = ParallelOutput(batch.speech.mel + 2, batch.durations.float().log1p() + 0.5, None)
    found = {name: float(value) for name, value in losses_of(off, batch).items()}
    assert found == pytest.approx({"mel": 2, "mel_squared": 4, "durations": 2 * (math.exp(-0.5) - 0.5)}, rel=1e-5)


@pytest.mark.parametrize(("distance", "expected"), [("l1", 2.0), ("mse", 4.0), ("mse+l1", 6.0)])
def test_the_loss_adds_what_is_asked_for(distance: str, expected: float, folder: Path) -> None:
    batch = batch_of_two()

    class Off(torch.nn.Module):
        def forward(self, *arguments: Tensor | None) -> ParallelOutput:
            return ParallelOutput(batch.speech.mel + 2, batch.durations.float().log1p() + 2, None)

    mapping = mapping_of(folder) | {"loss": {"distance": distance, "durations": 0.5}}
    experiment = from_mapping(ParallelExperiment, mapping)
    objective = ParallelObjective(experiment.loss, MEL, build_units(N_UNITS))
    loss, terms = objective.training_loss(Off(), batch, 0)
    assert float(loss) == pytest.approx(expected + 0.5 * 2 * (math.exp(-2) + 2 - 1))
    assert terms.keys() == {"mel", "mel_squared", "durations", "loss"}
    objective.validate(Off(), batch)
    assert objective.measures()["duration_within_25_percent"] == 0


@pytest.mark.parametrize("data", [{}, {"chunk_curriculum": {"first": 5, "per_1000_steps": 0}}, {"run_length": "off"}])
def test_a_run(data: dict[str, Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = from_mapping(ParallelExperiment, mapping_of(folder, **data))
    run_parallel_synthesis(experiment, tmp_path)
    assert "mel_squared" in capsys.readouterr().out
    load_weights(build_model(experiment, build_units(N_UNITS)), tmp_path / "acoustic.safetensors")


def test_lengths_are_needed(folder: Path, tmp_path: Path) -> None:
    experiment = from_mapping(ParallelExperiment, mapping_of(folder, units=str(folder / "plain")))
    with pytest.raises(DataError, match="without lengths"):
        run_parallel_synthesis(experiment, tmp_path)


def refused(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_mapping(ParallelExperiment, mapping)


def test_what_units_do_not_have_is_refused(folder: Path) -> None:
    refused(mapping_of(folder, symbols="characters", units=None), "a unit-to-mel model reads units")
    refused(mapping_of(folder, speakers=True), "one voice")
    refused({**mapping_of(folder), "aligner_from": "a run"}, "units have lengths")
    refused({**mapping_of(folder), "model": {"prosody": True}}, "no pitch")


def test_what_text_does_not_have_is_refused(folder: Path) -> None:
    text = {**mapping_of(folder), "kind": "parallel-acoustic", "aligner_from": "a run"}
    refused(text, "a parallel-acoustic model reads text")
    text["data"] |= {"symbols": "characters", "units": None}
    refused({**text, "aligner_from": None}, "aligns text")


def test_sizes_follow_from_the_data(folder: Path) -> None:
    model = build_model(from_mapping(ParallelExperiment, mapping_of(folder)), build_units(20))
    assert model.config.n_symbols == 23
    assert model.mel.out_features == MEL.n_mels
