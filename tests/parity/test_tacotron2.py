"""Tacotron 2 against the outputs of the public original, for whatever sizes the fixture has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optophone.checkpoints.tacotron2 import load_tacotron2, tacotron2_state_dict
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.acoustic.tacotron2 import AcousticOutput, AcousticUtterance, Tacotron2
from optophone.training.acoustic_loss import AcousticLoss, AcousticLossConfig

OUTPUTS = {
    "mel_outputs": "mel_before",
    "mel_outputs_postnet": "mel_after",
    "gate_outputs": "stop_logits",
    "alignments": "alignment",
}


class Fixture:
    """The stored arrays and settings of one reference run."""

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, Any] = json.loads((folder / "tacotron2.json").read_text())
        with np.load(folder / "tacotron2.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}

    def tensors(self, prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in self.arrays.items() if name.startswith(prefix)}

    def model(self) -> Tacotron2:
        return load_tacotron2(self.tensors("weight/"), self.settings["config"])

    def masks(self, run: str) -> list[torch.Tensor]:
        """The stored prenet masks of a run, or masks that let everything pass."""
        stored = "teacher" if run.startswith("teacher") else "infer"
        masks = [self.arrays[f"input/{stored}_prenet_mask_{i}"] for i in range(2)]
        return masks if run.endswith("masked") else [torch.ones_like(mask) for mask in masks]

    def teacher(self, run: str) -> AcousticOutput:
        x = self.tensors("input/")
        with torch.no_grad():
            return self.model()(
                x["text"], x["input_lengths"], x["mels"], x["output_lengths"], prenet_masks=self.masks(run)
            )

    def tolerance(self, name: str) -> float:
        """Ten times the original's own rounding, and never looser than 1e-4."""
        reference = self.arrays[f"output/{name}"]
        scale = float(reference[reference.abs() < 999].abs().max())
        return min(1e-4, 10 * self.settings["reference_rounding_fp32_vs_fp64"][name] + 1e-5 * max(1.0, scale))

    def check(self, run: str, output: AcousticOutput | AcousticUtterance) -> None:
        for theirs, ours in OUTPUTS.items():
            reference = self.arrays[f"output/{run}_{theirs}"]
            found = getattr(output, ours).reshape(reference.shape)
            torch.testing.assert_close(found, reference, rtol=0, atol=self.tolerance(f"{run}_{theirs}"))


@pytest.fixture(scope="module")
def fixture(parity_fixtures: Path) -> Fixture:
    return Fixture(parity_fixtures)


@pytest.mark.parametrize("run", ["teacher", "teacher_masked"])
def test_teacher_forced_equals_the_original(fixture: Fixture, run: str) -> None:
    fixture.check(run, fixture.teacher(run))


def test_encoder_equals_the_original(fixture: Fixture) -> None:
    x = fixture.tensors("input/")
    encoded = fixture.model().encoder(x["text"], x["input_lengths"], None)
    reference = fixture.arrays["output/teacher_encoder_outputs"]
    torch.testing.assert_close(encoded, reference, rtol=0, atol=fixture.tolerance("teacher_encoder_outputs"))


@pytest.mark.parametrize("run", ["infer", "infer_masked"])
def test_free_running_equals_the_original(fixture: Fixture, run: str) -> None:
    steps = fixture.settings["config"]["infer_steps"]
    output = fixture.model().infer(
        fixture.arrays["input/infer_text"], prenet_masks=fixture.masks(run), max_frames=steps, stop_threshold=2.0
    )
    fixture.check(run, output)
    assert not output.stopped.any()


def test_stops_where_the_original_stops(fixture: Fixture) -> None:
    output = fixture.model().infer(fixture.arrays["input/infer_text"], prenet_masks=fixture.masks("stop"))
    assert output.mel_lengths.tolist() == [int(fixture.arrays["output/stop_frames"])]
    assert output.stopped.all()
    fixture.check("stop", output)


def test_loss_equals_the_original(fixture: Fixture) -> None:
    x = fixture.tensors("input/")
    losses = AcousticLoss(AcousticLossConfig())(
        fixture.teacher("teacher"), x["mels"], x["output_lengths"], x["input_lengths"]
    )
    reference = fixture.arrays["output/teacher_loss"]
    torch.testing.assert_close(losses.total, reference, rtol=0, atol=fixture.tolerance("teacher_loss"))


def test_goes_out_as_it_came_in(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    back = tacotron2_state_dict(load_tacotron2({f"module.{name}": tensor for name, tensor in weights.items()}))
    assert list(back.keys() - weights.keys()) == []
    for name, tensor in weights.items():
        assert torch.equal(back[name], tensor), name


def test_missing_and_unexpected_keys_are_named(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    weights["decoder.extra"] = weights.pop("decoder.gate_layer.linear_layer.bias")
    with pytest.raises(
        BundleError, match=r"missing decoder\.gate_layer\.linear_layer\.bias; unexpected decoder\.extra"
    ):
        load_tacotron2(weights)


def test_wrong_shapes_and_sizes_are_named(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    with pytest.raises(ConfigurationError, match="attention_dim is 3"):
        load_tacotron2(weights, {"attention_dim": 3})
    weights["decoder.gate_layer.linear_layer.weight"] = torch.zeros(1, 2)
    with pytest.raises(BundleError, match=r"decoder\.gate_layer\.linear_layer\.weight is \(1, 2\)"):
        load_tacotron2(weights)
