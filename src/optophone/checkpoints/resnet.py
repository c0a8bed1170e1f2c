"""Residual networks under torchvision's names, in and out. Our encoder has the same names, without the classifier."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optophone.checkpoints.keys import check_keys
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.encoders.resnet import DEPTHS, Depth, ResNet, ResNetConfig

WHAT = "ResNet"
CLASSIFIER = ("fc.weight", "fc.bias")
COUNTER = "num_batches_tracked"  # counts training steps; weights from before 2018 lack it


def load_resnet(state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> ResNet:
    """The encoder of a torchvision checkpoint, in evaluation mode; the classifier is left behind.

    Args:
        state_dict: torchvision's keys, with or without `module.`, `fc.*` and `num_batches_tracked`.
        config: `encoded_image_size`, rows and columns of an enforced grid (14 in Show, Attend and Tell); and
            torchvision's `layers`, which must agree with the tensors. None for the network's own grid.

    Raises:
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape.
        ConfigurationError: an unknown option, or one that the tensors contradict.
    """
    weights = {name.removeprefix("module."): torch.as_tensor(tensor) for name, tensor in state_dict.items()}
    weights = {name: tensor for name, tensor in weights.items() if name not in CLASSIFIER}
    model = ResNet(_configuration(weights, config or {}))
    ours = model.state_dict()
    counters = {name for name in ours if name.endswith(COUNTER)}
    check_keys(WHAT, weights, sorted(set(ours) - counters), counters)
    for name, tensor in weights.items():
        if tensor.shape != ours[name].shape:
            found, wanted = tuple(tensor.shape), tuple(ours[name].shape)
            raise BundleError(f"{WHAT} checkpoint: {name} is {found}, the other tensors need {wanted}.")
    model.load_state_dict({**ours, **weights}, strict=True)
    return model.eval()


def resnet_state_dict(model: ResNet) -> dict[str, Tensor]:
    """Our encoder under torchvision's names; a classifier for it is to be trained."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _configuration(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> ResNetConfig:
    """Depth and kind of blocks off the names, sizes off the shapes."""
    blocks = _blocks(weights)
    bottleneck = "layer1.0.conv3.weight" in weights
    stem_width = _shape(weights, "conv1.weight")[0]
    inner = [_shape(weights, f"layer{i}.0.conv2.weight") for i in range(1, len(blocks) + 1)]
    expansion, groups = 4, 1
    if bottleneck:
        expansion = _ratio(weights, "layer1.0.conv3.weight", inner[0][0])
        groups = max(1, inner[0][0] // inner[0][1])
    kind = Depth(blocks, bottleneck)
    depth = next((number for number, known in DEPTHS.items() if known == kind), None)
    return ResNetConfig(
        depth=depth,
        blocks=None if depth else blocks,
        bottleneck=None if depth else bottleneck,
        stem_width=stem_width,
        widths=tuple(shape[0] for shape in inner),
        expansion=expansion,
        groups=groups,
        grid=_options(config, blocks),
    )


def _blocks(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Blocks of each stage: one more than the highest number in the names; gaps are found as missing keys."""
    found: dict[int, int] = {}
    for name in weights:
        match = re.fullmatch(r"layer(\d{1,2})\.(\d{1,3})\..+", name)
        if match:
            stage, block = int(match[1]), int(match[2])
            found[stage] = max(found.get(stage, 0), block + 1)
    if not found or min(found) < 1:
        raise BundleError(f"{WHAT} checkpoint: missing layer1.0.conv1.weight; these are no weights of a residual net.")
    return tuple(found.get(stage, 1) for stage in range(1, max(found) + 1))


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, int, int, int]:
    if name not in weights:
        raise BundleError(f"{WHAT} checkpoint: missing {name}.")
    shape = tuple(weights[name].shape)
    if len(shape) != 4 or min(shape) < 1:
        raise BundleError(f"{WHAT} checkpoint: {name} is {shape}, a convolution has four axes.")
    return shape


def _ratio(weights: Mapping[str, Tensor], name: str, width: int) -> int:
    """Channels that leave a bottleneck per channel inside it."""
    n_out = _shape(weights, name)[0]
    if n_out % width:
        raise BundleError(f"{WHAT} checkpoint: {name} has {n_out} outputs, no multiple of the block's {width}.")
    return n_out // width


def _options(config: Mapping[str, Any], blocks: tuple[int, ...]) -> tuple[int, int] | None:
    """The enforced grid; other options are checked."""
    for name, value in config.items():
        if name == "layers" and tuple(value) != blocks:
            raise ConfigurationError(f"{WHAT}: layers is {list(value)}, the checkpoint's tensors say {list(blocks)}.")
        if name not in ("layers", "encoded_image_size"):
            raise ConfigurationError(f"{WHAT}: unknown option {name!r}; known: layers, encoded_image_size.")
    side = config.get("encoded_image_size")
    return None if side is None else (int(side), int(side))
