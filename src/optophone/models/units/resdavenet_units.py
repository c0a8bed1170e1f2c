"""A trained ResDAVEnet as an encoder of units: wave in, units out."""

import numpy as np
import torch

from optophone.core.errors import ConfigurationError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.models.units.resdavenet import ResDAVEnet


class ResDAVEnetUnits:
    """A `UnitEncoder` over one quantizer of a network.

    Args:
        network: in evaluation mode.
        position: of the quantizer, 1–5.
        bank: the front end; None for the one of the public checkpoints.

    Raises:
        ConfigurationError: the network has no quantizer there, or reads other frames.
    """

    def __init__(self, network: ResDAVEnet, position: int, bank: UnitFilterBankConfig | None = None) -> None:
        config = network.config
        if position not in config.quantizers:
            there = ", ".join(map(str, config.quantizers)) or "none"
            raise ConfigurationError(f"resdavenet: no quantizer at position {position}; there are: {there}.")
        self.bank = UnitFilterBank(bank)
        if self.bank.config.n_mels != config.n_mels:
            raise ConfigurationError(
                f"resdavenet: reads {config.n_mels} bands, the front end has {self.bank.config.n_mels}."
            )
        self.network = network.eval()
        self.position = position
        n_codes = config.n_codes[config.quantizers.index(position)]
        self.vocabulary = build_units(n_codes)
        self.sample_rate = self.bank.config.sample_rate
        self.first_unit = len(self.vocabulary) - n_codes

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        return 2 ** (self.position - 1) * self.bank.config.hop_length / self.sample_rate

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Ids (S,) int64 of `vocabulary`, one per `unit_s`, of `wave` (N,) at `sample_rate`, which is not padded."""
        levels = torch.from_numpy(self.bank(wave)).to(next(self.network.parameters()).device)
        return self.network.units(levels, self.position).cpu().numpy() + self.first_unit
