"""Temporal jitter: in training, a frame now and then repeats what a neighbour says."""

import torch
from torch import Tensor, nn

CENTRED = (-1, 0, 1)
LATE = (0, 1, 2)  # those of the public ResDAVEnet-VQ, which adds the drawn category itself


class TemporalJitter(nn.Module):
    """Replaces frames by neighbours, in training only, alike for the whole batch.

    It keeps codes from depending on exact moments. A frame is taken from the first, second or third of `offsets` later,
    with probabilities p, 1 - 2p, p; beyond the edges from the edge.

    Args:
        probability: p, of each neighbour; 0 is no jitter.
        offsets: `CENTRED` as the paper means it, or `LATE`.

    Source: Chorowski et al. 2019, "Unsupervised speech representation learning using WaveNet autoencoders", 3.3.
    """

    def __init__(self, probability: float, offsets: tuple[int, int, int] = CENTRED) -> None:
        super().__init__()
        assert 0 <= probability <= 0.5
        self.probability = probability
        self.offsets = offsets

    def forward(self, x: Tensor, draws: Tensor | None = None) -> Tensor:
        """`x` (B, C, T) with frames replaced; `draws` (T,) in 0..2 instead of random ones say which offset each has."""
        if not self.training or self.probability == 0:
            return x
        n_frames = x.shape[-1]
        if draws is None:
            p = self.probability
            draws = torch.multinomial(torch.tensor([p, 1 - 2 * p, p]), n_frames, replacement=True)
        moved = torch.arange(n_frames) + torch.tensor(self.offsets)[draws.cpu()]
        return x.index_select(-1, moved.clamp(0, n_frames - 1).to(x.device))
