"""The mel spectrogram against the public Tacotron 2 implementation; sizes are read from the fixture."""

import json
from pathlib import Path

import numpy as np
import pytest

from optophone.core.mel import MelSpec, frames_for, log_mel, mel_filter_bank, stft

Reference = tuple[dict[str, np.ndarray], dict, MelSpec]


@pytest.fixture(scope="module")
def reference(parity_fixtures: Path) -> Reference:
    facts = json.loads((parity_fixtures / "tacotron_mel.json").read_text())
    with np.load(parity_fixtures / "tacotron_mel.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    sizes = facts["config"]["TacotronSTFT"]
    f_max = sizes["mel_fmax"]
    spec = MelSpec(
        sample_rate=sizes["sampling_rate"],
        n_fft=sizes["filter_length"],
        win_length=sizes["win_length"],
        hop_length=sizes["hop_length"],
        n_mels=sizes["n_mel_channels"],
        f_min=sizes["mel_fmin"],
        f_max=sizes["sampling_rate"] / 2 if f_max is None else f_max,
        floor=facts["config"].get("log_clip_val", 1e-5),
    )
    return arrays, facts, spec


def _waves(arrays: dict[str, np.ndarray]) -> list[tuple[str, int, np.ndarray]]:
    """Name suffix, row in the batch and wave of everything that goes in."""
    batches = [(name.rsplit("_", 1)[1], value) for name, value in arrays.items() if name.startswith("input/waveform_")]
    assert batches, "the fixture holds no input/waveform_*"
    return [(suffix, row, wave) for suffix, batch in batches for row, wave in enumerate(batch)]


def test_filter_bank_is_that_of_the_reference(reference: Reference) -> None:
    arrays, _, spec = reference
    expected = arrays["output/mel_basis"]
    np.testing.assert_allclose(mel_filter_bank(spec), expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_magnitudes_are_those_of_the_reference(reference: Reference) -> None:
    arrays, facts, spec = reference
    for suffix, row, wave in _waves(arrays):
        expected = arrays[f"output/magnitude_{suffix}"][row]
        tolerance = 10 * facts["reference_rounding_fp32_vs_fp64"][f"magnitude_{suffix}"] + 1e-6
        for precise in (np.float32, np.float64):
            magnitudes = np.abs(stft(wave.astype(precise), spec))
            np.testing.assert_allclose(magnitudes, expected, rtol=1e-5, atol=tolerance)


def test_log_mel_is_that_of_the_reference(reference: Reference) -> None:
    arrays, facts, spec = reference
    for suffix, row, wave in _waves(arrays):
        expected = arrays[f"output/mel_{suffix}"][row]
        tolerance = min(1e-4, 10 * facts["reference_rounding_fp32_vs_fp64"][f"mel_{suffix}"] + 1e-5)
        mel = log_mel(wave, spec)
        assert mel.dtype == np.float32
        assert mel.shape == (spec.n_mels, frames_for(len(wave), spec))
        np.testing.assert_allclose(mel, expected, rtol=1e-5, atol=tolerance)
