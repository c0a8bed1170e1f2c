"""Tiny encoders of units whose codes are frames of their own, so that several occur, and sounds to write down."""

from pathlib import Path

import numpy as np
import torch

from optophone.core.audio import write_wave
from optophone.core.k_means import KMeansConfig
from optophone.core.k_means_units import KMeansUnits, KMeansUnitsConfig, fit_k_means_units
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.data.manifest import Dataset, write_dataset, write_manifest
from optophone.export.training_facts import TrainingFacts
from optophone.export.units import TrainedUnits, export_k_means_units, export_units
from optophone.export.wavenet_units import TrainedWaveNetUnits, export_wavenet_units
from optophone.models.units.quantizer import Quantizer
from optophone.models.units.resdavenet import ResDAVEnet, ResDAVEnetConfig
from optophone.models.units.wavenet_vq import WaveNetVQ
from tiny_wavenets import tiny_wavenet_vq

RATE = 16000
FACTS = TrainingFacts("tiny-units", "tones", "0" * 64, "none", steps=3)


def speech(seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    """Tones (N,) that change every tenth of a second, under noise."""
    random, n_samples = np.random.default_rng(seed), int(seconds * rate)
    every = rate // 10
    frequency = np.repeat(random.uniform(200, 0.25 * rate, n_samples // every + 1), every)[:n_samples]
    tone = np.sin(2 * np.pi * np.cumsum(frequency) / rate)
    return (0.3 * tone + random.normal(0, 0.01, n_samples)).astype(np.float32)


def tiny_network(
    quantizers: tuple[int, ...] = (2, 3), kernel_size: int = 3, blocks: tuple[int, int, int, int] = (1, 2, 1, 1)
) -> ResDAVEnet:
    """A network whose codes are frames of `speech`; of 12 codes at the first quantizer, 11 at the next, and so on."""
    torch.manual_seed(len(quantizers) + kernel_size)
    n_codes = tuple(12 - i for i in range(len(quantizers)))
    network = ResDAVEnet(ResDAVEnetConfig(40, blocks, (8, 8, 10, 12, 14), kernel_size, quantizers, n_codes)).eval()
    for module in network.modules():  # batch norms that do something
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
    levels = torch.from_numpy(UnitFilterBank()(speech(2.0, 99)))[None]
    for position, n in zip(quantizers, n_codes, strict=True):
        with torch.no_grad():
            frames = network(levels).positions[position - 1].before[0].T
        quantizer = network.quantizers[str(position)]
        assert isinstance(quantizer, Quantizer)
        quantizer.codes.copy_(frames[torch.linspace(0, len(frames) - 1, n).long()])
    return network


def trained_units(network: ResDAVEnet) -> TrainedUnits:
    return TrainedUnits(network, UnitFilterBankConfig(), FACTS)


def write_units(folder: Path, network: ResDAVEnet | None = None) -> Path:
    """A bundle of `network`, or of a tiny one with quantizers 2 and 3."""
    export_units(trained_units(network or tiny_network()), folder, [speech(0.6, 1)])
    return folder / "fp32"


def tiny_wavenet(features: str = "mfcc", n_strides: int = 2) -> WaveNetVQ:
    """A WaveNet-VQ of 12 codes that are frames of `speech`."""
    network = tiny_wavenet_vq(features=features, n_mels=40, samples=160, n_strides=n_strides)
    with torch.no_grad():
        frames = network.encode(torch.from_numpy(UnitFilterBank()(speech(2.0, 99)))[None]).frames[0].T
    network.quantizer.codes.copy_(frames[torch.linspace(0, len(frames) - 1, 12).long()])
    return network


def trained_wavenet_units(network: WaveNetVQ) -> TrainedWaveNetUnits:
    return TrainedWaveNetUnits(network, UnitFilterBankConfig(), FACTS)


def write_wavenet_units(folder: Path, network: WaveNetVQ | None = None) -> Path:
    """A bundle of `network`, or of a tiny WaveNet-VQ."""
    export_wavenet_units(trained_wavenet_units(network or tiny_wavenet()), folder, [speech(0.6, 1)])
    return folder / "fp32"


def tiny_k_means() -> KMeansUnits:
    waves = [speech(1.0, seed) for seed in range(3)]
    return fit_k_means_units(waves, KMeansConfig(n_codes=9, n_steps=5), KMeansUnitsConfig())


def write_k_means(folder: Path) -> Path:
    """A bundle of `tiny_k_means`."""
    export_k_means_units(tiny_k_means(), FACTS, folder)
    return folder / "fp32"


def write_utterances(folder: Path, n: int = 7, rate: int = 8000) -> Dataset:
    """A speech data set of sound files: `n` utterances in "train", two in "dev", each about a picture."""
    for split, n_rows in (("train", n), ("dev", 2)):
        rows = []
        for i in range(n_rows):
            name = f"audio/{split}{i}.wav"
            (folder / "audio").mkdir(parents=True, exist_ok=True)
            write_wave(folder / name, speech(0.4 + 0.03 * i, i, rate), rate)
            rows.append({"id": f"{split}{i}", "audio": name, "picture_id": f"{split}-{i // 2}", "text": "a tone."})
        write_manifest(folder / f"{split}.jsonl", rows)
    here = "made here"
    return write_dataset(folder, "tones", splits=["train", "dev"], options={}, source=here, layout=here, licence="none")
