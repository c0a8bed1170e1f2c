"""Mel-frequency cepstra with their slopes, from log-mel levels: less of the pitch, more of the vowel."""

import math

import torch
from torch import Tensor, nn

REACH = 4  # frames before and after that the slopes of slopes see
_SLOPE_REACH = 2


class Cepstra(nn.Module):
    """Levels → cepstral coefficients, their slopes over time and the slopes of these.

    Args:
        n_mels: bands M of a frame.
        n_coefficients: K, the first ones, the one of loudness among them.

    Source: Chorowski et al. 2019 (13 coefficients and two derivatives, 39 features); the coefficients, Davis and
    Mermelstein 1980, "Comparison of Parametric Representations for Monosyllabic Word Recognition", equation 1; slopes
    by regression, here over two frames either side, Furui 1986, "Speaker-Independent Isolated Word Recognition Using
    Dynamic Features of Speech Spectrum".
    """

    basis: Tensor

    def __init__(self, n_mels: int, n_coefficients: int) -> None:
        super().__init__()
        assert 1 <= n_coefficients <= n_mels
        k, m = torch.arange(n_coefficients)[:, None], torch.arange(n_mels)
        basis = torch.cos(math.pi / n_mels * k * (m + 0.5)) * math.sqrt(2 / n_mels)
        basis[0] /= math.sqrt(2)  # which makes the rows orthonormal
        self.register_buffer("basis", basis, persistent=False)

    @property
    def n_features(self) -> int:
        """3 K."""
        return 3 * len(self.basis)

    def forward(self, levels: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, 3 K, T) of `levels` (B, M, T).

        Args:
            levels: log-mel of any scale.
            mask: (B, T) true at valid frames, which are neighbours; None for all. Slopes at either end are taken as if
                the first and the last of them went on.
        """
        with torch.autocast(levels.device.type, enabled=False):  # the higher ones are small differences of large sums
            coefficients = torch.matmul(self.basis.to(levels.dtype), levels)
            slopes = _slopes(coefficients, mask)
            return torch.cat((coefficients, slopes, _slopes(slopes, mask)), dim=1)


def _slopes(x: Tensor, mask: Tensor | None) -> Tensor:
    """Slopes over time (B, C, T) of `x` (B, C, T)."""
    places = torch.arange(x.shape[2], device=x.device)
    first, last = places[:1], places[-1:]
    if mask is not None:
        first = torch.where(mask, places, x.shape[2] - 1).amin(1, keepdim=True)
        last = torch.where(mask, places, 0).amax(1, keepdim=True)

    def moved(offset: int) -> Tensor:
        index = torch.minimum(torch.maximum(places + offset, first), last)
        return x.gather(2, index.expand(x.shape[0], -1)[:, None].expand_as(x))

    steps = range(1, _SLOPE_REACH + 1)
    rises = torch.stack([n * (moved(n) - moved(-n)) for n in steps]).sum(0)
    return rises / (2 * sum(n * n for n in steps))
