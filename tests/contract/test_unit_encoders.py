"""The same promises of every unit encoder. A new member joins by one line in MEMBERS."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import AudioError
from optophone.core.k_means import KMeansConfig
from optophone.core.k_means_units import KMeansUnitsConfig, fit_k_means_units
from optophone.core.protocols import UnitEncoder
from optophone.core.units import collapse, expand
from optophone.models.units.quantizer import Quantizer
from optophone.models.units.resdavenet import ResDAVEnet, ResDAVEnetConfig
from optophone.models.units.resdavenet_units import ResDAVEnetUnits
from optophone.models.units.wavenet_vq_units import WaveNetVQUnits
from optophone.runtime.load import load_unit_encoder
from tiny_units import tiny_wavenet, write_units, write_wavenet_units

RATE = 16000


def speech(seconds: float, seed: int) -> np.ndarray:
    """Tones that change every tenth of a second, under noise."""
    random, n_samples = np.random.default_rng(seed), int(seconds * RATE)
    frequency = np.repeat(random.uniform(200, 4000, n_samples // 1600 + 1), 1600)[:n_samples]
    tone = np.sin(2 * np.pi * np.cumsum(frequency) / RATE)
    return (0.3 * tone + random.normal(0, 0.01, n_samples)).astype(np.float32)


def resdavenet(position: int) -> UnitEncoder:
    """Codes that are frames of the network itself, so that several are used."""
    torch.manual_seed(position)
    quantizers = (2, position) if position > 2 else (position,)
    config = ResDAVEnetConfig(40, (1, 1, 1, 1), (8, 8, 10, 12, 14), 3, quantizers, (12,) * len(quantizers))
    network = ResDAVEnet(config)
    encoder = ResDAVEnetUnits(network, position)
    levels = torch.from_numpy(encoder.bank(speech(2.0, 99)))[None]
    for number in config.quantizers:
        with torch.no_grad():
            frames = network(levels).positions[number - 1].before[0].T
        quantizer = network.quantizers[str(number)]
        assert isinstance(quantizer, Quantizer)
        quantizer.codes.copy_(frames[torch.linspace(0, len(frames) - 1, 12).long()])
    return encoder


def k_means(config: KMeansUnitsConfig) -> UnitEncoder:
    return fit_k_means_units([speech(1.0, i) for i in range(4)], KMeansConfig(n_codes=12, n_steps=5), config)


def bundled(position: int) -> UnitEncoder:
    with tempfile.TemporaryDirectory() as folder:  # a graph in memory needs its file no longer
        return load_unit_encoder(write_units(Path(folder)), quantizer=position)


def bundled_wavenet(features: str) -> UnitEncoder:
    with tempfile.TemporaryDirectory() as folder:
        return load_unit_encoder(write_wavenet_units(Path(folder), tiny_wavenet(features)))


MEMBERS: dict[str, tuple[Callable[[], UnitEncoder], int]] = {  # and samples of a unit
    "k-means": (lambda: k_means(KMeansUnitsConfig()), 640),
    "k-means, single frames as they are": (lambda: k_means(KMeansUnitsConfig(frames_per_unit=1, normalize=False)), 160),
    **{f"resdavenet, position {i}": (lambda i=i: resdavenet(i), 160 * 2 ** (i - 1)) for i in range(1, 6)},
    "resdavenet, position 2, in a bundle": (lambda: bundled(2), 320),
    "resdavenet, position 3, in a bundle": (lambda: bundled(3), 640),
    "wavenet-vq": (lambda: WaveNetVQUnits(tiny_wavenet("mfcc")), 640),
    "wavenet-vq over log-mels": (lambda: WaveNetVQUnits(tiny_wavenet("log-mel")), 640),
    "wavenet-vq of 20 ms": (lambda: WaveNetVQUnits(tiny_wavenet(n_strides=1)), 320),
    "wavenet-vq, in a bundle": (lambda: bundled_wavenet("mfcc"), 640),
    "wavenet-vq over log-mels, in a bundle": (lambda: bundled_wavenet("log-mel"), 640),
}


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> tuple[UnitEncoder, int]:
    build, n_samples = MEMBERS[request.param]
    return build(), n_samples


def test_units_are_symbols_of_the_vocabulary(member: tuple[UnitEncoder, int]) -> None:
    encoder, _ = member
    units = encoder.units(speech(1.5, 0))
    assert units.dtype == np.int64
    assert units.ndim == 1
    assert encoder.vocabulary.kind == "units"
    assert encoder.vocabulary.encode(encoder.vocabulary.decode(units)) == units.tolist()
    assert len(set(units.tolist())) > 2


def test_a_unit_lasts_as_long_as_it_says(member: tuple[UnitEncoder, int]) -> None:
    encoder, n_samples = member
    assert encoder.sample_rate == RATE
    for seconds in (0.5, 1.0, 2.37):
        wave = speech(seconds, 1)
        assert abs(len(encoder.units(wave)) - len(wave) / n_samples) <= 1


def test_units_say_the_same_again(member: tuple[UnitEncoder, int]) -> None:
    encoder, _ = member
    wave = speech(0.8, 2)
    before, copy = encoder.units(wave), wave.copy()
    encoder.units(speech(1.1, 3))
    assert np.array_equal(encoder.units(wave), before)
    assert np.array_equal(wave, copy)


def test_units_do_not_know_how_loud_it_was(member: tuple[UnitEncoder, int]) -> None:
    encoder, _ = member
    wave = speech(1.0, 4)
    assert (encoder.units(wave * 0.25) == encoder.units(wave)).mean() > 0.97


def test_runs_lose_nothing(member: tuple[UnitEncoder, int]) -> None:
    encoder, _ = member
    units = encoder.units(speech(1.2, 5))
    assert np.array_equal(expand(*collapse(units)), units)


def test_the_shortest_speech_is_one_unit_and_less_is_refused(member: tuple[UnitEncoder, int]) -> None:
    encoder, _ = member
    assert 1 <= len(encoder.units(speech(201 / RATE, 6))) <= 2
    with pytest.raises(AudioError, match="longer"):
        encoder.units(np.zeros(50, np.float32))
