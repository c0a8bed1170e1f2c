"""WaveNet sample by sample: every layer keeps what it will see again, so that a sample costs one pass, not a window."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from optophone.models.units.sample_distributions import N_UNIFORMS
from optophone.models.units.wavenet import WaveNet


class _Layer(NamedTuple):
    """Weights of a layer, inputs along the first axis; gates are halved, see `FastWaveNet`."""

    dilation: int
    earlier: np.ndarray  # (C, 2 C) for the sample `dilation` ago
    now: np.ndarray  # (C, 2 C)
    residual: np.ndarray  # (C, C)
    residual_bias: np.ndarray  # (C,)


class FastWaveNet:
    """A `WaveNet` for drawing, in NumPy, whose calls cost a fraction of PyTorch's. Holds constants only.

    Two things make it fast beside the memory. Half of each gated convolution belongs to samples that are `dilation` old
    and thus known that long before they are needed: these halves are products of matrices, a block of `dilation`
    samples at a time, instead of vectors. And σ(x) = (1 + tanh(x / 2)) / 2, so that with halved weights a layer's gates
    are one tanh.

    Args:
        model: its weights are copied, at their precision.

    Source: Le Paine et al. 2016, "Fast Wavenet Generation Algorithm" (the memory).
    Proof: tests/contract/test_wavenet.py.
    """

    def __init__(self, model: WaveNet) -> None:
        self.config, self.samples_per_condition = model.config, model.samples_per_condition
        self.samples, self.embed = model.samples, model.samples.embedding()
        n_channels, n_skip = self.config.n_channels, self.config.n_skip
        self._halved = np.ones(2 * n_channels, dtype=_array(model.end.weight).dtype)
        self._halved[n_channels:] = 0.5
        self._condition_weight = _array(model.condition.weight)[:, :, 0]
        self._gate_biases = [_array(dilated.bias) for dilated in model.dilated]
        self.layers, skips, self._skip_bias = [], [], np.zeros(n_skip, dtype=self._halved.dtype)
        for dilation, dilated, mix in zip(self.config.dilations, model.dilated, model.mix, strict=True):
            earlier, now = (np.ascontiguousarray(_array(dilated.weight)[:, :, tap].T * self._halved) for tap in (0, 1))
            weight, bias = _matrix(mix), _array(mix.bias)
            skips.append(weight[:, :n_skip] / 2)
            self._skip_bias = self._skip_bias + bias[:n_skip]
            residual = np.ascontiguousarray(weight[:, n_skip:] / 2), bias[n_skip:]
            self.layers.append(_Layer(dilation, earlier, now, *residual))
        self._skip = np.concatenate(skips)
        self._hidden, self._hidden_bias = _matrix(model.hidden), _array(model.hidden.bias)
        self._end, self._end_bias = _matrix(model.end), _array(model.end.bias)

    def begin(self, conditions: Tensor) -> "WaveNetStream":
        """The first sample of B waves under `conditions` (B, K, S) is next."""
        return WaveNetStream(self, self._of_layers(conditions))

    def draw(self, conditions: Tensor, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Waves (B, S · `samples_per_condition`) float32 under `conditions` (B, K, S).

        Args:
            conditions: as for `WaveNet.forward`.
            seed: the same number draws the same waves, and the first of several as it is alone.
            temperature: see `SampleDistribution.draw`.
        """
        stream, n_waves = self.begin(conditions), len(conditions)
        # Each wave has numbers of its own, so that it is the same beside others and when it is longer.
        generators = [np.random.default_rng((seed, number)) for number in range(n_waves)]
        uniforms = np.stack([generator.random((stream.n_samples, N_UNIFORMS)) for generator in generators], axis=1)
        waves = np.zeros((n_waves, stream.n_samples), dtype=np.float32)
        sample = np.zeros(n_waves)
        for n in range(stream.n_samples):
            sample = self.samples.draw(stream.step(sample), uniforms[n], temperature)
            waves[:, n] = sample
        return waves

    def _of_layers(self, conditions: Tensor) -> np.ndarray:
        """(layers, S, B, 2 C) what `conditions` (B, K, S) and the biases add to each layer's gates."""
        rows = conditions.detach().to(torch.float64).cpu().numpy().transpose(2, 0, 1).astype(self._halved.dtype)
        added = (rows @ self._condition_weight.T).reshape(*rows.shape[:2], len(self.layers), -1)
        return np.ascontiguousarray((added + np.stack(self._gate_biases)).transpose(2, 0, 1, 3) * self._halved)


