"""The folded WaveGlow: the same numbers as the plain one, in portions of any size."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.mel import MelSpec
from optophone.models.vocoders.fast_waveglow import FastWaveGlow, FastWaveGlowConfig
from optophone.models.vocoders.rows import RowWindow, convolve_rows, multiply_rows
from optophone.models.vocoders.waveglow import WaveGlow
from optophone.models.vocoders.weight_norm import add_weight_norm
from tiny_vocoders import TINY_WAVEGLOW, tiny_waveglow

SIZES = {
    "tiny": TINY_WAVEGLOW,
    "no early outputs": replace(TINY_WAVEGLOW, early_every=4),
    "one layer": replace(TINY_WAVEGLOW, n_layers=1),
    "wide kernel": replace(TINY_WAVEGLOW, kernel_size=5),
    "kernel of one": replace(TINY_WAVEGLOW, kernel_size=1),
    "steps across frames": replace(TINY_WAVEGLOW, n_group=12),
    "ragged upsampling": replace(TINY_WAVEGLOW, upsample_kernel_size=55),
    "alternate halves": replace(TINY_WAVEGLOW, alternate_halves=True),
}
SPEC = MelSpec(n_mels=3, hop_length=16)


@pytest.fixture(params=SIZES)
def model(request: pytest.FixtureRequest) -> WaveGlow:
    return tiny_waveglow(SIZES[request.param])


@pytest.fixture
def mel() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 23)).astype(np.float32)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("block_frames", [1, 5, 100])
def test_equals_the_plain_one(model: WaveGlow, mel: np.ndarray, fold: bool, block_frames: int) -> None:
    steps = torch.zeros(1, 1, mel.shape[1] * 16 // model.config.n_group)
    noise = model.draw_noise(steps, torch.Generator().manual_seed(1))
    expected = model.infer(torch.from_numpy(mel)[None], 0.7, noise)[0].numpy()
    fast = FastWaveGlow(model, SPEC, FastWaveGlowConfig(0.7, block_frames=block_frames, fold_conditions=fold))
    found = fast.infer(mel, [draw[0].numpy() for draw in noise])
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


def test_folding_needs_whole_steps() -> None:
    for n_group, steps in ((8, 2), (12, 1)):
        model = tiny_waveglow(replace(TINY_WAVEGLOW, n_group=n_group))
        fast = FastWaveGlow(model, SPEC, FastWaveGlowConfig(fold_conditions=True))
        assert fast.conditions.steps_per_row == steps
        assert (fast.conditions.upsample is None) == (steps > 1)


@pytest.mark.parametrize("sizes", [[1] * 23, [0, 10, 0, 13], [23], [4, 3, 9, 0, 7]])
@pytest.mark.parametrize("fold", [False, True])
def test_a_stream_is_the_whole_wave(model: WaveGlow, mel: np.ndarray, sizes: list[int], fold: bool) -> None:
    config = FastWaveGlowConfig(block_frames=6, stream_frames=3, fold_conditions=fold)
    fast = FastWaveGlow(model, SPEC, config)
    taken: list[int] = []

    def chunks() -> Iterator[np.ndarray]:
        for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
            taken.append(size)
            yield mel[:, stop - size : stop]

    portions = [(wave, sum(taken)) for wave in fast.stream(chunks())]
    assert all(len(wave) for wave, _ in portions)
    whole = fast.wave(mel)
    np.testing.assert_allclose(np.concatenate([wave for wave, _ in portions]), whole, atol=1e-5)
    if len(sizes) > 5 and model.config == TINY_WAVEGLOW:
        assert portions[0][1] < 23, "the first comes before the mel is complete"


def test_memory_does_not_grow(mel: np.ndarray) -> None:
    from optophone.models.vocoders.fast_waveglow import _Utterance

    fast = FastWaveGlow(tiny_waveglow(), SPEC)
    utterance = _Utterance(fast, fast._seeded())
    held = []
    for _ in range(12):
        utterance.push(mel.T.copy(), last=False)
        held.append(len(utterance.conditions.rows) + sum(len(stream.waiting) for stream in utterance.streams))
    assert held[-1] <= held[3]


def test_the_seed_is_the_noise(mel: np.ndarray) -> None:
    model = tiny_waveglow()
    first, same, other = (FastWaveGlow(model, SPEC, FastWaveGlowConfig(seed=seed)).wave(mel) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert np.abs(first - other).max() > 0.01
    silent = [FastWaveGlow(model, SPEC, FastWaveGlowConfig(0.0, seed)).wave(mel) for seed in (1, 2)]
    assert np.array_equal(*silent)


def test_weights_under_training_are_read(mel: np.ndarray) -> None:
    model = tiny_waveglow()
    before = FastWaveGlow(model, SPEC).wave(mel)
    add_weight_norm(model)
    np.testing.assert_allclose(FastWaveGlow(model, SPEC).wave(mel), before, atol=1e-5)


def test_another_mel_is_refused(mel: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match="80 bands every 256 samples, the network wants 3 every 16"):
        FastWaveGlow(tiny_waveglow(), MelSpec())
    fast = FastWaveGlow(tiny_waveglow())
    with pytest.raises(AudioError, match="3 bands"):
        fast.wave(mel[:2])
    with pytest.raises(AudioError, match="no numbers"):
        fast.wave(mel * np.nan)
    assert fast.wave(mel[:, :0]).shape == (0,)
    assert list(fast.stream([])) == []


@pytest.mark.parametrize("options", [{"sigma": -0.1}, {"block_frames": 0}, {"stream_frames": 0}])
def test_options_that_make_no_sense(options: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        FastWaveGlowConfig(**options)


@pytest.mark.parametrize("n_rows", [1, 40, 300])
def test_products_of_rows(n_rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, weight, bias = (torch.randn(*size, generator=generator) for size in ((n_rows, 24), (32, 24), (32,)))
    with torch.inference_mode():
        torch.testing.assert_close(multiply_rows(rows, weight, bias), functional.linear(rows, weight, bias))
        torch.testing.assert_close(multiply_rows(rows[:, ::2], weight[:, ::2]), rows[:, ::2] @ weight[:, ::2].T)
        kernel = torch.randn(32, 24, 1, 3, generator=generator)
        seen = torch.randn(n_rows + 8, 24, generator=generator)
        expected = functional.conv1d(seen.T[None], kernel[:, :, 0], dilation=4)[0].T
        torch.testing.assert_close(convolve_rows(seen, kernel, 4), expected, atol=1e-4, rtol=1e-4)


def test_windows_overlap_by_what_is_seen() -> None:
    window = RowWindow(2, 1, torch.device("cpu"))
    rows = torch.arange(1.0, 6.0)[:, None]
    assert len(window.push(rows[:2], last=False)) == 0 or window.kept.shape[0] <= 4
    seen = window.push(rows[2:3], last=False)
    assert seen.flatten().tolist() == [0, 0, 1, 2, 3]
    assert window.push(rows[3:], last=True).flatten().tolist() == [0, 1, 2, 3, 4, 5, 0, 0]
