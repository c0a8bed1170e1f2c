"""Weights to and from safetensors files: no pickle, strict names."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.core.whole_file import Unfinished, errors_naming


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dictionary of `model`, whole or not at all; tied weights are written under each name."""
    save_tensors({name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}, path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file, whole or not at all.

    The library writes to a temporary file of its own name beside the one that it is given, which a kill would leave
    for ever; so it is given one in a hidden folder.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    with Unfinished(path, is_folder=True) as part, errors_naming(path, inside := part.path / path.name):
        try:
            save_file(dict(tensors), inside)
        except SafetensorError as error:  # holds what the system said as text only
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
        with open(inside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(inside, part.target)


def load_weights(model: nn.Module, path: str | Path, prefix: str = "") -> None:
    """Load `path` into `model`; with a prefix, only the weights whose names begin with it, and without it.

    Raises:
        ConfigurationError: no such file, or names and sizes differ from the model's; the first ones are named.
    """
    put_weights(model, read_weights(path, prefix), path)


def read_weights(path: str | Path, prefix: str = "") -> dict[str, Tensor]:
    """The weights in `path` whose names begin with `prefix`, by their names without it.

    Raises:
        ConfigurationError: no such file, or another format.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such weights; run the training that makes them first.")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ConfigurationError(f"{path}: not a safetensors file ({error}).") from None
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def put_weights(model: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Load `state`, which comes from `path`, into `model`.

    Raises:
        ConfigurationError: names and sizes differ from the model's; the first ones are named.
    """
    own = model.state_dict()
    different = sorted(set(own) ^ set(state)) or [n for n in own if own[n].shape != state[n].shape]
    if different:
        raise ConfigurationError(f"{path}: does not fit the model; differs in {', '.join(different[:3])}.")
    with torch.no_grad():
        model.load_state_dict(state)
