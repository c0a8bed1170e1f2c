"""Checkpoints of the public PyTorch WaveGlow (NVIDIA/waveglow and its descendants), in and out.

Three layouts are in the wild, all of the same network: one `cond_layer` for all layers of a coupling network; one
`cond_layers.i` per layer; and, oldest, `res_layers.i` and `skip_layers.i` apart instead of `res_skip_layers.i`. Any of
their convolutions may hold its weight normalised (`weight_g` and `weight_v`, or `parametrizations.weight.original0` and
`1`) or folded (`weight`).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optophone.checkpoints.keys import check_keys
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig

WHAT = "WaveGlow"
# Ours → the original's newest layout, as regular expressions.
RENAMED = {
    r"upsample\.(.+)": r"upsample.\1",
    r"mixings\.(\d+)\.weight": r"convinv.\1.conv.weight",
    r"couplings\.(\d+)\.start\.(.+)": r"WN.\1.start.\2",
    r"couplings\.(\d+)\.condition\.(.+)": r"WN.\1.cond_layer.\2",
    r"couplings\.(\d+)\.dilated\.(\d+)\.(.+)": r"WN.\1.in_layers.\2.\3",
    r"couplings\.(\d+)\.mix\.(\d+)\.(.+)": r"WN.\1.res_skip_layers.\2.\3",
    r"couplings\.(\d+)\.end\.(.+)": r"WN.\1.end.\2",
}
# The original normalises the weights of these; of the others it does not.
NORMALISED = re.compile(r"WN\.\d+\.(start|cond_layer|in_layers\.\d+|res_skip_layers\.\d+)\.weight")
# How a normalised weight is stored: magnitude, direction.
NORM_SUFFIXES = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
# The original's options that the tensors tell → ours; those of the coupling network may stand under WN_config.
SIZES = {
    "n_mel_channels": "n_mels",
    "n_flows": "n_flows",
    "n_group": "n_group",
    "n_early_every": "early_every",
    "n_early_size": "early_size",
    "n_layers": "n_layers",
    "n_channels": "n_channels",
    "kernel_size": "kernel_size",
}


def load_waveglow(state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> WaveGlow:
    """The vocoder of an original checkpoint of any of the three layouts, in evaluation mode.

    Args:
        state_dict: the original's keys, with or without `module.`.
        config: options under the original's names, possibly under `waveglow_config`. Sizes must agree with the tensors,
            which tell all of them. Taken are `hop_length` (also under `data_config`; a quarter of the upsampling kernel
            when absent) and `alternate_halves` (ours: true for a network whose odd flows move the first half).

    Raises:
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape.
        ConfigurationError: a size that the tensors contradict.
    """
    weights = {name.removeprefix("module."): torch.as_tensor(tensor).float() for name, tensor in state_dict.items()}
    weights = _join_layers(fold_weight_norm(weights))
    model = WaveGlow(_configuration(weights, config or {}))
    ours = model.state_dict()
    names = {name: original_name(name) for name in ours}
    check_keys(WHAT, weights, sorted(set(names.values())))
    for name, original in names.items():
        if weights[original].shape != ours[name].shape:
            found, wanted = tuple(weights[original].shape), tuple(ours[name].shape)
            raise BundleError(f"{WHAT} checkpoint: {original} is {found}, the rest needs {wanted}.")
    model.load_state_dict({name: weights[original] for name, original in names.items()}, strict=True)
    return model.eval()


def waveglow_state_dict(model: WaveGlow, normalised: bool = True) -> dict[str, Tensor]:
    """Our model with the keys of the original's newest layout, so that the original can load it.

    Args:
        model: without weight normalisation of its own.
        normalised: as the original trains and publishes it; False is what it has after its `remove_weightnorm`.

    Raises:
        ConfigurationError: the model uses an option that the original lacks.
    """
    if model.config.alternate_halves:
        raise ConfigurationError("The original WaveGlow does not alternate halves.")
    found: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        original, tensor = original_name(name), tensor.detach().clone()
        if normalised and NORMALISED.fullmatch(original):
            stem = original.removesuffix("weight")
            found[stem + "weight_g"] = _magnitude(tensor)
            found[stem + "weight_v"] = tensor
        else:
            found[original] = tensor
    return found


def original_name(name: str) -> str:
    """The original's name of our parameter `name`, in its newest layout."""
    for ours, original in RENAMED.items():
        match = re.fullmatch(ours, name)
        if match:
            return match.expand(original)
    raise AssertionError(f"no rule for {name}")


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights` with every magnitude and direction replaced by the weight they mean: g v / ‖v‖ per output channel.

    Raises:
        BundleError: one of the two is missing, or they do not fit each other.

    Source: Salimans & Kingma 2016, equation 2.
    """
    found = dict(weights)
    for suffix_g, suffix_v in NORM_SUFFIXES:
        stems = {name.removesuffix(end) for name in weights for end in (suffix_g, suffix_v) if name.endswith("." + end)}
        for stem in sorted(stems):
            for name in (stem + suffix_g, stem + suffix_v):
                if name not in weights:
                    raise BundleError(f"{WHAT} checkpoint: missing {name}.")
            g, v = found.pop(stem + suffix_g), found.pop(stem + suffix_v)
            if v.ndim != 3 or g.numel() != len(v):
                shapes = f"{tuple(g.shape)}, {stem}{suffix_v} {tuple(v.shape)}"
                raise BundleError(f"{WHAT} checkpoint: {stem}{suffix_g} is {shapes}: they do not fit.")
            found[stem + "weight"] = v * (g.reshape(-1, 1, 1) / _magnitude(v))
    return found


def _magnitude(weight: Tensor) -> Tensor:
    """Euclidean norm of each output channel of `weight` (O, I, K), as (O, 1, 1)."""
    return weight.flatten(1).norm(dim=1)[:, None, None]


def _join_layers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The two older layouts as the newest: residual and skip joined, then the conditions of all layers."""
    found = dict(weights)
    for name in weights:
        match = re.fullmatch(r"(WN\.\d+)\.skip_layers\.(\d+)\.(weight|bias)", name)
        if match:
            stem, layer, kind = match.groups()
            residual = found.pop(f"{stem}.res_layers.{layer}.{kind}", None)  # the last layer has none
            skip = found.pop(name)
            found[f"{stem}.res_skip_layers.{layer}.{kind}"] = _concatenate(
                name, [skip] if residual is None else [residual, skip]
            )
    stems = {
        match.groups()
        for match in map(re.compile(r"(WN\.\d+)\.cond_layers\.\d+\.(weight|bias)").fullmatch, weights)
        if match
    }
    for stem, kind in sorted(stems):
        names = [f"{stem}.cond_layers.{i}.{kind}" for i in range(_count(weights, rf"{stem}\.cond_layers\.\d+\.{kind}"))]
        missing = [name for name in names if name not in found]
        if missing:
            raise BundleError(f"{WHAT} checkpoint: missing {missing[0]}.")
        found[f"{stem}.cond_layer.{kind}"] = _concatenate(names[0], [found.pop(name) for name in names])
    return found


def _concatenate(name: str, tensors: list[Tensor]) -> Tensor:
    if len({tensor.shape[1:] for tensor in tensors}) > 1:
        raise BundleError(f"{WHAT} checkpoint: {name} does not fit the layers beside it.")
    return torch.cat(tensors)


def _configuration(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> WaveGlowConfig:
    """Sizes off the tensors, the rest from `config`, which may repeat the sizes but not contradict them."""
    options = config.get("waveglow_config", config)
    options = {**options, **options.get("WN_config", {})}
    sizes = _sizes(weights)
    sizes.update(_early_outputs(weights, sizes["n_flows"], options))
    for name, ours in SIZES.items():
        if name in options and options[name] != sizes[ours]:
            raise ConfigurationError(f"{WHAT}: {name} is {options[name]}, but the tensors have {sizes[ours]}.")
    hop_length = config.get("data_config", options).get("hop_length", sizes["upsample_kernel_size"] // 4)
    return WaveGlowConfig(**sizes, hop_length=hop_length, alternate_halves=bool(options.get("alternate_halves", False)))


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Every size but those of the early outputs, read off the original's tensors."""
    n_mels, _, upsample_kernel_size = _shape(weights, "upsample.weight")
    dilated = _shape(weights, "WN.0.in_layers.0.weight")
    return {
        "n_mels": n_mels,
        "upsample_kernel_size": upsample_kernel_size,
        "n_flows": max(1, _count(weights, r"convinv\.\d+\.conv\.weight")),
        "n_group": _shape(weights, "convinv.0.conv.weight")[0],
        "n_layers": _count(weights, r"WN\.0\.in_layers\.\d+\.weight"),
        "n_channels": dilated[1],
        "kernel_size": dilated[2],
    }


def _early_outputs(weights: Mapping[str, Tensor], n_flows: int, options: Mapping[str, Any]) -> dict[str, int]:
    """When channels leave, and how many: where the 1×1 convolutions become smaller."""
    channels = [_shape(weights, f"convinv.{k}.conv.weight")[0] for k in range(n_flows)]
    drops = [k for k in range(1, n_flows) if channels[k] != channels[k - 1]]
    if not drops:  # none leave: the options say nothing then, unless they promise some
        every, size = options.get("n_early_every", n_flows), options.get("n_early_size", 2)
        if every < n_flows and size:
            raise ConfigurationError(f"{WHAT}: n_early_every is {every}, but the tensors have no early outputs.")
        return {"early_every": every, "early_size": size}
    every, size = drops[0], channels[0] - channels[drops[0]]
    for k, n_channels in enumerate(channels):
        if n_channels != channels[0] - size * (k // every):
            raise BundleError(f"{WHAT} checkpoint: convinv.{k}.conv.weight has {n_channels} channels, out of step.")
    return {"early_every": every, "early_size": size}


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in weights:
        raise BundleError(f"{WHAT} checkpoint: missing {name}.")
    if weights[name].ndim != 3:
        raise BundleError(f"{WHAT} checkpoint: {name} has {weights[name].ndim} axes, not 3.")
    return tuple(weights[name].shape)


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in weights)
