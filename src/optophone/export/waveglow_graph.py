"""A WaveGlow as a graph that goes through an utterance in portions, each exactly where the last one ended.

The weights are those of the folded flows (see models/vocoders/folded_flow.py). Everything is in rows, a step each: then
every product is a matrix product with a constant, which can be in eight bits, and a dilated convolution is one product
over its shifted inputs side by side. Every convolution keeps the rows that its next portion will see as a state of the
graph; beyond both ends of the utterance there are zeros, as in the network.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from optophone.models.vocoders.folded_flow import FoldedFlow, FoldedLayer, fold_flow
from optophone.models.vocoders.wave_conditions import Product, build_conditions
from optophone.models.vocoders.waveglow import WaveGlow


class RowProduct(nn.Module):
    """Rows (T, I) → (T, O), from a weight (O, I) and a bias (O,) or none."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Buffer(weight.T.contiguous())
        self.bias = None if bias is None else nn.Buffer(bias)

    def forward(self, rows: Tensor) -> Tensor:
        """The product."""
        product = rows @ self.weight
        return product if self.bias is None else product + self.bias


class LayerGraph(nn.Module):
    """A layer of a coupling network.

    The gate is g · tanh f = 2 g (σ(2f) - ½), of which `FoldedLayer` has doubled f; the 2 goes into the products after.
    """

    def __init__(self, layer: FoldedLayer, conditions: Product, n_residual: int, delay: int) -> None:
        super().__init__()
        n_outputs, n_inputs, _, self.n_taps = layer.kernel.shape
        self.dilation, self.n_inputs = layer.dilation, n_inputs
        self.reach = layer.dilation * (self.n_taps // 2)
        self.delay = delay + self.reach  # steps whose conditions are known, but not yet what this layer makes of them
        taps_in_rows = layer.kernel[:, :, 0].permute(0, 2, 1).reshape(n_outputs, -1)
        self.dilated = RowProduct(taps_in_rows)
        self.condition = RowProduct(*conditions)
        weight, bias = layer.mix
        self.residual = RowProduct(-2 * weight[:n_residual]) if n_residual else None
        self.skip = RowProduct(-2 * weight[n_residual:])
        self.bias = nn.Buffer(bias)

    def forward(self, rows: Tensor, conditions: Tensor, last: Tensor) -> Tensor:
        """What is added to the rows that are settled, from `rows` (T + 2 reach, I) and all `conditions` (R, K)."""
        n_settled = rows.shape[0] - 2 * self.reach
        seen = rows[:, : self.n_inputs]
        taps = [seen[i * self.dilation : i * self.dilation + n_settled] for i in range(self.n_taps)]
        stop = conditions.shape[0] - self.delay * (1 - last)
        gates = self.dilated(torch.cat(taps, dim=1)) + self.condition(conditions[stop - n_settled : stop])
        filtered, gate = torch.sigmoid(gates).chunk(2, dim=1)
        gated = (filtered - 0.5) * gate
        skip = self.skip(gated)
        return (skip if self.residual is None else torch.cat((self.residual(gated), skip), dim=1)) + self.bias


class FlowGraph(nn.Module):
    """A flow backwards; its states are the steps that wait for their sums, and each layer's window."""

    def __init__(self, flow: FoldedFlow, conditions: Sequence[Product], delay: int) -> None:
        super().__init__()
        self.n_channels, self.swap = flow.n_channels, flow.swap
        self.start = RowProduct(flow.start)
        self.inverse = RowProduct(flow.inverse)
        layers = []
        for layer, product in zip(flow.layers, conditions, strict=True):
            n_residual = flow.n_channels if layer is not flow.layers[-1] else 0
            layers.append(LayerGraph(layer, product, n_residual, delay))
            delay = layers[-1].delay
        self.layers = nn.ModuleList(layers)
        self.delay = delay
        n_half = flow.start.shape[1] - 1
        widths = [n_half + 1] + [flow.n_channels + 2 * n_half] * (len(layers) - 1)
        self.state_shapes = [(0, 2 * n_half)]
        self.state_shapes += [(layer.reach, width) for layer, width in zip(layers, widths, strict=True)]

    def forward(self, x: Tensor, conditions: Tensor, last: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Steps (n, 2H) in, settled steps (n', 2H) out, with the next states."""
        waiting = torch.cat((states[0], x))
        read = self._halves(x)[0]
        rows = torch.cat((read, torch.ones_like(read[:, :1])), dim=1)
        kept = []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, LayerGraph)
            n_zeros: Any = layer.reach * last  # a tensor, so that the trace keeps it
            zeros = rows.new_zeros((n_zeros, rows.shape[1]))
            window = torch.cat((states[1 + i], rows, zeros))
            n_settled = window.shape[0] - 2 * layer.reach
            kept.append(window[n_settled:])
            carried = window[layer.reach : layer.reach + n_settled]
            carried = carried if i else self.start(carried)
            is_last = i == len(self.layers) - 1
            added = layer(window, conditions, last)
            rows = added + (carried[:, self.n_channels :] if is_last else carried)
        n_settled = rows.shape[0]
        read, moved = self._halves(waiting[:n_settled])
        shift, log_scale = rows.chunk(2, dim=1)
        halves = (read, (moved - shift) * torch.exp(-log_scale))
        joined = torch.cat(halves[::-1] if self.swap else halves, dim=1)
        return self.inverse(joined), [waiting[n_settled:], *kept]

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, dim=1)
        return (second, first) if self.swap else (first, second)


class WaveGlowGraph(nn.Module):
    """`WaveGlow.infer` in portions.

    Attributes:
        noise_sizes: values of a step of each source of noise.
        state_shapes: rows and columns of each state before the first portion; all of them zeros.
        delay: steps by which what is settled stays behind; the first portion has to be longer.
    """

    def __init__(self, model: WaveGlow) -> None:
        super().__init__()
        config = model.config
        folded = [fold_flow(model, k) for k in range(config.n_flows)]
        conditions = build_conditions(model, [layers for _, layers in folded], fold=False)
        assert conditions.upsample is not None
        self.n_mels, self.n_group, self.n_taps = config.n_mels, config.n_group, conditions.n_taps
        self.is_whole = config.hop_length % config.n_group == 0
        self.early_flows = config.early_flows
        self.noise_sizes = (config.n_remaining, *[config.early_size] * len(config.early_flows))
        self.upsample = RowProduct(*conditions.upsample)
        self.order = tuple(reversed(range(config.n_flows)))
        flows, delay = [], 0
        for k in self.order:
            flows.append(FlowGraph(folded[k][0], conditions.layers[k], delay))
            delay = flows[-1].delay
        self.flows = nn.ModuleList(flows)
        self.delay = delay
        # Frames, samples of an incomplete step, conditions; early noise; the flows in their order.
        own = [(self.n_taps - 1, self.n_mels), (0, self.n_mels), (0, self.n_mels * self.n_group)]
        early = [(0, size) for size in self.noise_sizes[1:]]
        self.state_shapes = [*own, *early, *(shape for flow in flows for shape in flow.state_shapes)]

    def forward(self, mel: Tensor, last: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """mel (1, M, t), last () 1 for the final portion, noise (n, size) of the n new steps, states → wave, states."""
        n_noise = len(self.noise_sizes)
        noise, states = list(rest[:n_noise]), list(rest[n_noise:])
        conditions, following = self._conditions(mel[0].T, states[:3])
        kept_noise: list[Tensor] = []
        kept_flows: list[Tensor] = []
        x, place = noise[0], 2 + n_noise
        for k, flow in zip(self.order, self.flows, strict=True):
            assert isinstance(flow, FlowGraph)
            n_states = len(flow.state_shapes)
            x, kept = flow(x, conditions, last, states[place : place + n_states])
            place += n_states
            kept_flows += kept
            if k in self.early_flows:
                index = len(kept_noise)
                early = torch.cat((states[3 + index], noise[1 + index]))
                kept_noise.append(early[x.shape[0] :])
                x = torch.cat((early[: x.shape[0]], x), dim=1)
        needed = conditions[conditions.shape[0] - self.delay * (1 - last) :]
        return x.reshape(1, -1), *following, needed, *kept_noise, *kept_flows

    def _conditions(self, frames: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """All steps' upsampled mel (R, M * n_group) that is still needed, and the states before it."""
        joined = torch.cat((states[0], frames))
        n_frames = frames.shape[0]
        windows = torch.cat([joined[i : i + n_frames] for i in range(self.n_taps)], dim=1)
        samples = self.upsample(windows).reshape(-1, self.n_mels)
        samples = torch.cat((states[1], samples))
        n_steps = samples.shape[0] // self.n_group
        rest = samples[:0] if self.is_whole else samples[n_steps * self.n_group :]
        whole = samples if self.is_whole else samples[: n_steps * self.n_group]
        rows = whole.reshape(-1, self.n_mels * self.n_group)
        return torch.cat((states[2], rows)), [joined[n_frames:], rest]
