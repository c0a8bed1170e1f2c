"""Training of units: losses fall, stages follow one another, a resumed run is the whole run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.spoken_pictures import SpokenPictureBatch
from optophone.training.run import train
from optophone.training.unit_learning import UnitLearningExperiment, UnitLearningObjective, build_model, start_from
from optophone.training.weights import save_weights
from tiny_datasets import units_experiment, write_captioned_pictures, write_configuration, write_spoken_captions


def experiment(**changes: Any) -> UnitLearningExperiment:
    mapping = units_experiment(Path("pictures"), Path("speech"))
    mapping["model"] |= changes
    return from_mapping(UnitLearningExperiment, mapping)


def pairs(n: int = 6) -> SpokenPictureBatch:
    generator = torch.Generator().manual_seed(0)
    levels = -80 * torch.rand(n, 40, 48, generator=generator)
    return SpokenPictureBatch(torch.randn(n, 4, 6, generator=generator), levels, torch.full((n,), 48))


def test_twenty_steps_lower_the_loss_and_find_the_partners() -> None:
    model, objective, batch = build_model(experiment(jitter=0.0)).train(), UnitLearningObjective(), pairs()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for step in range(20):
        optimizer.zero_grad()
        loss, terms = objective.training_loss(model, batch, step)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert terms.keys() >= {"loss", "sampled_to_speech", "semi_hard_to_picture", "quantization", "perplexity_2"}
    with torch.no_grad():
        objective.validate(model, batch)
    measures = objective.measures()
    assert measures["speech_recall_5"] >= measures["speech_recall_1"] > 0.3
    assert measures["chance_10"] == 1


def test_codebooks_move_in_training_alone() -> None:
    model, objective = build_model(experiment()), UnitLearningObjective()
    quantizer = model.audio.quantizers["2"]
    before = quantizer.codes.clone()
    with torch.no_grad():
        objective.validate(model.eval(), pairs())
    assert torch.equal(quantizer.codes, before)
    objective.training_loss(model.train(), pairs(), 0)
    assert not torch.equal(quantizer.codes, before)


def test_measures_are_of_all_batches_and_begin_anew() -> None:
    model, objective, batch = build_model(experiment()).eval(), UnitLearningObjective(), pairs()
    halves = [SpokenPictureBatch(*(part[half] for part in batch)) for half in (slice(0, 3), slice(3, 6))]
    with torch.no_grad():
        objective.validate(model, batch)
        whole = objective.measures()
        for half in halves:
            objective.validate(model, half)
    assert objective.measures() == pytest.approx(whole)


def test_a_stage_keeps_all_and_begins_only_its_own_quantizer(tmp_path: Path) -> None:
    first = build_model(experiment())
    first.audio.quantizers["2"].codes.fill_(3.0)
    save_weights(first, tmp_path / "first.safetensors")
    second = build_model(experiment(quantizers=[2, 4], n_codes=[8, 5]))
    new = second.audio.quantizers["4"].codes.clone()
    start_from(second, tmp_path / "first.safetensors")
    for name, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    assert torch.equal(second.audio.quantizers["4"].codes, new)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantizers": [3], "n_codes": [8]}, r"differs in audio\.quantizers\.2"),
        ({"n_codes": [9]}, r"differs in audio\.quantizers\.2\.codes"),
        ({"blocks": [1, 1, 1, 2]}, r"differs in audio\.stages\.3\.1"),
    ],
)
def test_another_model_is_no_earlier_stage(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_weights(build_model(experiment()), tmp_path / "first.safetensors")
    with pytest.raises(ConfigurationError, match=message):
        start_from(build_model(experiment(**changes)), tmp_path / "first.safetensors")
    with pytest.raises(ConfigurationError, match="run the earlier stage"):
        start_from(build_model(experiment()), tmp_path / "none.safetensors")


@pytest.mark.parametrize(("section", "option", "value"), [("trainer", "average_decay", 0.9), ("data", "batch_size", 1)])
def test_what_cannot_train_is_refused(section: str, option: str, value: float) -> None:
    mapping = units_experiment(Path("pictures"), Path("speech"))
    mapping[section][option] = value
    with pytest.raises(ConfigurationError, match=f"{section}.{option}"):
        from_mapping(UnitLearningExperiment, mapping)


@pytest.mark.parametrize("frozen_views", [0, 2])
def test_two_halves_equal_the_whole(tmp_path: Path, frozen_views: int) -> None:
    write_spoken_captions(tmp_path / "speech", write_captioned_pictures(tmp_path / "pictures"))
    mapping = units_experiment(tmp_path / "pictures", tmp_path / "speech") | {"frozen_views": frozen_views}
    mapping["optimizer"]["schedule"] = "constant"  # which does not know how long the run will be
    path = write_configuration(tmp_path / "tiny.yaml", mapping)
    whole = load_file(train(path, out=tmp_path / "whole") / "units.safetensors")
    train(path, [("trainer.max_steps", "2")], tmp_path / "halves")
    halves = load_file(train(path, out=tmp_path / "halves") / "units.safetensors")
    assert halves.keys() == whole.keys()
    for name, value in halves.items():
        assert torch.equal(value, whole[name]), name
