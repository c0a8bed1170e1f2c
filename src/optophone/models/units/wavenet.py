"""WaveNet: what a sample of a wave may be, from all samples before it and from conditions that change slowly."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from optophone.core.errors import ConfigurationError
from optophone.models.units.sample_distributions import LogisticSamples, MuLawSamples


@dataclass(frozen=True)
class WaveNetConfig:
    """Sizes of a `WaveNet`; the defaults are those of the decoder of Chorowski et al. 2019.

    Args:
        n_channels: C of every layer, gated and residual.
        n_skip: channels that layers leave for the output, and of its two layers.
        n_cycles: how often the dilations go from 1 up.
        layers_per_cycle: dilations 1, 2, 4, … of a cycle.
        output: "mu-law", a choice of 256 levels, or "logistics", a mixture over 16 bits.
        n_mixtures: of "logistics".
    """

    n_channels: int = 368
    n_skip: int = 256
    n_cycles: int = 2
    layers_per_cycle: int = 10
    output: Literal["mu-law", "logistics"] = "mu-law"
    n_mixtures: int = 10

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        for name in ("n_channels", "n_skip", "n_cycles", "layers_per_cycle", "n_mixtures"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"wavenet: {name} is {getattr(self, name)}; give at least 1.")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Samples between the two that each layer sees, in their order."""
        return tuple(2**i for i in range(self.layers_per_cycle)) * self.n_cycles

    @property
    def reach(self) -> int:
        """Samples before it that a sample depends on."""
        return sum(self.dilations) + 1


class WaveNet(nn.Module):
    """Gated causal convolutions with residual and skip connections, given conditions.

    Conditions change once every `samples_per_condition` samples and enter every layer; they are projected at that rate.

    Args:
        config: sizes.
        n_conditions: K, features of a condition.
        samples_per_condition: samples that it lasts.

    Source: van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio": causal convolutions, 2.1 and figure
    3; gates, equation 2, given conditions, 2.5; residual and skip connections, 2.4 and figure 4.
    """

    def __init__(self, config: WaveNetConfig, n_conditions: int, samples_per_condition: int) -> None:
        super().__init__()
        self.config, self.samples_per_condition = config, samples_per_condition
        n_channels, n_skip, n_layers = config.n_channels, config.n_skip, len(config.dilations)
        self.samples: MuLawSamples | LogisticSamples = (
            MuLawSamples(n_channels) if config.output == "mu-law" else LogisticSamples(n_channels, config.n_mixtures)
        )
        self.condition = nn.Conv1d(n_conditions, 2 * n_channels * n_layers, 1, bias=False)
        self.dilated = nn.ModuleList(nn.Conv1d(n_channels, 2 * n_channels, 2, dilation=d) for d in config.dilations)
        # Skip and residual in one; nothing follows the last layer, which only has the skip.
        self.mix = nn.ModuleList(
            nn.Conv1d(n_channels, n_skip + (n_channels if i < n_layers - 1 else 0), 1) for i in range(n_layers)
        )
        self.hidden = nn.Conv1d(n_skip, n_skip, 1)
        self.end = nn.Conv1d(n_skip, self.samples.n_outputs, 1)

    def forward(self, wave: Tensor, conditions: Tensor) -> Tensor:
        """What each sample may be, given the true ones before it; silence was before the first.

        Args:
            wave: (B, N) in -1..1, N = S · `samples_per_condition`.
            conditions: (B, K, S).

        Returns:
            (B, O, N) for `samples.log_prob`; those of sample n depend on `wave[:, :n]` and on conditions alone.
        """
        n_samples, n_skip = wave.shape[1], self.config.n_skip
        assert n_samples == conditions.shape[2] * self.samples_per_condition, "conditions are as long as the wave"
        x = self.samples.embed(functional.pad(wave, (1, 0))[:, :-1])
        skipped: Tensor | float = 0.0
        conditions_of_layers = self.condition(conditions).chunk(len(self.dilated), dim=1)
        layers = zip(self.config.dilations, self.dilated, self.mix, conditions_of_layers, strict=True)
        for dilation, dilated, mix, condition in layers:
            gates = dilated(functional.pad(x, (dilation, 0)))
            gates = gates.unflatten(2, (-1, self.samples_per_condition)) + condition[..., None]
            filtered, gate = gates.flatten(2).chunk(2, dim=1)
            mixed = mix(torch.tanh(filtered) * torch.sigmoid(gate))
            skipped = skipped + mixed[:, :n_skip]
            if mix is not self.mix[-1]:
                x = x + mixed[:, n_skip:]
        assert isinstance(skipped, Tensor)
        return self.end(self.hidden(skipped.relu()).relu())
