"""From the spectra of frames to samples, as a layer."""

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError


class InverseTransform(nn.Module):
    """Inverse short-time Fourier transform with a periodic Hann window, without weights.

    Frame i is centred on sample i * hop_length, as in `core.mel`. What overlaps is divided by the constant that the
    squared windows sum to, also at the rims, where fewer overlap: so a frame's part in the sound does not depend on how
    many frames there are, and a mel can be spoken in portions.

    Args:
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next; an even number of them, 4 or more, makes a frame.

    Source: Griffin & Lim 1984, equation 6.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        if n_fft % hop_length or n_fft // hop_length < 4 or (n_fft // hop_length) % 2:
            raise ConfigurationError(f"n_fft {n_fft} must be 4, 6, 8, … times hop_length {hop_length}.")
        self.n_fft, self.hop_length = n_fft, hop_length
        window = torch.hann_window(n_fft, dtype=torch.float64)
        overlap = window.square().sum() / hop_length
        self.register_buffer("window", (window / overlap).float(), persistent=False)

    @property
    def n_overlaps(self) -> int:
        """Frames that a sample is made of."""
        return self.n_fft // self.hop_length

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Samples (B, T * hop_length) of spectra (B, T, n_fft // 2 + 1)."""
        frames = torch.fft.irfft(torch.complex(real, imaginary), self.n_fft, dim=-1)
        return self.overlap_add(frames * self.window)

    def overlap_add(self, frames: Tensor) -> Tensor:
        """Samples (B, T * hop_length) of windowed frames (B, T, n_fft), each laid half before its own sample."""
        n_frames, n = frames.shape[1], self.n_overlaps
        pieces = frames.unflatten(2, (n, self.hop_length))
        total = sum(nn.functional.pad(pieces[:, :, i], (0, 0, i, n - 1 - i)) for i in range(n))
        assert isinstance(total, Tensor)
        return total[:, n // 2 : n // 2 + n_frames].flatten(1)

    def matrix(self) -> Tensor:
        """(2 * (n_fft // 2 + 1), n_fft): what real parts, then imaginary parts, give each windowed sample.

        The transform as a product, for graphs that have no Fourier transform.
        """
        n_bins = self.n_fft // 2 + 1
        basis = np.concatenate((np.eye(n_bins), 1j * np.eye(n_bins)))
        return torch.from_numpy(np.fft.irfft(basis, self.n_fft, axis=1)).float() * self.window
