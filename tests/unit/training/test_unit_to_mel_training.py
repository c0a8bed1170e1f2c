"""Training of the fast voice over units."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.vocabulary import build_units
from optophone.data.timed_units import TimedUnitBatch, collate_timed
from optophone.data.unit_speech import UnitPiece
from optophone.models.acoustic.unit_to_mel import UnitToMel, UnitToMelConfig, UnitToMelOutput
from optophone.training.unit_to_mel_training import (
    UnitToMelExperiment,
    UnitToMelObjective,
    build_model,
    distances,
    run_unit_to_mel_training,
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


def batch_of_two() -> TimedUnitBatch:
    """Units 3, 4, 5 of one, two and three frames, and unit 6 of two; the mels count up."""
    mels = [np.arange(n * MEL.n_mels, dtype=np.float16).reshape(MEL.n_mels, n) / 100 for n in (6, 2)]
    return collate_timed(
        [
            UnitPiece(np.array([3, 4, 5]), np.array([1, 2, 3]), mels[0]),
            UnitPiece(np.array([6]), np.array([2]), mels[1]),
        ]
    )


def test_batches_are_padded_with_nothing() -> None:
    batch = batch_of_two()
    assert batch.ids.tolist() == [[3, 4, 5], [6, 0, 0]]
    assert batch.durations.tolist() == [[1, 2, 3], [2, 0, 0]]
    assert batch.ids_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.mel_lengths.tolist() == batch.durations.sum(1).tolist()


def test_distances_are_means_over_what_is_valid() -> None:
    batch = batch_of_two()
    mask = torch.arange(6) < batch.mel_lengths[:, None]
    off = UnitToMelOutput(batch.mel + 2 * mask[:, None], batch.durations.float().log1p() + 0.5)
    found = distances(off, batch)
    assert float(found["mel_l1"]) == pytest.approx(2)
    assert float(found["mel_mse"]) == pytest.approx(4)
    assert float(found["durations"]) == pytest.approx(0.25)


@pytest.mark.parametrize(("distance", "expected"), [("l1", 2.0), ("mse", 4.0), ("mse+l1", 6.0)])
def test_the_loss_adds_what_is_asked_for(distance: str, expected: float, folder: Path) -> None:
    batch = batch_of_two()

    class Off(torch.nn.Module):
        def forward(self, ids: Tensor, ids_mask: Tensor, frames: Any) -> UnitToMelOutput:
            return UnitToMelOutput(batch.mel + 2 * frames.mask[:, None], batch.durations.float().log1p() + 2)

    mapping = mapping_of(folder) | {"loss": {"distance": distance, "durations": 0.5}}
    experiment = from_mapping(UnitToMelExperiment, mapping)
    objective = UnitToMelObjective(experiment.loss, MEL, build_units(N_UNITS))
    loss, terms = objective.training_loss(Off(), batch, 0)
    assert float(loss) == pytest.approx(expected + 0.5 * 4)
    assert terms.keys() == {"mel_l1", "mel_mse", "durations", "loss"}
    objective.validate(Off(), batch)
    assert objective.measures()["duration_within_25_percent"] == 0


@pytest.mark.parametrize("data", [{}, {"chunk_curriculum": {"first": 5, "per_1000_steps": 0}}, {"run_length": "off"}])
def test_a_run(data: dict[str, Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = from_mapping(UnitToMelExperiment, mapping_of(folder, **data))
    run_unit_to_mel_training(experiment, tmp_path)
    assert "mel_l1" in capsys.readouterr().out
    load_weights(build_model(experiment, build_units(N_UNITS)), tmp_path / "acoustic.safetensors")


def test_lengths_are_needed(folder: Path, tmp_path: Path) -> None:
    experiment = from_mapping(UnitToMelExperiment, mapping_of(folder, units=str(folder / "plain")))
    with pytest.raises(DataError, match="without lengths"):
        run_unit_to_mel_training(experiment, tmp_path)


def test_text_and_several_voices_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="reads units"):
        from_mapping(UnitToMelExperiment, mapping_of(folder, symbols="characters", units=None))
    with pytest.raises(ConfigurationError, match="one voice"):
        from_mapping(UnitToMelExperiment, mapping_of(folder, speakers=True))


def test_sizes_follow_from_the_data(folder: Path) -> None:
    experiment = from_mapping(UnitToMelExperiment, mapping_of(folder))
    model = build_model(experiment, build_units(20))
    assert isinstance(model, UnitToMel)
    assert isinstance(model.config, UnitToMelConfig)
    assert (model.config.n_symbols, model.config.n_mels) == (23, MEL.n_mels)