class WaveNetStream:
    """B waves on their way; see `FastWaveNet.begin`.

    Args:
        network: whose weights are used.
        conditions: (layers, S, B, 2 C) added to the gates.
    """

    def __init__(self, network: FastWaveNet, conditions: np.ndarray) -> None:
        n_channels, (_, n_conditions, n_waves, _) = network.config.n_channels, conditions.shape
        self.network, self.conditions = network, conditions
        self.n_done, self.n_samples = 0, n_conditions * network.samples_per_condition
        # Of each layer, a block as long as its dilation: the inputs of now, and what those of before add to the gates.
        n_layers, kind = len(network.layers), conditions.dtype
        self._inputs = [np.zeros((layer.dilation, n_waves, n_channels), kind) for layer in network.layers]
        self._added = [np.zeros((layer.dilation, n_waves, 2 * n_channels), kind) for layer in network.layers]
        self._gated = np.zeros((n_waves, n_layers * n_channels), kind)
        self._gated_of_layers = [self._gated[:, i * n_channels : (i + 1) * n_channels] for i in range(n_layers)]
        self._gates, self._mixed = np.zeros((n_waves, 2 * n_channels), kind), np.zeros((n_waves, n_channels), kind)

    def step(self, previous: np.ndarray) -> np.ndarray:
        """What the next sample may be, (B, O) as of `WaveNet`, after the `previous` (B,), 0 before the first."""
        assert self.n_done < self.n_samples, "the conditions are at their end"
        network, n_channels = self.network, self.network.config.n_channels
        x = network.embed(previous)
        gates, mixed = self._gates, self._mixed
        filtered, opened = gates[:, :n_channels], gates[:, n_channels:]
        for i, (layer, gated) in enumerate(zip(network.layers, self._gated_of_layers, strict=True)):
            place = self.n_done % layer.dilation
            if place == 0:
                self._begin_block(i, layer)
            self._inputs[i][place] = x
            np.dot(x, layer.now, out=gates)  # which takes half the time of `@` where rows are few
            gates += self._added[i][place]
            np.tanh(gates, out=gates)
            opened += 1.0
            np.multiply(filtered, opened, out=gated)
            if gated is not self._gated_of_layers[-1]:
                np.dot(gated, layer.residual, out=mixed)
                mixed += layer.residual_bias
                x += mixed
        self.n_done += 1
        skipped = np.maximum(self._gated.dot(network._skip) + network._skip_bias, 0)
        hidden = np.maximum(skipped.dot(network._hidden) + network._hidden_bias, 0)
        return hidden.dot(network._end) + network._end_bias

    def _begin_block(self, i: int, layer: _Layer) -> None:
        """Work out what the inputs of layer i's last block, all of them known by now, add to the gates of this one."""
        places = np.arange(self.n_done, self.n_done + layer.dilation) // self.network.samples_per_condition
        np.take(self.conditions[i], np.minimum(places, self.conditions.shape[1] - 1), axis=0, out=self._added[i])
        self._added[i] += self._inputs[i] @ layer.earlier


def _array(values: Any) -> np.ndarray:
    assert isinstance(values, Tensor)
    return values.detach().cpu().numpy().copy()


def _matrix(convolution: nn.Module) -> np.ndarray:
    """The weights (inputs, outputs) of a convolution over single places."""
    assert isinstance(convolution, nn.Conv1d)
    return np.ascontiguousarray(_array(convolution.weight)[:, :, 0].T)
