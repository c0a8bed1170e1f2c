"""One flow of WaveGlow for inference: weights folded, steps as rows, in portions that fit together without a seam.

What is folded, all of it exact but for rounding:

- skip ∘ end: the end convolution is linear, so each layer's skip goes through it at once, C columns become 2H;
- start ∘ first layer: two linear maps in a row, C columns become H (and one of ones, which carries the bias of the
  start: beyond the ends of an utterance the first layer sees zeros, not that bias);
- tanh x = 2 sigmoid 2x - 1, so one sigmoid serves both halves of the gate; PyTorch's is ten times faster than its tanh.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optophone.models.vocoders.coupling_network import CouplingNetwork
from optophone.models.vocoders.invertible_convolution import InvertibleConvolution
from optophone.models.vocoders.rows import RowWindow, convolve_rows, multiply_rows
from optophone.models.vocoders.wave_conditions import ConditionStream, Product
from optophone.models.vocoders.waveglow import WaveGlow


@dataclass(frozen=True)
class FoldedLayer:
    """A layer: `kernel` (2C, I, 1, K) of its dilated convolution, `mix` of minus the gated values: (C + 2H, C)."""

    kernel: Tensor
    dilation: int
    mix: Product


@dataclass(frozen=True)
class FoldedFlow:
    """The weights of a flow.

    Attributes:
        start: (C + 2H, H + 1), from the half that is read and a one to the first hidden values and what the end adds.
        inverse: (2H, 2H), of the 1×1 convolution.
        swap: whether the second half is read.
    """

    index: int
    n_channels: int
    start: Tensor
    layers: tuple[FoldedLayer, ...]
    inverse: Tensor
    swap: bool


def fold_flow(model: WaveGlow, k: int) -> tuple[FoldedFlow, list[Product]]:
    """Flow `k` of `model`, and what its layers make of a step's conditions: (2C, M * n_group) and (2C,) each."""
    network = model.couplings[k]
    assert isinstance(network, CouplingNetwork)
    n_channels = network.n_channels
    end, end_bias = _matrix(network.end)
    start, start_bias = _matrix(network.start)
    with_ones = torch.cat((start, start_bias[:, None]), dim=1)  # (C, H + 1)
    layers, conditions = [], []
    for i, (dilated, mix) in enumerate(zip(network.dilated, network.mix, strict=True)):
        weight, bias = _matrix(mix)
        skip = end @ weight[-n_channels:]
        end_bias = end_bias + end @ bias[-n_channels:]
        is_last = i == len(network.mix) - 1
        residual = [] if is_last else [weight[:n_channels]]
        residual_bias = bias[:0] if is_last else bias[:n_channels]
        mix_bias = torch.cat((residual_bias, end_bias.new_zeros(len(end))))
        kernel = _double_filter(_weights(dilated)[0])
        if i == 0:
            kernel = torch.einsum("ock,ch->ohk", kernel, with_ones)
        folded = _single(-torch.cat((*residual, skip))), _single(mix_bias)
        layers.append(FoldedLayer(_as_rows_kernel(kernel), 2**i, folded))
        conditions.append(_conditions_of_layer(network, i))
    end_column = torch.cat((end.new_zeros(len(end), start.shape[1]), end_bias[:, None]), dim=1)
    mixing = model.mixings[k]
    assert isinstance(mixing, InvertibleConvolution)
    inverse = mixing.inverse_matrix().detach().contiguous()
    whole_start = _single(torch.cat((with_ones, end_column)))
    swap = model.config.alternate_halves and k % 2 == 1
    return FoldedFlow(k, n_channels, whole_start, tuple(layers), inverse, swap), conditions


def _weights(convolution: nn.Module) -> Product:
    """Weight (O, I, K) and bias (O,), in double precision."""
    assert isinstance(convolution, nn.Conv1d)
    assert convolution.bias is not None
    return convolution.weight.detach().double(), convolution.bias.detach().double()


