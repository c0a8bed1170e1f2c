"""WaveGlow's denoiser against the outputs of the public original, for whatever sizes the fixture has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optophone.checkpoints.waveglow import load_waveglow
from optophone.core.denoiser import BIAS_FRAMES, Denoiser
from optophone.core.mel import MelSpec, stft
from optophone.models.vocoders.denoiser import build_denoiser
from optophone.models.vocoders.waveglow import WaveGlow


class Fixture:
    """The stored arrays and settings of one reference run."""

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, Any] = json.loads((folder / "denoiser.json").read_text())
        with np.load(folder / "denoiser.npz") as arrays:
            self.arrays = {name: arrays[name].copy() for name in arrays.files}
        config = self.settings["config"]
        weights = {name: torch.from_numpy(self.arrays[name]) for name in self.arrays if name.startswith("weight/")}
        self.model: WaveGlow = load_waveglow({n.removeprefix("weight/"): w for n, w in weights.items()}, config)
        self.spec = MelSpec(
            n_fft=config["filter_length"],
            win_length=config["win_length"],
            hop_length=config["filter_length"] // config["n_overlap"],
            n_mels=self.model.config.n_mels,
        )

    def denoiser(self) -> Denoiser:
        return build_denoiser(self.model, self.spec)

    def check(self, name: str, found: np.ndarray) -> None:
        """Ten times the original's own rounding, and never looser than 1e-4 of the largest value."""
        reference = self.arrays[f"output/{name}"]
        scale = max(1.0, float(np.abs(reference).max()))
        tolerance = min(1e-4 * scale, 10 * self.settings["reference_rounding_fp32_vs_fp64"][name] + 1e-5 * scale)
        np.testing.assert_allclose(found.reshape(reference.shape), reference, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def fixture(parity_fixtures: Path) -> Fixture:
    return Fixture(parity_fixtures)


def test_bias_equals_the_original(fixture: Fixture) -> None:
    silence = torch.zeros(1, fixture.model.config.n_mels, BIAS_FRAMES)
    fixture.check("bias_audio", fixture.model.infer(silence, sigma=0.0).numpy())
    fixture.check("bias_spec", fixture.denoiser().bias)


def test_spectra_equal_the_original(fixture: Fixture) -> None:
    waves = fixture.arrays["input/audio"]
    fixture.check("audio_spec", np.stack([np.abs(stft(wave, fixture.spec)) for wave in waves]))


def test_denoised_waves_equal_the_original(fixture: Fixture) -> None:
    denoiser = fixture.denoiser()
    for strength in fixture.settings["config"]["strengths"]:
        waves = [denoiser(wave, strength) for wave in fixture.arrays["input/audio"]]
        fixture.check(f"denoised_{strength}", np.stack(waves))
