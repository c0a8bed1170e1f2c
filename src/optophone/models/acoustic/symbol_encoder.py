"""Symbols to features: embedding, convolutions, bidirectional LSTM."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from optophone.models.acoustic.byte_dropout import byte_dropout
from optophone.models.acoustic.normed_convolution import NormedConvolution


class SymbolEncoder(nn.Module):
    """The text side of Tacotron 2.

    Args:
        n_symbols: size of the vocabulary; every id has an embedding, the padding symbol too.
        embedding_dim, encoder_dim: features before and after; `encoder_dim` is even (two directions).
        n_convolutions, kernel_size, dropout: of the convolution stack.

    Source: Shen et al. 2018, section 2.2.
    """

    def __init__(
        self,
        n_symbols: int,
        embedding_dim: int,
        encoder_dim: int,
        n_convolutions: int,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        assert encoder_dim % 2 == 0
        self.dropout = dropout
        self.embedding = nn.Embedding(n_symbols, embedding_dim)
        widths = [embedding_dim, *[encoder_dim] * n_convolutions]
        self.convolutions = nn.ModuleList(
            NormedConvolution(n_in, n_out, kernel_size, "relu") for n_in, n_out in itertools.pairwise(widths)
        )
        self.lstm = nn.LSTM(widths[-1], encoder_dim // 2, batch_first=True, bidirectional=True)
        bound = math.sqrt(6 / (n_symbols + embedding_dim))
        nn.init.uniform_(self.embedding.weight, -bound, bound)

    def forward(self, ids: Tensor, id_lengths: Tensor | None, ids_mask: Tensor | None) -> Tensor:
        """Encode `ids` (B, S), right-padded, to (B, S, D), zero beyond each length.

        Args:
            ids: (B, S) symbols.
            id_lengths: (B,) valid symbols in any order; None when nothing is padded (the form that is exported).
            ids_mask: (B, S) true where valid, to keep padding out of the convolutions; None lets it in, as the
                original does.
        """
        x = self.embedding(ids).transpose(1, 2)
        mask = None if ids_mask is None else ids_mask[:, None]
        for convolution in self.convolutions:
            x = byte_dropout(torch.relu(convolution(x, mask)), self.dropout, self.training)
        x = x.transpose(1, 2)
        if id_lengths is None:
            return self.lstm(x)[0]
        packed = pack_padded_sequence(x, id_lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=ids.shape[1])[0]
