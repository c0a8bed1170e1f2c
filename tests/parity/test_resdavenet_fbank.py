"""The log-mel front end of units against the public original; sizes are read from the fixture."""

import json
from pathlib import Path

import numpy as np
import pytest

from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig, pad_levels

TOLERANCE_DB = 0.01


class Fixture:
    """The stored arrays and settings of one reference run."""

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / "resdavenet_fbank.json").read_text())["config"]
        with np.load(folder / "resdavenet_fbank.npz") as archive:
            self.arrays = {name: archive[name] for name in archive.files}
        options = {**settings["audio_conf_defaults"], **settings.get("audio_conf", {})}
        assert options["window_type"] == "hamming"
        assert options["audio_type"] == "melspectrogram"
        assert settings["native_sample_rate"] == options["sample_rate"]
        self.target_length = settings["target_length"]
        self.bank = UnitFilterBank(
            UnitFilterBankConfig(
                sample_rate=options["sample_rate"],
                n_fft=options["n_fft"],
                hop_length=int(options["sample_rate"] * options["window_stride"]),
                n_mels=options["num_mel_bins"],
                f_min=float(options["fmin"]),
                pre_emphasis=options["preemph_coef"],
            )
        )

    def waves(self) -> list[tuple[str, np.ndarray]]:
        """Name suffix and wave of everything that goes in."""
        waves = [(name.rsplit("_", 1)[1], wave) for name, wave in self.arrays.items() if name.startswith("input/wave")]
        assert waves, "the fixture holds no input/waveform_*"
        return sorted(waves)


@pytest.fixture(scope="module")
def fixture(parity_fixtures: Path) -> Fixture:
    return Fixture(parity_fixtures)


def test_filters_are_those_of_the_original(fixture: Fixture) -> None:
    expected = fixture.arrays["output/mel_basis"]
    np.testing.assert_allclose(fixture.bank.filters, expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_levels_are_those_of_the_original(fixture: Fixture) -> None:
    for suffix, wave in fixture.waves():
        levels = fixture.bank(wave)
        assert levels.dtype == np.float32
        assert levels.shape == (fixture.bank.config.n_mels, fixture.bank.frames_for(len(wave)))
        np.testing.assert_allclose(levels, fixture.arrays[f"output/logmel_{suffix}"], rtol=0, atol=TOLERANCE_DB)


def test_levels_in_blocks_are_those_of_the_original(fixture: Fixture) -> None:
    for suffix, wave in fixture.waves():
        mean, maximum = fixture.bank.mean_and_maximum(wave)
        blocks = (wave[start : start + 777] for start in range(0, len(wave), 777))
        levels = np.concatenate(list(fixture.bank.stream(blocks, mean, maximum)), axis=1)
        np.testing.assert_allclose(levels, fixture.arrays[f"output/logmel_{suffix}"], rtol=0, atol=TOLERANCE_DB)


def test_padding_is_that_of_the_original(fixture: Fixture) -> None:
    levels, n_frames = pad_levels(fixture.bank(fixture.waves()[-1][1]), fixture.target_length)
    assert n_frames == int(fixture.arrays["output/n_frames_padded"])
    np.testing.assert_allclose(levels, fixture.arrays["output/logmel_padded"], rtol=0, atol=TOLERANCE_DB)
