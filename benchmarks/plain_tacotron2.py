"""Tacotron 2 read plainly: eager PyTorch in the manner of the original, what the fast one is measured against.

One module per box of the original, by the original's names, so that its checkpoints load as they are: `nn.LSTMCell` for
both LSTMs, the location features by a convolution and a linear layer, dropout in the prenet always on, one step after
the other.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from optophone.models.acoustic.tacotron2 import Tacotron2Config

Masks = Sequence[tuple[Tensor, Tensor]]


class LinearNorm(nn.Module):
    """A linear layer under the name that the original has for it."""

    def __init__(self, n_in: int, n_out: int, bias: bool = False) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(n_in, n_out, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) → (..., n_out)."""
        return self.linear_layer(x)


class ConvNorm(nn.Module):
    """A convolution that keeps the length, under the name that the original has for it."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel_size, padding=kernel_size // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, T) → (B, n_out, T)."""
        return self.conv(x)


def convolutions(widths: Sequence[int], kernel_size: int) -> nn.ModuleList:
    """Convolutions from width to width, each with its norm."""
    pairs = itertools.pairwise(widths)
    return nn.ModuleList(nn.Sequential(ConvNorm(a, b, kernel_size), nn.BatchNorm1d(b)) for a, b in pairs)


class Encoder(nn.Module):
    """The text side."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        dim = config.encoder_dim
        self.convolutions = convolutions([dim] * (config.encoder_convolutions + 1), config.encoder_kernel_size)
        self.lstm = nn.LSTM(dim, dim // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """Embedded symbols (1, D, S) → (1, S, D)."""
        for convolution in self.convolutions:
            x = functional.dropout(functional.relu(convolution(x)), 0.5, self.training)
        return self.lstm(x.transpose(1, 2))[0]


class Prenet(nn.Module):
    """The bottleneck before the decoder."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        widths = (config.n_mels, *config.prenet_dims)
        self.layers = nn.ModuleList(LinearNorm(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        """A frame (1, M) → (1, P); with `masks` instead of dropout where they are given."""
        for i, layer in enumerate(self.layers):
            x = functional.relu(layer(x))
            x = functional.dropout(x, 0.5, True) if masks is None else x * masks[i]
        return x


class Location(nn.Module):
    """What the attention sees of where it looked."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        self.location_conv = ConvNorm(2, config.location_filters, config.location_kernel_size, bias=False)
        self.location_dense = LinearNorm(config.location_filters, config.attention_dim)

    def forward(self, seen: Tensor) -> Tensor:
        """(1, 2, S) → (1, S, A)."""
        return self.location_dense(self.location_conv(seen).transpose(1, 2))


class Attention(nn.Module):
    """Location-sensitive attention."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        self.query_layer = LinearNorm(config.attention_rnn_dim, config.attention_dim)
        self.memory_layer = LinearNorm(config.encoder_dim, config.attention_dim)
        self.v = LinearNorm(config.attention_dim, 1)
        self.location_layer = Location(config)

    def forward(self, hidden: Tensor, memory: Tensor, processed: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Context (1, D) and weights (1, S)."""
        query = self.query_layer(hidden.unsqueeze(1))
        energies = self.v(torch.tanh(query + self.location_layer(seen) + processed)).squeeze(-1)
        weights = functional.softmax(energies, dim=1)
        return torch.bmm(weights.unsqueeze(1), memory).squeeze(1), weights


class Decoder(nn.Module):
    """The autoregressive side."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        self.config = config
        memory, attending, speaking = config.encoder_dim, config.attention_rnn_dim, config.decoder_rnn_dim
        self.prenet = Prenet(config)
        self.attention_rnn = nn.LSTMCell(config.prenet_dims[-1] + memory, attending)
        self.attention_layer = Attention(config)
        self.decoder_rnn = nn.LSTMCell(attending + memory, speaking)
        self.linear_projection = LinearNorm(speaking + memory, config.n_mels, bias=True)
        self.gate_layer = LinearNorm(speaking + memory, 1, bias=True)

    def forward(self, memory: Tensor, n_frames: int, masks: Masks | None) -> Tensor:
        """Encoded symbols (1, S, D) → (1, M, n_frames), whatever the gate says."""
        config = self.config
        processed = self.attention_layer.memory_layer(memory)
        attending = tuple(memory.new_zeros(1, config.attention_rnn_dim) for _ in range(2))
        speaking = tuple(memory.new_zeros(1, config.decoder_rnn_dim) for _ in range(2))
        context = memory.new_zeros(1, memory.shape[2])
        weights, cumulative = memory.new_zeros(1, memory.shape[1]), memory.new_zeros(1, memory.shape[1])
        frame, frames = memory.new_zeros(1, config.n_mels), []
        for i in range(n_frames):
            squeezed = self.prenet(frame, None if masks is None else masks[i])
            attending = self.attention_rnn(torch.cat((squeezed, context), -1), attending)
            seen = torch.cat((weights.unsqueeze(1), cumulative.unsqueeze(1)), 1)
            context, weights = self.attention_layer(attending[0], memory, processed, seen)
            cumulative = cumulative + weights
            speaking = self.decoder_rnn(torch.cat((attending[0], context), -1), speaking)
            found = torch.cat((speaking[0], context), 1)
            frame = self.linear_projection(found)
            torch.sigmoid(self.gate_layer(found)).item()  # the original looks at it, and so waits for it
            frames.append(frame)
        return torch.stack(frames, dim=2)


class Postnet(nn.Module):
    """What refines the finished mel."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        widths = [config.n_mels, *[config.postnet_dim] * (config.postnet_convolutions - 1), config.n_mels]
        self.convolutions = convolutions(widths, config.postnet_kernel_size)

    def forward(self, mel: Tensor) -> Tensor:
        """(1, M, T) → what is added to it."""
        for convolution in self.convolutions[:-1]:
            mel = functional.dropout(torch.tanh(convolution(mel)), 0.5, self.training)
        return self.convolutions[-1](mel)


class PlainTacotron2(nn.Module):
    """The whole acoustic model."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.n_symbols, config.embedding_dim)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.postnet = Postnet(config)

    @torch.inference_mode()
    def infer(self, ids: Tensor, n_frames: int, masks: Masks | None = None) -> Tensor:
        """The mel (1, M, n_frames) of symbols (1, S).

        Args:
            ids: one utterance.
            n_frames: how many frames are spoken.
            masks: two masks (1, P) a frame with values 0 or 2, instead of dropout.
        """
        memory = self.encoder(self.embedding(ids).transpose(1, 2))
        mel = self.decoder(memory, n_frames, masks)
        return mel + self.postnet(mel)
