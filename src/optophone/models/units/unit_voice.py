"""Units → wave, in the voice of a speaker, by the decoder that the units were learned with."""

from collections.abc import Sequence

import numpy as np
import torch

from optophone.core.errors import VocabularyError
from optophone.core.vocabulary import build_units
from optophone.models.units.fast_wavenet import FastWaveNet
from optophone.models.units.wavenet_vq import SOMEBODY, WaveNetVQ


class UnitVoice:
    """Says units. One per frame, as `WaveNetVQUnits.units` gives them: runs are durations.

    Args:
        network: in evaluation mode; its decoder's weights are copied.
        sample_rate: Hz of the waves that it was trained on.
    """

    def __init__(self, network: WaveNetVQ, sample_rate: int = 16000) -> None:
        self.network, self.fast, self.sample_rate = network.eval(), FastWaveNet(network.decoder), sample_rate
        self.vocabulary = build_units(network.config.n_codes)
        self.first_unit = len(self.vocabulary) - network.config.n_codes

    def wave(self, units: np.ndarray, speaker: int = SOMEBODY, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Wave (S · samples per unit,) float32 in -1..1 of `units` (S,), ids of `vocabulary`.

        Args:
            units: one per frame.
            speaker: number of a speaker of the training; `SOMEBODY` for the mean of all.
            seed: the same number says it the same way.
            temperature: 1 draws as learned, less sounds calmer.

        Raises:
            VocabularyError: no units, an id that is no unit, or a speaker that there is not.
        """
        return self.waves([units], [speaker], seed, temperature)[0]

    def waves(
        self, units: Sequence[np.ndarray], speakers: Sequence[int], seed: int = 0, temperature: float = 1.0
    ) -> list[np.ndarray]:
        """Waves of several sequences of units at once, which takes far less time than one after another; see `wave`."""
        config = self.network.config
        rows = [torch.as_tensor(np.asarray(row, dtype=np.int64)) - self.first_unit for row in units]
        if any(len(row) == 0 or row.min() < 0 or row.max() >= config.n_codes for row in rows):
            raise VocabularyError(
                f"units: give ids {self.first_unit} to {len(self.vocabulary) - 1}, one for each unit."
            )
        if any(not SOMEBODY <= speaker < config.n_speakers for speaker in speakers):
            raise VocabularyError(f"speaker: give 0 to {config.n_speakers - 1}, or {SOMEBODY} for somebody.")
        device = self.network.speakers.weight.device
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
        mask = torch.arange(padded.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
        told = self.network.conditions_of(padded, mask.to(device), torch.tensor(speakers, device=device))
        waves = self.fast.draw(told, seed, temperature)
        return [wave[: len(row) * config.samples_per_unit] for wave, row in zip(waves, rows, strict=True)]
