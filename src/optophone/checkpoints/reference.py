"""One door for public checkpoints: from a reference implementation's name and tensors to a model of ours."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optophone.core.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Name of the reference: module beside this one and its function, imported when they are asked for.
LOADERS = {
    "xlan": "xlan:load_xlan",
    "sat": "sat:load_sat",
    "resnet": "resnet:load_resnet",
    "tacotron2": "tacotron2:load_tacotron2",
    "waveglow": "waveglow:load_waveglow",
    "resdavenet-vq": "resdavenet_vq:load_resdavenet_vq",
}


def load_reference(
    name: str, state_dict: "Mapping[str, Tensor]", config: Mapping[str, Any] | None = None
) -> "nn.Module":
    """The model that a public checkpoint holds, in evaluation mode.

    Args:
        name: whose checkpoint it is, a key of `LOADERS`.
        state_dict: tensors or NumPy arrays under the original's key names, with or without `module.`. Sizes are read
            off them.
        config: the original's options, for what tensors cannot tell.

    Raises:
        ConfigurationError: an unknown name, or options that the tensors contradict.
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape; it is named.
    """
    if name not in LOADERS:
        raise ConfigurationError(f"{name!r} is no reference whose checkpoints are known: {', '.join(LOADERS)}.")
    module, function = LOADERS[name].split(":")
    load = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    return load(state_dict, config)
