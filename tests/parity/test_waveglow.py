"""WaveGlow against the outputs of the public original, for whatever sizes the fixture has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.checkpoints.waveglow import load_waveglow, waveglow_state_dict
from optophone.core.bundle import open_bundle
from optophone.core.mel import MelSpec
from optophone.export.import_facts import ImportFacts
from optophone.export.vocoder import TrainedVocoder, export_vocoder
from optophone.models.vocoders.fast_waveglow import FastWaveGlow, FastWaveGlowConfig
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowOutput
from optophone.runtime.onnx_vocoder import OnnxVocoder
from optophone.training.waveglow_loss import WaveGlowLoss


class Fixture:
    """The stored arrays and settings of one reference run."""

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, Any] = json.loads((folder / "waveglow.json").read_text())
        with np.load(folder / "waveglow.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
        self.sigma: float = self.settings["config"]["infer_sigma"]

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in self.arrays.items() if name.startswith(prefix)}

    def model(self, weights: str = "weight/") -> WaveGlow:
        return load_waveglow(self.tensors(weights), self.settings["config"])

    @torch.no_grad()
    def forward(self, weights: str = "weight/") -> WaveGlowOutput:
        return self.model(weights)(self.arrays["input/forward_mel"], self.arrays["input/forward_audio"])

    def noise(self) -> list[Tensor]:
        stored = self.tensors("input/infer_noise_")
        return [stored[str(i)] for i in range(len(stored))]

    def check(self, name: str, found: Tensor) -> None:
        """Ten times the original's own rounding, and never looser than 1e-4 of the largest value."""
        reference = self.arrays[f"output/{name}"]
        scale = max(1.0, float(reference.abs().max()))
        tolerance = min(1e-4 * scale, 10 * self.settings["reference_rounding_fp32_vs_fp64"][name] + 1e-5 * scale)
        torch.testing.assert_close(found.reshape(reference.shape), reference, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def fixture(parity_fixtures: Path) -> Fixture:
    return Fixture(parity_fixtures)


@pytest.mark.parametrize("weights", ["weight/", "weight_removed/"])
def test_forward_equals_the_original(fixture: Fixture, weights: str) -> None:
    output = fixture.forward(weights)
    fixture.check("forward_z", output.z)
    for k, log_scale in enumerate(output.log_scales):
        fixture.check(f"forward_log_s_{k}", log_scale)
    fixture.check("forward_log_det_W", torch.stack(output.log_dets))


def test_loss_equals_the_original(fixture: Fixture) -> None:
    names = [name for name in fixture.tensors("output/") if name.startswith("forward_loss_sigma")]
    assert names
    for name in names:
        sigma = float(name.removeprefix("forward_loss_sigma"))
        fixture.check(name, WaveGlowLoss(sigma)(fixture.forward()).total)


def test_inference_equals_the_original(fixture: Fixture) -> None:
    model, mel = fixture.model(), fixture.arrays["input/infer_mel"]
    fixture.check("infer_audio", model.infer(mel, fixture.sigma, fixture.noise()))
    fixture.check("infer_audio_sigma0", model.infer(mel, 0.0, fixture.noise()))


@pytest.mark.parametrize("fold_conditions", [False, True])
def test_fast_inference_equals_the_original(fixture: Fixture, fold_conditions: bool) -> None:
    model, mel = fixture.model(), fixture.arrays["input/infer_mel"]
    config = FastWaveGlowConfig(fixture.sigma, block_frames=4, fold_conditions=fold_conditions)
    fast = FastWaveGlow(model, MelSpec(n_mels=model.config.n_mels), config)
    for item in range(len(mel)):
        noise = [draw[item].numpy() for draw in fixture.noise()]
        found = torch.from_numpy(fast.infer(mel[item].numpy(), noise))
        reference = fixture.arrays["output/infer_audio"][item]
        torch.testing.assert_close(found, reference, rtol=0, atol=1e-4)


def test_the_exported_bundle_equals_the_original(fixture: Fixture, tmp_path: Path) -> None:
    model, mels = fixture.model(), fixture.arrays["input/infer_mel"].numpy()
    spec = MelSpec(n_mels=model.config.n_mels, hop_length=model.config.hop_length)
    trained = TrainedVocoder(model, spec, ImportFacts("waveglow", "waveglow", "f", "0"), fixture.sigma, 0.0)
    export_vocoder(trained, tmp_path, "fp32", [mels[0]])
    vocoder = OnnxVocoder(open_bundle(tmp_path / "fp32"))
    for item, mel in enumerate(mels):
        noise = [draw[item].numpy() for draw in fixture.noise()]
        for name, sigma in (("infer_audio", None), ("infer_audio_sigma0", 0.0)):
            found = vocoder.infer(mel, noise, sigma, portion=1)
            reference = fixture.arrays[f"output/{name}"][item].numpy()
            np.testing.assert_allclose(found, reference, rtol=0, atol=1e-4)


def test_goes_out_as_it_came_in(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    model = load_waveglow({f"module.{name}": tensor for name, tensor in weights.items()}, fixture.settings["config"])
    back = waveglow_state_dict(model)
    assert back.keys() == weights.keys()
    for name, tensor in weights.items():
        assert back[name].shape == tensor.shape, name
        if not name.endswith("weight_v"):  # of the direction only the direction counts, and it goes out at full length
            torch.testing.assert_close(back[name], tensor, rtol=1e-6, atol=1e-7, msg=name)
    plain = waveglow_state_dict(model, normalised=False)
    reference = fixture.tensors("weight_removed/")
    assert plain.keys() == reference.keys()
    for name, tensor in reference.items():
        torch.testing.assert_close(plain[name], tensor, rtol=1e-6, atol=1e-7, msg=name)
