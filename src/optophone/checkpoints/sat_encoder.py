"""The picture encoder of Show-Attend-and-Tell's checkpoint: torchvision's ResNet under other names."""

import re
from collections.abc import Mapping

from torch import Tensor

# The original keeps torchvision's network, without its two last layers, as a numbered row.
_NAMES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_NUMBERED = re.compile(r"resnet\.([014-7])\.(.+)")
GRID_SIDE = 14  # its `encoded_image_size`


def torchvision_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state_dict` with torchvision's names, for `load_resnet`; other names, torchvision's own among them, stay."""
    found = {}
    for name, tensor in state_dict.items():
        match = _NUMBERED.fullmatch(name.removeprefix("module."))
        found[f"{_NAMES[match[1]]}.{match[2]}" if match else name] = tensor
    return found
