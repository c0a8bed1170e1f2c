"""An encoder out of a captioner's bundle: a training begins with the eyes of a model whose run is long gone.

A bundle has the encoder as a graph whose batch norms are folded into its convolutions, in float32 or in eight bits. The
graph's convolutions carry the names of the layers that they were, so weights go back to their layers, and the norms
become what is left of them: the addition of a bias.
"""

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.external_data_helper import uses_external_data
from torch import Tensor, nn

from optophone.core.bundle import Bundle, open_bundle
from optophone.core.errors import BundleError
from optophone.core.picture import PictureSpec
from optophone.training.weights import load_weights, put_weights

_GRAPH = "encoder.onnx"
_LAYER = re.compile(r"/encoder/(?P<path>.+)/Conv\Z")
_REPEATED = re.compile(r"(?P<owner>\w+)/(?P=owner)\.(?=\d)")  # a layer in a sequence: blocks/blocks.3


def load_encoder(encoder: nn.Module, source: str | Path) -> None:
    """Load the encoder of a whole captioner into `encoder`.

    Args:
        encoder: of the sizes that `source` has.
        source: safetensors of a captioner; or the folder of a bundle, of kind "captioner" or a system with one.

    Raises:
        ConfigurationError: no such weights, or they do not fit.
        BundleError: no bundle, one without such an encoder, or one that is shown its pictures in other colours.
    """
    if Path(source).is_dir():
        put_weights(encoder, read_bundled_encoder(source, encoder), source)
    else:
        load_weights(encoder, source, prefix="encoder.")


def read_bundled_encoder(folder: str | Path, encoder: nn.Module) -> dict[str, Tensor]:
    """The state dictionary of the encoder in a bundle, whose batch norms do nothing but add their bias.

    Args:
        folder: of the bundle.
        encoder: one whose layers have those names; it is not changed.

    Raises:
        BundleError: as `load_encoder` says.
    """
    bundle = open_bundle(folder)
    if "captioner" in bundle.manifest.parts:
        bundle = open_bundle(bundle.part("captioner"))
    _check_colours(bundle)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    epsilons = {name: norm.eps for name, norm in encoder.named_modules() if isinstance(norm, nn.BatchNorm2d)}
    filled = set()
    for name, (weight, bias) in _convolutions(bundle).items():
        norm = next((candidate for candidate in _names_of_norm(name) if candidate in epsilons), None)
        if norm is None:
            raise BundleError(f"{bundle.folder}: its encoder is of another kind than the configuration's, see {name}.")
        state[f"{name}.weight"] = weight
        state[f"{norm}.weight"], state[f"{norm}.bias"] = torch.ones_like(bias), bias
        state[f"{norm}.running_mean"] = torch.zeros_like(bias)
        state[f"{norm}.running_var"] = torch.full_like(bias, 1 - epsilons[norm])
        filled.add(norm)
    if missing := sorted(set(epsilons) - filled):
        raise BundleError(f"{bundle.folder}: its encoder is of other sizes than the configuration's, see {missing[0]}.")
    return state


def _check_colours(bundle: Bundle) -> None:
    """Trainings normalise pictures in one way; an encoder that knows another would see wrong colours."""
    theirs, ours = bundle.manifest.picture, PictureSpec()
    if bundle.manifest.kind != "captioner" or theirs is None or _GRAPH not in bundle.manifest.files:
        raise BundleError(f"{bundle.folder}: has no encoder of pictures; give a captioner's bundle or a system's.")
    if (theirs.mean, theirs.std) != (ours.mean, ours.std):
        raise BundleError(f"{bundle.folder}: its pictures are normalised otherwise than in trainings.")


def _names_of_norm(convolution: str) -> list[str]:
    """What the batch norm behind a convolution may be called: norm1 after conv1, shortcut.2 after shortcut.1."""
    owner, _, last = convolution.rpartition(".")
    dot = "." if owner else ""
    if last.isdecimal():
        return [f"{owner}{dot}{int(last) + 1}"]
    return [f"{owner}{dot}{last.replace('conv', word)}" for word in ("norm", "bn")]


def _convolutions(bundle: Bundle) -> dict[str, tuple[Tensor, Tensor]]:
    """Weight (O, I, K, K) and bias (O,) of the graph's convolutions, by the names of the layers that they were."""
    try:
        graph = onnx.load(bundle.file(_GRAPH), load_external_data=False).graph
        if any(map(uses_external_data, graph.initializer)):  # they would be read from where the bundle says
            raise ValueError
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except (DecodeError, ValueError, TypeError):
        raise BundleError(f"{bundle.folder}: {_GRAPH} is no graph; download or export it again.") from None
    producers = {name: node for node in graph.node for name in node.output}
    found = {}
    for node in graph.node:
        layer = _LAYER.match(node.name)
        if node.op_type != "Conv" or layer is None:
            continue
        name = _REPEATED.sub(r"\g<owner>.", layer["path"]).replace("/", ".")
        weight, bias = (_values(value, constants, producers) for value in [*node.input, ""][1:3])
        if weight is None or bias is None or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise BundleError(f"{bundle.folder}: the weights of {name} in {_GRAPH} cannot be read.")
        found[name] = torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())
    return found


def _values(name: str, constants: dict[str, np.ndarray], producers: dict[str, onnx.NodeProto]) -> np.ndarray | None:
    """A constant in float32, also where it is kept in integers with a scale per output channel."""
    if name in constants:
        return constants[name].astype(np.float32)
    node = producers.get(name)
    if node is None or node.op_type != "DequantizeLinear" or any(part not in constants for part in node.input):
        return None
    integers, scale, *zero = (constants[part] for part in node.input)
    difference = integers.astype(np.float64) - _per_channel(zero[0], integers.ndim) if zero else integers
    return (difference * _per_channel(scale, integers.ndim)).astype(np.float32)


def _per_channel(values: np.ndarray, n_axes: int) -> np.ndarray:
    """Values (O,) or () beside an array whose first axis they belong to."""
    return values.astype(np.float64).reshape(-1, *[1] * (n_axes - 1))
