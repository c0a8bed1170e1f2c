"""WaveGlow forward and backward: each undoes the other, whatever the sizes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.vocoders.invertible_convolution import InvertibleConvolution
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig
from tiny_vocoders import TINY_WAVEGLOW, tiny_waveglow

SIZES = {
    "two early outputs": replace(TINY_WAVEGLOW, n_flows=5),
    "none": replace(TINY_WAVEGLOW, early_every=4),
    "wide kernel": replace(TINY_WAVEGLOW, kernel_size=5, n_group=12, early_size=4),
    "one layer": replace(TINY_WAVEGLOW, n_layers=1),
    "alternate halves": replace(TINY_WAVEGLOW, alternate_halves=True),
}


@pytest.fixture(params=SIZES)
def model(request: pytest.FixtureRequest) -> WaveGlow:
    return tiny_waveglow(SIZES[request.param])


def inputs(model: WaveGlow, n_frames: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    n_samples = n_frames * model.config.hop_length
    return torch.randn(2, 3, n_frames, generator=generator), torch.randn(2, n_samples, generator=generator)


def noise_of(model: WaveGlow, z: Tensor) -> list[Tensor]:
    """The channels of `z` in the order in which `infer` takes them."""
    *early, rest = z.split([model.config.early_size] * len(model.config.early_flows) + [model.config.n_remaining], 1)
    return [rest, *early[::-1]]


@torch.no_grad()
def test_speaking_undoes_hearing(model: WaveGlow) -> None:
    mel, audio = inputs(model)
    output = model(mel, audio)
    n_samples = audio.shape[1] // model.config.n_group * model.config.n_group
    assert output.z.shape == (2, model.config.n_group, n_samples // model.config.n_group)
    assert not torch.allclose(output.z.transpose(1, 2).reshape(2, -1), audio[:, :n_samples], atol=0.1)
    spoken = model.infer(mel, 1.0, noise_of(model, output.z))
    torch.testing.assert_close(spoken, audio[:, :n_samples], atol=2e-5, rtol=1e-4)


def test_likelihood_is_that_of_the_whole_map(model: WaveGlow) -> None:
    """The log-determinant of the Jacobian, from log-scales and 1×1 convolutions, against automatic differentiation."""
    mel, audio = inputs(model, n_frames=3)
    n_samples = audio.shape[1] // model.config.n_group * model.config.n_group
    model.double()
    mel, audio = mel[:1].double(), audio[:1, :n_samples].double()
    jacobian = torch.autograd.functional.jacobian(lambda x: model(mel, x).z.flatten(), audio)
    output = model(mel, audio)
    found = sum(scale.sum() for scale in output.log_scales) + sum(output.log_dets)
    expected = torch.linalg.slogdet(jacobian.reshape(n_samples, n_samples))[1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_a_fresh_flow_only_mixes() -> None:
    model = WaveGlow(TINY_WAVEGLOW)
    output = model(*inputs(model))
    assert all(not scale.any() for scale in output.log_scales)
    for log_det in output.log_dets:
        assert abs(float(log_det.detach())) < 1e-3, "a rotation keeps volumes"


def test_noise_is_drawn_as_asked() -> None:
    model = tiny_waveglow()
    mel, _ = inputs(model)
    first, same, other = (model.infer(mel, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.shape == (2, 7 * 16)
    assert torch.equal(model.infer(mel, 0.0), model.infer(mel, 0.0)), "sigma 0 leaves nothing to chance"
    draws = model.draw_noise(torch.zeros(2, 1, 14))
    assert [draw.shape[1] for draw in draws] == [6, 2]


def test_inverse_of_a_mixing() -> None:
    torch.manual_seed(0)
    mixing = InvertibleConvolution(6)
    x = torch.randn(2, 6, 5)
    mixed, log_det = mixing(x)
    assert torch.det(mixing.weight[:, :, 0]) > 0
    assert abs(float(log_det.detach())) < 1e-4
    torch.testing.assert_close(mixing.inverse(mixed), x, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        mixing.weight.mul_(2)
    assert float(mixing(x)[1].detach()) == pytest.approx(2 * 5 * 6 * 0.693147, abs=1e-3)


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_group": 7},
        {"early_size": 1},
        {"early_size": -2},
        {"early_size": 8},
        {"n_flows": 40},
        {"kernel_size": 4},
        {"n_layers": 0},
        {"upsample_kernel_size": 100},
    ],
)
def test_sizes_that_no_waveglow_has(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="WaveGlowConfig"):
        WaveGlowConfig(**sizes)


def test_channels_of_the_published_flows() -> None:
    config = WaveGlowConfig()
    assert config.flow_channels == (8,) * 4 + (6,) * 4 + (4,) * 4
    assert config.early_flows == (4, 8)
    assert config.n_remaining == 4
