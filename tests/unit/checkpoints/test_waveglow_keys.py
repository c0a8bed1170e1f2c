"""The three public layouts of WaveGlow's checkpoints become the same model."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from optophone.checkpoints.waveglow import load_waveglow, waveglow_state_dict
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig
from tiny_vocoders import TINY_WAVEGLOW, tiny_waveglow

Weights = dict[str, Tensor]


def plain() -> Weights:
    return waveglow_state_dict(tiny_waveglow(), normalised=False)


def split_conditions(weights: Weights) -> Weights:
    """One layer of conditions per layer, as the checkpoints of 512 channels have it."""
    found = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r"(WN\.\d+)\.cond_layer\.(weight|bias)", name)
        if match:
            for i, part in enumerate(tensor.chunk(TINY_WAVEGLOW.n_layers)):
                found[f"{match[1]}.cond_layers.{i}.{match[2]}"] = part
        else:
            found[name] = tensor
    return found


def split_residuals(weights: Weights) -> Weights:
    """Residual and skip apart, as the oldest checkpoints have it."""
    found = {}
    for name, tensor in split_conditions(weights).items():
        match = re.fullmatch(r"(WN\.\d+)\.res_skip_layers\.(\d+)\.(weight|bias)", name)
        if not match:
            found[name] = tensor
            continue
        stem, layer, kind = match.groups()
        if int(layer) < TINY_WAVEGLOW.n_layers - 1:
            residual, tensor = tensor.chunk(2)
            found[f"{stem}.res_layers.{layer}.{kind}"] = residual
        found[f"{stem}.skip_layers.{layer}.{kind}"] = tensor
    return found


def normalise(weights: Weights, magnitude: str = "weight_g", direction: str = "weight_v") -> Weights:
    """Weight norm with directions of any length."""
    found = {}
    for name, tensor in weights.items():
        if re.fullmatch(r"WN\.\d+\.(start|cond_layer|\w+_layers\.\d+)\.weight", name):
            stem = name.removesuffix("weight")
            found[stem + magnitude] = tensor.flatten(1).norm(dim=1)[:, None, None]
            found[stem + direction] = 1.7 * tensor
        else:
            found[name] = tensor
    return found


LAYOUTS = {
    "one layer of conditions": plain,
    "conditions apart": lambda: split_conditions(plain()),
    "residuals apart": lambda: split_residuals(plain()),
    "one layer of conditions, normalised": lambda: normalise(plain()),
    "conditions apart, normalised": lambda: normalise(split_conditions(plain())),
    "residuals apart, normalised": lambda: normalise(split_residuals(plain())),
    "newer weight norm": lambda: normalise(
        plain(), "parametrizations.weight.original0", "parametrizations.weight.original1"
    ),
    "module.": lambda: {f"module.{name}": tensor for name, tensor in normalise(plain()).items()},
    "half precision": lambda: {name: tensor.half().float() for name, tensor in plain().items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_speaks_alike(layout: str) -> None:
    model = load_waveglow(LAYOUTS[layout](), {"hop_length": 16})
    assert model.config == TINY_WAVEGLOW
    assert not model.training
    mel, noise = torch.randn(1, 3, 9), tiny_waveglow().draw_noise(torch.zeros(1, 1, 18))
    expected = tiny_waveglow().infer(mel, 0.6, noise)
    tolerance = 0.05 if layout == "half precision" else 1e-5
    torch.testing.assert_close(model.infer(mel, 0.6, noise), expected, atol=tolerance, rtol=tolerance)


def test_half_precision_tensors_become_single() -> None:
    model = load_waveglow({name: tensor.half() for name, tensor in plain().items()})
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_flows": 3, "early_every": 1, "early_size": 2},
        {"n_flows": 2, "early_every": 2},
        {"n_group": 12, "early_size": 4, "kernel_size": 5, "n_layers": 2},
        {"n_flows": 5, "early_every": 4, "n_channels": 4},
        {"n_flows": 1, "n_layers": 1, "early_every": 1},
    ],
)
def test_sizes_are_read_off_the_tensors(sizes: dict[str, int]) -> None:
    config = replace(TINY_WAVEGLOW, **sizes)
    weights = waveglow_state_dict(tiny_waveglow(config))
    assert load_waveglow(weights).config == config
    options = {
        "n_mel_channels": config.n_mels,
        "n_flows": config.n_flows,
        "n_group": config.n_group,
        "n_early_every": config.early_every,
        "n_early_size": config.early_size,
        "WN_config": {
            "n_layers": config.n_layers,
            "n_channels": config.n_channels,
            "kernel_size": config.kernel_size,
        },
    }
    whole = {"waveglow_config": options, "data_config": {"hop_length": 16}, "train_config": {"sigma": 1.0}}
    assert load_waveglow(weights, options).config == load_waveglow(weights, whole).config == config


@pytest.mark.parametrize(("n_channels", "n_parameters"), [(256, 87_879_272), (512, 268_294_760)])
def test_the_published_sizes(n_channels: int, n_parameters: int) -> None:
    with torch.device("meta"):
        weights = waveglow_state_dict(WaveGlow(WaveGlowConfig(n_channels=n_channels)))
    assert len(weights) == 686
    assert sum(tensor.numel() for tensor in weights.values()) == n_parameters
    assert weights["WN.0.cond_layer.weight_v"].shape == (16 * n_channels, 640, 1)
    assert [weights[f"convinv.{k}.conv.weight"].shape[0] for k in (0, 4, 11)] == [8, 6, 4]


def test_halves_may_alternate() -> None:
    weights = plain()
    model = load_waveglow(weights, {"alternate_halves": True})
    assert model.config.alternate_halves
    with pytest.raises(ConfigurationError, match="alternate"):
        waveglow_state_dict(model)


def test_mistakes_are_named() -> None:
    cases = {
        "missing WN.1.end.bias": lambda w: w.pop("WN.1.end.bias"),
        "missing upsample.weight": lambda w: w.pop("upsample.weight"),
        "unexpected WN.9.extra": lambda w: w.update({"WN.9.extra": torch.zeros(1)}),
        "missing WN.0.start.weight_v": lambda w: w.pop("WN.0.start.weight_v"),
        "WN.0.start.weight_g is": lambda w: w.update({"WN.0.start.weight_g": torch.ones(2, 1, 1)}),
        "upsample.bias is": lambda w: w.update({"upsample.bias": torch.ones(2)}),
        "convinv.3.conv.weight has 4 channels": lambda w: w.update({"convinv.3.conv.weight": torch.ones(4, 4, 1)}),
        "missing convinv.0.conv.weight": lambda w: w.pop("convinv.0.conv.weight"),
        "upsample.weight has 2 axes": lambda w: w.update({"upsample.weight": torch.ones(4, 4)}),
    }
    for message, damage in cases.items():
        weights = normalise(plain())
        damage(weights)
        with pytest.raises(BundleError, match=re.escape(message)):
            load_waveglow(weights)
    weights = split_conditions(plain())
    del weights["WN.2.cond_layers.0.bias"]
    with pytest.raises(BundleError, match=r"missing WN\.2\.cond_layers\.0\.bias"):
        load_waveglow(weights)


def test_sizes_that_the_tensors_contradict() -> None:
    for options, message in (
        ({"n_flows": 12}, "n_flows is 12, but the tensors have 4"),
        ({"WN_config": {"n_channels": 256}}, "n_channels is 256"),
        ({"waveglow_config": {"n_early_every": 3}}, "n_early_every is 3"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            load_waveglow(plain(), options)
    without = waveglow_state_dict(tiny_waveglow(replace(TINY_WAVEGLOW, early_every=4)))
    with pytest.raises(ConfigurationError, match="no early outputs"):
        load_waveglow(without, {"n_early_every": 2})
