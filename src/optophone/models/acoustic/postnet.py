"""The convolutions that refine a finished spectrogram."""

import torch
from torch import Tensor, nn

from optophone.models.acoustic.byte_dropout import byte_dropout
from optophone.models.acoustic.normed_convolution import NormedConvolution


class Postnet(nn.Module):
    """What to add to a mel: convolutions with batch norm, tanh after all but the last; no convolutions add nothing.

    Source: Shen et al. 2018, section 2.2.
    """

    def __init__(self, n_mels: int, size: int, n_convolutions: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        widths = [n_mels, *[size] * (n_convolutions - 1), n_mels]
        last = n_convolutions - 1
        self.convolutions = nn.ModuleList(
            NormedConvolution(widths[i], widths[i + 1], kernel_size, "linear" if i == last else "tanh")
            for i in range(n_convolutions)
        )

    def forward(self, mel: Tensor, mel_mask: Tensor | None = None) -> Tensor:
        """The residual (B, M, T) of `mel` (B, M, T); `mel_mask` (B, 1, T) keeps padded frames out."""
        if not self.convolutions:
            return torch.zeros_like(mel)
        x = mel
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x, mel_mask)
            if i + 1 < len(self.convolutions):
                x = torch.tanh(x)
            x = byte_dropout(x, self.dropout, self.training)
        return x
