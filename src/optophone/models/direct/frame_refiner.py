"""What makes quantized frames smooth again."""

from torch import Tensor, nn

from optophone.models.conv_next import ConvNeXtLayer


class FrameRefiner(nn.Module):
    """What to add to groups of frames: convolutions along the groups.

    A group depends on `context` groups to either side and on no other, so speech can be given out that much behind.

    Args:
        n_values: r·M of a group.
        dim, hidden_dim: features between and inside layers.
        n_layers: of them.
        kernel_size: groups that a layer sees, odd.
    """

    def __init__(self, n_values: int, dim: int, hidden_dim: int, n_layers: int, kernel_size: int) -> None:
        super().__init__()
        self.context = n_layers * (kernel_size // 2)
        self.read = nn.Linear(n_values, dim)
        self.layers = nn.ModuleList(ConvNeXtLayer(dim, hidden_dim, kernel_size, 1 / n_layers) for _ in range(n_layers))
        self.norm = nn.LayerNorm(dim)
        self.write = nn.Linear(dim, n_values)
        nn.init.zeros_(self.write.weight)  # begins by leaving frames as they are
        nn.init.zeros_(self.write.bias)

    def forward(self, groups: Tensor, mask: Tensor | None = None) -> Tensor:
        """Refined groups (N, U, r·M) of `groups`; what lies where `mask` (N, U) is false is not seen."""
        x = self.read(groups)
        for layer in self.layers:
            x = layer(x, mask)
        return groups + self.write(self.norm(x)).float()
