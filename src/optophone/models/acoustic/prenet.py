"""The bottleneck between the last frame and the decoder."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optophone.models.acoustic.byte_dropout import byte_dropout


class Prenet(nn.Module):
    """Linear layers without bias, each followed by ReLU and dropout.

    The dropout stays on at inference by default: without it a trained Tacotron 2 loses its variety and often its
    alignment (Shen et al. 2018, section 2.2).

    Args:
        n_in: features of a frame.
        sizes: width of each layer.
        dropout: probability of a zero.
        at_inference: whether dropout also acts in evaluation mode.
    """

    def __init__(self, n_in: int, sizes: Sequence[int], dropout: float, at_inference: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.at_inference = at_inference
        widths = [n_in, *sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]

    def forward(self, frames: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Squeeze `frames` (..., n_in) to (..., sizes[-1]).

        `masks`, one (..., size) per layer with values 0 or 1 / (1 - dropout), replace the random ones.
        """
        for i, layer in enumerate(self.layers):
            frames = torch.relu(layer(frames))
            if masks is not None:
                frames = frames * masks[i]
            else:
                frames = byte_dropout(frames, self.dropout, self.training or self.at_inference)
        return frames
