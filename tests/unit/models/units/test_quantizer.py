"""The codebook, against loops."""

from dataclasses import replace

import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.models.units.quantizer import Quantizer, QuantizerConfig, perplexity

CONFIG = QuantizerConfig(decay=0.8, commitment=0.25)


@pytest.fixture
def quantizer() -> Quantizer:
    torch.manual_seed(0)
    return Quantizer(6, 3, CONFIG).train()


def test_each_frame_takes_its_nearest_code(quantizer: Quantizer) -> None:
    frames = torch.randn(40, 3)
    quantized = quantizer.eval()(frames)
    for frame, code, unit, loss in zip(frames, quantized.frames, quantized.units, quantized.losses, strict=True):
        distances = [float((frame - other).square().sum()) for other in quantizer.codes]
        assert int(unit) == distances.index(min(distances))
        assert torch.equal(code, quantizer.codes[unit])
        torch.testing.assert_close(loss, 0.25 * (frame - code).square())


def test_gradients_pass_through_unchanged(quantizer: Quantizer) -> None:
    frames = torch.randn(5, 3, requires_grad=True)
    quantized = quantizer(frames)
    weights = torch.randn(5, 3)
    (quantized.frames * weights).sum().backward()
    assert torch.equal(frames.grad, weights)
    torch.testing.assert_close(quantized.frames, quantizer.codes[quantized.units])


def test_the_loss_draws_frames_to_their_codes(quantizer: Quantizer) -> None:
    frames = torch.randn(5, 3, requires_grad=True)
    quantized = quantizer(frames)
    quantized.losses.sum().backward()
    torch.testing.assert_close(frames.grad, 0.5 * (frames.detach() - quantizer.codes[quantized.units]))


def test_codes_follow_the_averages_of_their_frames(quantizer: Quantizer) -> None:
    codes, frames = quantizer.codes.clone(), torch.randn(30, 3)
    mass, sums = torch.ones(6), codes.clone()
    for _ in range(3):
        units = quantizer(frames).units
        quantizer.update(frames, units)
        for k in range(6):
            mine = frames[units == k]
            mass[k] = 0.8 * mass[k] + 0.2 * len(mine)
            sums[k] = 0.8 * sums[k] + 0.2 * mine.sum(0)
    torch.testing.assert_close(quantizer.mass, mass)
    torch.testing.assert_close(quantizer.codes, sums / mass[:, None])


def test_an_update_leaves_the_losses_of_the_old_codes(quantizer: Quantizer) -> None:
    frames = torch.randn(5, 3, requires_grad=True)
    quantized = quantizer(frames)
    expected = 0.5 * (frames.detach() - quantizer.codes[quantized.units])
    quantizer.update(frames, quantized.units)
    quantized.losses.sum().backward()
    torch.testing.assert_close(frames.grad, expected)


def test_dead_codes_come_back_as_frames_where_wanted() -> None:
    torch.manual_seed(1)
    frames = torch.randn(50, 3) + 20  # far from all first codes: one takes all frames
    alive, dead = (Quantizer(6, 3, replace(CONFIG, revive_below=limit)) for limit in (0.5, 0.0))
    for quantizer in (alive, dead):
        for _ in range(8):
            quantizer.update(frames, quantizer(frames).units)
    assert len(dead(frames).units.unique()) == 1
    assert len(alive(frames).units.unique()) > 3
    assert (alive.mass >= 0.5).all()


def test_perplexity_counts_codes_by_their_share() -> None:
    assert float(perplexity(torch.tensor([3, 3, 3]), 8)) == pytest.approx(1, abs=1e-5)
    assert float(perplexity(torch.arange(8), 8)) == pytest.approx(8, abs=1e-4)


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"commitment": -1.0}, {"initial_mass": 0.0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(ConfigurationError):
        QuantizerConfig(**options)
