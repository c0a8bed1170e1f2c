"""What the layers of all coupling networks of a WaveGlow get from the mel, in portions of frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optophone.models.vocoders.rows import multiply_rows
from optophone.models.vocoders.waveglow import WaveGlow

Product = tuple[Tensor, Tensor]  # weight (O, I), bias (O,)


@dataclass(frozen=True)
class WaveConditions:
    """Weights from mel frames to the conditions of every layer, folded as far as asked for.

    A source row makes `steps_per_row` steps of a layer. Unfolded it is the upsampled mel of one step; folded it is the
    frames that a frame's samples depend on, and the upsampling is part of the layers' weights: half the work of the
    conditions, which are 40 % of the whole, for 32 times their weights (2 GB in the public sizes).

    Attributes:
        n_taps: frames that a sample depends on.
        upsample: frames (n_taps * M) → the samples of the last of them (hop_length * M); None where folded.
        layers: per flow and layer, a source row → its steps (steps_per_row * 2C).
    """

    n_mels: int
    n_group: int
    n_taps: int
    steps_per_row: int
    upsample: Product | None
    layers: tuple[tuple[Product, ...], ...]


def build_conditions(model: WaveGlow, layers: Sequence[Sequence[Product]], fold: bool) -> WaveConditions:
    """The conditions of `model`.

    Args:
        model: gives the upsampling.
        layers: per flow and layer, weight (2C, M * n_group) and bias (2C,) of a step, columns as in the original.
        fold: fold the upsampling into them; without effect where a frame is no whole number of steps.
    """
    config = model.config
    n_mels, n_group, hop_length = config.n_mels, config.n_group, config.hop_length
    n_taps = -(-config.upsample_kernel_size // hop_length)
    kernel = model.upsample.weight.detach()
    kernel = torch.nn.functional.pad(kernel, (0, n_taps * hop_length - kernel.shape[2]))
    # (band in, band out, tap, sample) → (sample, band out, tap, band in), the oldest frame first.
    kernel = kernel.reshape(n_mels, n_mels, n_taps, hop_length).flip(2).permute(3, 1, 2, 0)
    kernel = kernel.reshape(hop_length * n_mels, n_taps * n_mels).contiguous()
    assert model.upsample.bias is not None
    bias = model.upsample.bias.detach().repeat(hop_length)
    # Columns in the order in which upsampled samples lie in memory: position, then band.
    sorted_layers = [[(_sort_columns(weight, n_group), b) for weight, b in flow] for flow in layers]
    if not fold or hop_length % n_group:
        products = tuple(tuple(flow) for flow in sorted_layers)
        return WaveConditions(n_mels, n_group, n_taps, 1, (kernel, bias), products)
    folded = tuple(tuple(_fold(product, kernel, bias) for product in flow) for flow in sorted_layers)
    return WaveConditions(n_mels, n_group, n_taps, hop_length // n_group, None, folded)


def _sort_columns(weight: Tensor, n_group: int) -> Tensor:
    """Columns band * n_group + position → position * M + band."""
    return weight.reshape(len(weight), -1, n_group).transpose(1, 2).reshape(len(weight), -1).contiguous()


def _fold(product: Product, kernel: Tensor, kernel_bias: Tensor) -> Product:
    weight, bias = product
    n_columns = weight.shape[1]
    weights = weight @ kernel.reshape(-1, n_columns, kernel.shape[1])  # (steps, 2C, taps * M)
    biases = kernel_bias.reshape(-1, n_columns) @ weight.T + bias
    return weights.reshape(-1, kernel.shape[1]), biases.reshape(-1)


class ConditionStream:
    """The conditions of one utterance whose frames come in portions; keeps what slower layers still need."""

    def __init__(self, conditions: WaveConditions) -> None:
        self.conditions = conditions
        weight = conditions.layers[0][0][0]
        self.frames = weight.new_zeros(conditions.n_taps - 1, conditions.n_mels)  # before the first there are zeros
        self.samples = weight.new_zeros(0, conditions.n_mels)  # of an incomplete step
        self.rows = weight.new_zeros(0, weight.shape[1])
        self.n_forgotten = 0  # rows

    @property
    def n_steps(self) -> int:
        """Steps whose frames are known."""
        return (self.n_forgotten + len(self.rows)) * self.conditions.steps_per_row

    def push(self, frames: Tensor) -> None:
        """Take in further `frames` (t, M)."""
        if len(frames) == 0:
            return
        n_taps, n_mels = self.conditions.n_taps, self.conditions.n_mels
        joined = torch.cat((self.frames, frames))
        self.frames = joined[len(joined) - (n_taps - 1) :]
        windows = joined.unfold(0, n_taps, 1).transpose(1, 2).reshape(len(frames), n_taps * n_mels)
        if self.conditions.upsample is None:
            self.rows = torch.cat((self.rows, windows))
            return
        samples = torch.cat((self.samples, multiply_rows(windows, *self.conditions.upsample).reshape(-1, n_mels)))
        n_group = self.conditions.n_group
        n_whole = len(samples) // n_group * n_group
        self.samples = samples[n_whole:]
        self.rows = torch.cat((self.rows, samples[:n_whole].reshape(-1, n_group * n_mels)))

    def of(self, flow: int, layer: int, start: int, stop: int) -> Tensor:
        """Conditions (stop - start, 2C) of steps `start` to `stop` for a layer."""
        per_row = self.conditions.steps_per_row
        first, end = start // per_row, -(-stop // per_row)
        rows = self.rows[first - self.n_forgotten : end - self.n_forgotten]
        weight, bias = self.conditions.layers[flow][layer]
        steps = multiply_rows(rows, weight, bias).reshape(len(rows) * per_row, -1)
        return steps[start - first * per_row : stop - first * per_row]

    def forget(self, step: int) -> None:
        """Nobody needs the steps before `step` any more."""
        n_old = step // self.conditions.steps_per_row - self.n_forgotten
        self.rows = self.rows[n_old:]
        self.n_forgotten += n_old
