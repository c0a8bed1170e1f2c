"""Units of the exported graph are those of the trained network, id by id, on noise, tones, speech and the reference."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.checkpoints.resdavenet_vq import load_resdavenet_vq
from optophone.core.audio import resample
from optophone.core.bundle import open_bundle
from optophone.core.unit_filter_bank import UnitFilterBankConfig
from optophone.data.manifest import read_dataset
from optophone.data.prepare.ljspeech import prepare_ljspeech
from optophone.export.training_facts import ExportError
from optophone.export.units import TrainedUnits, UnitsGraph, agreement, context_frames, export_units
from optophone.models.units.resdavenet import ResDAVEnetConfig
from optophone.models.units.resdavenet_units import ResDAVEnetUnits
from optophone.models.units.wavenet_vq_units import WaveNetVQUnits
from optophone.runtime.load import load_unit_encoder
from optophone.runtime.onnx_units import OnnxUnitEncoder
from tiny_units import FACTS, RATE, speech, tiny_network, tiny_wavenet, trained_units, write_wavenet_units


def waves() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        *(speech(seconds, seed) for seed, seconds in enumerate((0.013, 0.05, 0.3, 1.0, 2.37))),
        random.normal(0, 0.1, 20000).astype(np.float32),
        np.zeros(4000, np.float32),
    ]


@pytest.mark.parametrize("quantizers", [(1,), (2,), (2, 3), (1, 3, 5), (4,)])
def test_units_are_those_of_the_network(quantizers: tuple[int, ...], tmp_path: Path) -> None:
    network = tiny_network(quantizers)
    measured = export_units(trained_units(network), tmp_path, [speech(0.6, 1)])
    assert measured["same_units"] == 1
    bundle = open_bundle(tmp_path / "fp32")
    for position in quantizers:
        found, expected = OnnxUnitEncoder(bundle, position), ResDAVEnetUnits(network, position)
        assert found.vocabulary == expected.vocabulary
        assert found.unit_s == expected.unit_s
        for wave in waves():
            np.testing.assert_array_equal(found.units(wave), expected.units(wave))


def test_units_of_the_reference_weights_are_those_of_the_reference(parity_fixtures: Path, tmp_path: Path) -> None:
    settings = json.loads((parity_fixtures / "resdavenet_vq.json").read_text())
    with np.load(parity_fixtures / "resdavenet_vq.npz") as arrays:
        weights = {n.removeprefix("weight/"): torch.from_numpy(arrays[n]) for n in arrays.files if n[:7] == "weight/"}
        stored = {
            n: torch.from_numpy(arrays[n]) for n in arrays.files if n.startswith(("input/x", "output/eval_quant"))
        }
    network = load_resdavenet_vq(weights, settings["config"]).audio
    graph = UnitsGraph(network.eval())
    bank = UnitFilterBankConfig(n_mels=network.config.n_mels)
    export_units(TrainedUnits(network, bank, FACTS), tmp_path, [speech(0.6, 1)])
    bundle = open_bundle(tmp_path / "fp32")
    inputs, checked = stored["input/x"], 0
    of_torch = [graph(levels[None]) for levels in inputs]
    for place, position in enumerate(network.config.quantizers):
        encoder, name = OnnxUnitEncoder(bundle, position), f"output/eval_quant{position}_units"
        for i, levels in enumerate(inputs.numpy()):
            codes = encoder.run_graph(levels)
            np.testing.assert_array_equal(codes, of_torch[i][place][0].numpy())
            if name in stored:
                np.testing.assert_array_equal(codes, stored[name].reshape(len(inputs), -1)[i].numpy())
                checked += 1
    assert checked


@pytest.mark.parametrize(("position", "field"), [(1, 1), (2, 57), (3, 169), (4, 393), (5, 841)])
def test_receptive_fields_are_the_published_ones(position: int, field: int) -> None:
    assert 2 * context_frames(ResDAVEnetConfig(), position) + 1 == field


@pytest.mark.parametrize(("features", "n_strides"), [("mfcc", 1), ("mfcc", 2), ("log-mel", 0), ("log-mel", 3)])
def test_units_of_a_wavenet_are_those_of_the_network(features: str, n_strides: int, tmp_path: Path) -> None:
    network = tiny_wavenet(features, n_strides)
    found = load_unit_encoder(write_wavenet_units(tmp_path, network))
    for wave in waves():
        np.testing.assert_array_equal(found.units(wave), WaveNetVQUnits(network).units(wave))


def test_a_graph_of_other_units_is_not_written() -> None:
    assert agreement("units", 1000, 999)["same_units"] == 0.999
    for n_compared, n_same in ((1000, 998), (0, 0)):
        with pytest.raises(ExportError, match="differ"):
            agreement("units", n_compared, n_same)


@pytest.mark.shared_data
def test_units_of_real_speech_are_those_of_the_network(shared_dir: Path, tmp_path: Path) -> None:
    prepare_ljspeech(shared_dir / "data/ljspeech", tmp_path / "speech")
    dataset = read_dataset(tmp_path / "speech")
    network, wavenet = tiny_network((2, 3), kernel_size=9), tiny_wavenet()
    export_units(trained_units(network), tmp_path / "units", [speech(0.6, 1)])
    of_wavenet = load_unit_encoder(write_wavenet_units(tmp_path / "wavenet", wavenet)), WaveNetVQUnits(wavenet)
    for row in dataset.rows("dev")[:4]:
        heard, expected_units = (encoder.units(resample(*dataset.wave(row), RATE)) for encoder in of_wavenet)
        np.testing.assert_array_equal(heard, expected_units)
    for position in (2, 3):
        found = OnnxUnitEncoder(open_bundle(tmp_path / "units/fp32"), position)
        expected = ResDAVEnetUnits(network, position)
        for row in dataset.rows("dev")[:4]:
            wave = resample(*dataset.wave(row), RATE)
            np.testing.assert_array_equal(found.units(wave), expected.units(wave))