def _matrix(convolution: nn.Module) -> Product:
    """Weight (O, I) and bias (O,) of a 1×1 convolution, in double precision."""
    weight, bias = _weights(convolution)
    return weight[:, :, 0], bias


def _double_filter(weight: Tensor) -> Tensor:
    """The half under the tanh doubled, for the sigmoid that replaces it."""
    half = len(weight) // 2
    return torch.cat((2 * weight[:half], weight[half:]))


def _conditions_of_layer(network: CouplingNetwork, i: int) -> Product:
    rows = slice(2 * network.n_channels * i, 2 * network.n_channels * (i + 1))
    weight, bias = _matrix(network.condition)
    bias = bias[rows] + _weights(network.dilated[i])[1]
    return _single(_double_filter(weight[rows])), _single(_double_filter(bias))


def _single(x: Tensor) -> Tensor:
    return x.float().contiguous()


def _as_rows_kernel(kernel: Tensor) -> Tensor:
    return kernel.float()[:, :, None].contiguous(memory_format=torch.channels_last)


class FlowStream:
    """One utterance on its way back through one flow, in portions of steps."""

    def __init__(self, flow: FoldedFlow) -> None:
        self.flow = flow
        n_half, device = flow.start.shape[1] - 1, flow.start.device
        self.waiting = torch.zeros(0, 2 * n_half, device=device)  # steps that are not settled yet
        widths = [n_half + 1] + [flow.n_channels + 2 * n_half] * (len(flow.layers) - 1)
        self.windows = [
            RowWindow(layer.dilation * (layer.kernel.shape[3] // 2), width, device)
            for layer, width in zip(flow.layers, widths, strict=True)
        ]
        self.n_done = [0] * len(flow.layers)

    def push(self, x: Tensor, conditions: ConditionStream, last: bool) -> Tensor:
        """Steps `x` (n, 2H) in at the end, the very end if `last`; out come the steps (n', 2H) that are settled."""
        self.waiting = torch.cat((self.waiting, x))
        read = self._halves(x)[0]
        rows = torch.cat((read, read.new_ones(len(read), 1)), dim=1)
        for i in range(len(self.flow.layers)):
            rows = self._push_layer(i, rows, conditions, last)
        settled, self.waiting = self.waiting.tensor_split((len(rows),))
        read, moved = self._halves(settled)
        shift, log_scale = rows.chunk(2, dim=1)
        halves = (read, (moved - shift) * torch.exp(-log_scale))
        return torch.cat(halves[::-1] if self.flow.swap else halves, dim=1) @ self.flow.inverse.T

    def _push_layer(self, i: int, rows: Tensor, conditions: ConditionStream, last: bool) -> Tensor:
        """Hidden values and sums (n, C + 2H) through layer `i`: as many as are settled, only the sums after the last.

        What goes into the first layer is the half that is read and a one (n, H + 1).
        """
        flow, layer, n_channels = self.flow, self.flow.layers[i], self.flow.n_channels
        is_last = i == len(flow.layers) - 1
        window = self.windows[i].push(rows, last)
        reach, start = self.windows[i].reach, self.n_done[i]
        if len(window) == 0:
            return rows.new_zeros(0, len(layer.mix[1]))
        seen = window[:, :n_channels] if i else window
        gates = convolve_rows(seen, layer.kernel, layer.dilation)
        stop = self.n_done[i] = start + len(gates)
        gates.add_(conditions.of(flow.index, i, start, stop)).sigmoid_()
        filtered, gate = gates.chunk(2, dim=1)
        minus_gated = torch.addcmul(gate, filtered, gate, value=-2)  # -(2 filtered - 1) gate
        mixed = multiply_rows(minus_gated, *layer.mix)
        carried = window[reach : reach + len(gates)]
        if i == 0:
            carried = multiply_rows(carried, flow.start)
        return mixed.add_(carried[:, n_channels:] if is_last else carried)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, dim=1)
        return (second, first) if self.flow.swap else (first, second)
