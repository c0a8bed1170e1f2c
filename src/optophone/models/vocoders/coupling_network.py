"""The network of an affine coupling: half of the channels and the mel say how to move the other half."""

import torch
from torch import Tensor, nn


class CouplingNetwork(nn.Module):
    """Gated dilated convolutions with residual and skip connections, not causal; dilation 2^i in layer i.

    The last convolution begins at zero, so that a fresh flow changes nothing.

    Args:
        n_inputs: channels H of the half that is read, and of the half that is moved.
        n_conditions: channels K of the conditions.
        n_layers: L.
        n_channels: C of a layer.
        kernel_size: of the dilated convolutions, odd.

    Source: Prenger et al. 2019, "WaveGlow: A Flow-based Generative Network for Speech Synthesis", section 2.1;
    van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio", section 2.3.
    """

    def __init__(self, n_inputs: int, n_conditions: int, n_layers: int, n_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.start = _pointwise(n_inputs, n_channels)
        self.condition = _pointwise(n_conditions, 2 * n_channels * n_layers)
        self.dilated = nn.ModuleList(
            nn.Conv1d(n_channels, 2 * n_channels, kernel_size, dilation=2**i, padding=2**i * (kernel_size // 2))
            for i in range(n_layers)
        )
        # Residual and skip in one; nothing follows the last layer, which only has the skip.
        self.mix = nn.ModuleList(
            _pointwise(n_channels, 2 * n_channels if i < n_layers - 1 else n_channels) for i in range(n_layers)
        )
        self.end = _pointwise(n_channels, 2 * n_inputs)
        nn.init.zeros_(self.end.weight)
        assert self.end.bias is not None
        nn.init.zeros_(self.end.bias)

    def forward(self, x: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and log-scale, (B, H, T) each, from `x` (B, H, T) and `conditions` (B, K, T)."""
        hidden = self.start(x)
        conditions_of_layers = self.condition(conditions).chunk(len(self.dilated), dim=1)
        skipped = torch.zeros_like(hidden)
        for dilated, mix, condition in zip(self.dilated, self.mix, conditions_of_layers, strict=True):
            filtered, gate = (dilated(hidden) + condition).chunk(2, dim=1)
            mixed = mix(torch.tanh(filtered) * torch.sigmoid(gate))
            if mix is not self.mix[-1]:
                hidden = hidden + mixed[:, : self.n_channels]
            skipped = skipped + mixed[:, -self.n_channels :]
        shift, log_scale = self.end(skipped).chunk(2, dim=1)
        return shift, log_scale


def _pointwise(n_inputs: int, n_outputs: int) -> nn.Conv1d:
    """A convolution of one tap. That its dilation is 2 means nothing, but keeps PyTorch from the kernel that it takes
    for one tap and one thread, which is several times slower, most of all backwards."""
    return nn.Conv1d(n_inputs, n_outputs, 1, dilation=2)
