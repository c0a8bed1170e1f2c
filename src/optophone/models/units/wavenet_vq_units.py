"""A trained WaveNet-VQ as an encoder of units: wave in, units out."""

from collections.abc import Sequence

import numpy as np
import torch

from optophone.core.errors import ConfigurationError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.models.units.wavenet_vq import WaveNetVQ


class WaveNetVQUnits:
    """A `UnitEncoder` over a WaveNet-VQ.

    Args:
        network: in evaluation mode.
        bank: the front end; None for the usual one.

    Raises:
        ConfigurationError: the network reads other frames.
    """

    def __init__(self, network: WaveNetVQ, bank: UnitFilterBankConfig | None = None) -> None:
        self.bank = UnitFilterBank(bank)
        wanted, given = network.config, self.bank.config
        sizes = (wanted.encoder.n_mels, wanted.encoder.range_db, wanted.samples_per_frame)
        if sizes != (given.n_mels, given.range_db, given.hop_length):
            raise ConfigurationError(
                f"wavenet-vq: reads {sizes[0]} bands over {sizes[1]} dB every {sizes[2]} samples, the front end has "
                f"{given.n_mels} over {given.range_db} every {given.hop_length}."
            )
        self.network = network.eval()
        self.vocabulary = build_units(wanted.n_codes)
        self.sample_rate = given.sample_rate
        self.first_unit = len(self.vocabulary) - wanted.n_codes

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        return self.network.config.samples_per_unit / self.sample_rate

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Ids (S,) int64 of `vocabulary`, one per `unit_s`, of `wave` (N,) at `sample_rate`, which is not padded."""
        return self.units_of([wave])[0]

    def units_of(self, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Ids (S,) of each of `waves` (N,), worked out together: but for rounding, those of each alone."""
        device = next(self.network.parameters()).device
        levels = [torch.from_numpy(self.bank(wave)).to(device) for wave in waves]
        return [units.cpu().numpy() + self.first_unit for units in self.network.units_of(levels)]
