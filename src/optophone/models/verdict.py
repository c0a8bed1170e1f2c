"""What networks that tell true sound from made sound say, for training against them."""

from typing import NamedTuple

from torch import Tensor, nn

SLOPE = 0.1  # of the rectifiers, below 0


class Verdict(NamedTuple):
    """What one network says: score (B, …) high where true, and the features of its layers."""

    score: Tensor
    features: list[Tensor]


def verdict_of(layers: nn.ModuleList, end: nn.Module, x: Tensor) -> Verdict:
    """The verdict of a row of layers, whose outputs are rectified, on what the first one takes."""
    features = []
    for layer in layers:
        x = nn.functional.leaky_relu(layer(x), SLOPE)
        features.append(x)
    return Verdict(end(x), features)
