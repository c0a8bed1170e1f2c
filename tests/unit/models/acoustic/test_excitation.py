"""The mel of pulse trains."""

import numpy as np
import pytest
import torch

from optophone.core.mel import MelSpec, log_mel
from optophone.models.acoustic.excitation import HIGHEST_HZ, LOWEST_HZ, Excitation, scale_pitch

SPEC = MelSpec()


@pytest.mark.parametrize("hz", [101.0, 180.0, 333.0])
def test_it_is_the_mel_of_pulses(hz: float) -> None:
    """Of a real train of pulses through `log_mel`, wherever this is no deep valley."""
    at = np.arange(8192) / SPEC.sample_rate
    harmonics = np.arange(1, int(SPEC.sample_rate / 2 / hz) + 1)
    wave = 0.002 * np.cos(2 * np.pi * hz * harmonics[:, None] * at).sum(0)
    expected = log_mel(wave, SPEC)[:, 16]
    expected -= np.median(expected)
    found = Excitation(SPEC)(scale_pitch(torch.tensor([[hz]])))[0, 0].numpy()
    found = found - np.median(found)
    high = expected > -1.5
    assert high.sum() > 40
    np.testing.assert_allclose(found[high], expected[high], atol=0.2)


def test_pitches_are_scaled_from_end_to_end() -> None:
    scaled = scale_pitch(torch.tensor([LOWEST_HZ, (LOWEST_HZ * HIGHEST_HZ) ** 0.5, HIGHEST_HZ]))
    torch.testing.assert_close(scaled, torch.tensor([0.0, 0.5, 1.0]))


def test_it_goes_straight_between_pitches_and_stops_at_the_ends() -> None:
    excitation = Excitation(SPEC)
    step = 1 / (len(excitation.table) - 1)
    found = excitation(torch.tensor([[-0.3, 0.0, step / 2, step, 1.0, 1.4]]))[0]
    torch.testing.assert_close(found[2], (found[1] + found[3]) / 2)
    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(found[5], found[4])
    assert bool(found.isfinite().all())
