"""The encoder's rate and what it sees."""

import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.models.units.strided_encoder import StridedEncoder, StridedEncoderConfig


@pytest.mark.parametrize(("n_strides", "n_frames", "before"), [(1, 16, 7), (2, 30, 13)])
def test_units_see_as_many_frames_as_the_published_ones(n_strides: int, n_frames: int, before: int) -> None:
    torch.manual_seed(0)
    config = StridedEncoderConfig(5, features="log-mel", n_coefficients=3, width=9, n_strides=n_strides)
    encoder, size = StridedEncoder(config, 3).double().eval(), config.frames_per_unit
    levels = (-80 * torch.rand(1, 5, 80)).double().requires_grad_()
    vectors, mask = encoder(levels)
    assert mask is None
    assert vectors.shape == (1, 3, 80 // size)
    unit = 40 // size
    vectors[0, :, unit].square().sum().backward()
    seen = levels.grad[0].abs().amax(0).nonzero().flatten()
    assert (int(seen[0]), len(seen)) == (40 - before, n_frames)


@pytest.mark.parametrize("features", ["mfcc", "log-mel"])
@pytest.mark.parametrize("n_strides", [0, 1, 2, 3])
def test_the_reach_is_enough_and_not_more(features: str, n_strides: int) -> None:
    torch.manual_seed(1)
    config = StridedEncoderConfig(5, 80.0, features, 3, 16, n_strides=n_strides)  # type: ignore[arg-type]
    encoder, size = StridedEncoder(config, 3).double().eval(), config.frames_per_unit
    n_units = 4 * config.reach + 1
    levels = (-80 * torch.rand(1, 5, n_units * size)).double().requires_grad_()
    middle = n_units // 2
    encoder(levels)[0][0, :, middle].square().sum().backward()
    seen = levels.grad[0].abs().amax(0).nonzero().flatten() // size - middle
    assert max(-int(seen[0]), int(seen[-1])) == config.reach


@pytest.mark.parametrize("features", ["mfcc", "log-mel"])
@pytest.mark.parametrize("n_strides", [0, 1, 2, 3])
def test_a_unit_sees_the_frames_that_it_says_and_no_others(features: str, n_strides: int) -> None:
    torch.manual_seed(2)
    config = StridedEncoderConfig(5, 80.0, features, 3, 16, n_strides=n_strides)  # type: ignore[arg-type]
    encoder, size = StridedEncoder(config, 3).double().eval(), config.frames_per_unit
    middle = 2 * config.reach
    levels = (-80 * torch.rand(1, 5, (4 * config.reach + 1) * size)).double().requires_grad_()
    encoder(levels)[0][0, :, middle].square().sum().backward()
    seen = levels.grad[0].abs().amax(0).nonzero().flatten() - middle * size
    assert (-int(seen[0]), int(seen[-1])) == config.frames_around


def test_a_cut_with_context_is_as_the_whole() -> None:
    torch.manual_seed(2)
    config = StridedEncoderConfig(5, n_coefficients=3, width=8)
    encoder, levels = StridedEncoder(config, 3).eval(), -80 * torch.rand(1, 5, 120)
    whole = encoder(levels)[0][:, :, 10:13]
    first, last = 10 - config.reach, 13 + config.reach
    cut = encoder(levels[:, :, first * 4 : last * 4], torch.ones(1, (last - first) * 4, dtype=torch.bool))[0]
    torch.testing.assert_close(cut[:, :, config.reach : -config.reach], whole)


@pytest.mark.parametrize("options", [{"width": 0}, {"n_strides": -1}, {"n_coefficients": 41}, {"range_db": 0.0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(ConfigurationError):
        StridedEncoderConfig(**options)
