"""Units of HuBERT: a tiny random one, made here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from optophone.adapters.speech_model_units import SpeechModelUnits
from optophone.cli.units import units as command
from optophone.core.audio import write_wave
from optophone.core.errors import AudioError, ConfigurationError
from optophone.own_parts import load_unit_encoder
from tiny_speech_models import WAVE, write_speech_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_model(tmp_path_factory.mktemp("hubert"))


def test_a_unit_is_the_nearest_centre_of_the_layer(folder: Path) -> None:
    encoder = SpeechModelUnits(folder, 1, folder / "centres.npy")
    assert (encoder.sample_rate, encoder.unit_s, len(encoder.vocabulary)) == (16000, 0.02, 7)
    found = encoder.units(WAVE)
    assert found.shape == (49,)
    assert found[[3, 10, 20, 30]].tolist() == [3, 4, 5, 6]
    distances = ((encoder.features(WAVE)[:, None] - encoder.centres) ** 2).sum(-1)
    np.testing.assert_array_equal(found, distances.argmin(1) + 3)
    other = SpeechModelUnits(folder, 2, folder / "centres.npy")
    assert not np.allclose(other.features(WAVE), encoder.features(WAVE))
    assert other.content != encoder.content


def test_long_sound_is_encoded_in_pieces_and_short_sound_refused(folder: Path) -> None:
    encoder: Any = SpeechModelUnits(folder, 1, folder / "centres.npy")
    long = np.tile(WAVE, 31)
    assert len(encoder.units(long)) == 1499 + 49
    with pytest.raises(AudioError, match="too short"):
        encoder.units(WAVE[:200])
    with pytest.raises(AudioError, match="too short"):
        encoder.units(WAVE[:0])


def test_the_command_writes_its_units(folder: Path, tmp_path: Path) -> None:
    write_wave(tmp_path / "a.wav", WAVE, 16000)
    chosen = f"hubert:{folder},layer=1,centres={folder / 'centres.npy'}"
    arguments = [str(tmp_path / "a.wav"), "-m", chosen, "--run-length", "off"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == 0, result.output
    assert len(result.stdout.split()) == 49
    assert set(result.stdout.split()) == {"0", "1", "2", "3"}


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected hubert:FOLDER,layer=6"):
        load_unit_encoder(f"hubert:{folder}")
    with pytest.raises(ConfigurationError, match="layer 3: there are 0 to 2"):
        SpeechModelUnits(folder, 3, folder / "centres.npy")
    with pytest.raises(ConfigurationError, match="no speech model"):
        SpeechModelUnits(tmp_path, 1, folder / "centres.npy")
    with pytest.raises(ConfigurationError, match="no such centres"):
        SpeechModelUnits(folder, 1, tmp_path / "none.npy")
    np.save(tmp_path / "wide.npy", np.zeros((4, 5), np.float32))
    with pytest.raises(ConfigurationError, match="have 16 features"):
        SpeechModelUnits(folder, 1, tmp_path / "wide.npy")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ConfigurationError, match="cluster_centers_"):
        SpeechModelUnits(folder, 1, tmp_path / "pickled.npy")
