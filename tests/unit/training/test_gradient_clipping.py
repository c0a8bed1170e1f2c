"""A clipped gradient moves weights no further than it may."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.data.captioned_pictures import build_vocabulary
from optophone.training.captioning import CaptioningExperiment, build_model
from optophone.training.run import train
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_configuration


def movement(folder: Path, by: str) -> torch.Tensor:
    """How far every weight of the decoder moves in one step of plain descent, its gradient clipped to .01."""
    dataset = write_captioned_pictures(folder / "data")
    mapping = captioner_experiment(folder / "data")
    mapping["optimizer"] = {"name": "sgd", "betas": [0.5, 0.5], "learning_rate": 1.0}
    mapping["optimizer"] |= {"schedule": "constant", "scales": {"encoder.": 0.0}}
    mapping["trainer"] |= {"max_steps": 1, "gradient_clip": 0.01, "gradient_clip_by": by, "average_decay": 0.0}
    experiment = from_mapping(CaptioningExperiment, mapping)
    vocabulary = build_vocabulary(dataset.rows("train"), experiment.data)
    first = dict(build_model(experiment, vocabulary).decoder.named_parameters())  # tied weights come once
    run = train(write_configuration(folder / "tiny.yaml", mapping), out=folder / by)
    last = load_file(run / "captioner.safetensors")
    return torch.cat([(last[f"decoder.{name}"] - value.detach()).flatten() for name, value in first.items()])


def test_by_value_every_weight_is_held_and_by_norm_all_together(tmp_path: Path) -> None:
    # Nesterov's first step is the gradient times 1 + momentum.
    by_value, by_norm = movement(tmp_path, "value") / 1.5, movement(tmp_path, "norm") / 1.5
    assert by_value.abs().max() <= 0.01 + 1e-6
    assert by_value.norm() > 0.05
    assert by_norm.norm() <= 0.01 + 1e-6
    assert by_norm.abs().max() > 0
