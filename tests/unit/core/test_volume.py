"""Volume: factors, decibels, and no clipping."""

import numpy as np
import pytest

from optophone.core.errors import AudioError
from optophone.core.volume import change_volume, parse_volume

WAVE = np.linspace(-1, 1, 1001, dtype=np.float32)


@pytest.mark.parametrize(
    ("text", "factor"), [("0.5", 0.5), ("+6dB", 1.99526), ("-20 db", 0.1), ("0dB", 1), ("0", 0), ("2", 2)]
)
def test_factors_and_decibels(text: str, factor: float) -> None:
    assert parse_volume(text) == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("text", ["loud", "", "-1", "+60dB", "nan", "inf", "6 bels", "9e999"])
def test_what_is_no_volume(text: str) -> None:
    with pytest.raises(AudioError, match="volume"):
        parse_volume(text)


def test_loud_samples_are_bent_and_never_cut() -> None:
    np.testing.assert_array_equal(change_volume(WAVE, 1.0), WAVE)
    np.testing.assert_allclose(change_volume(WAVE, 0.5), 0.5 * WAVE)
    louder = change_volume(WAVE, 2.0)
    assert np.abs(louder).max() <= 1
    assert (np.diff(louder) >= 0).all()  # one after the other as before
    small = np.abs(WAVE) < 0.4
    np.testing.assert_allclose(louder[small], 2 * WAVE[small], rtol=1e-6)
    np.testing.assert_array_equal(louder, -louder[::-1])
