"""Units from bundles: whole, in blocks, as a stream; and bundles that are not what they should be."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from optophone.core.bundle import MANIFEST, open_bundle
from optophone.core.errors import AudioError, BundleError, ConfigurationError
from optophone.core.vocabulary import build_units
from optophone.models.units.wavenet_vq_units import WaveNetVQUnits
from optophone.runtime.load import load_unit_encoder
from optophone.runtime.onnx_units import OnnxUnitEncoder, OnnxUnitsConfig, n_units
from tiny_bundles import write_captioner
from tiny_units import (
    RATE,
    speech,
    tiny_k_means,
    tiny_network,
    tiny_wavenet,
    write_k_means,
    write_units,
    write_wavenet_units,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_units(tmp_path_factory.mktemp("units"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quantizers at the beginning, in the middle and at the end."""
    return write_units(tmp_path_factory.mktemp("deep"), tiny_network((1, 3, 5), kernel_size=5))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel of one, so that units have no context at all."""
    return write_units(tmp_path_factory.mktemp("narrow"), tiny_network((4,), kernel_size=1))


@pytest.fixture(scope="module")
def wavenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WaveNet-VQ with units of four frames, over cepstra."""
    return write_wavenet_units(tmp_path_factory.mktemp("wavenet"))


@pytest.fixture(scope="module")
def long_wavenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with units of eight frames, over levels."""
    return write_wavenet_units(tmp_path_factory.mktemp("long-wavenet"), tiny_wavenet("log-mel", n_strides=3))


def positions_of(folder: Path) -> tuple[int | None, ...]:
    return tuple(layout.quantizer for layout in OnnxUnitEncoder(open_bundle(folder)).config.layouts)


def blocks(wave: np.ndarray, size: int) -> list[np.ndarray]:
    return [wave[start : start + size] for start in range(0, len(wave), size)]


@pytest.mark.parametrize("size", [37, 160, 1601, 100000])
@pytest.mark.parametrize("name", ["folder", "deep", "narrow", "wavenet", "long_wavenet"])
def test_a_stream_gives_the_units_of_the_whole(name: str, size: int, request: pytest.FixtureRequest) -> None:
    bundle = open_bundle(request.getfixturevalue(name))
    for position in positions_of(bundle.folder):
        encoder = OnnxUnitEncoder(bundle, position)
        for seconds in (0.02, 0.13, 1.5):
            wave = speech(seconds, 3)
            parts = list(encoder.stream(blocks(wave, size), *encoder.bank.mean_and_maximum(wave)))
            assert all(len(part) for part in parts)
            np.testing.assert_array_equal(np.concatenate(parts), encoder.units(wave))


@pytest.mark.parametrize("block_frames", [16, 50])
def test_long_waves_in_blocks_have_the_units_of_the_whole(
    folder: Path, deep: Path, wavenet: Path, long_wavenet: Path, block_frames: int
) -> None:
    for bundle in map(open_bundle, (folder, deep, wavenet, long_wavenet)):
        for position in positions_of(bundle.folder):
            encoder = OnnxUnitEncoder(bundle, position)
            waves = [speech(seconds, 4) for seconds in (0.5, 1.0, 2.03)]
            expected = [encoder.units(wave) for wave in waves]
            object.__setattr__(encoder.config, "block_frames", block_frames)
            for wave, units in zip(waves, expected, strict=True):
                np.testing.assert_array_equal(encoder.units(wave), units)


@pytest.mark.parametrize("name", ["folder", "wavenet", "long_wavenet"])
def test_a_stream_does_not_wait_longer_than_it_says(name: str, request: pytest.FixtureRequest) -> None:
    encoder = OnnxUnitEncoder(open_bundle(request.getfixturevalue(name)))
    wave, given, heard = speech(2.0, 5), 0, 0

    def arriving() -> Iterator[np.ndarray]:
        nonlocal heard
        for block in blocks(wave, 160):
            heard += len(block)
            yield block

    slack = (encoder.config.stream_frames + 1) * 160 / RATE  # frames are gathered before they go through the graph
    for part in encoder.stream(arriving()):
        assert heard / RATE <= given * encoder.unit_s + encoder.delay_s + slack
        given += len(part)
    assert given == len(encoder.units(wave))


def test_the_stream_of_something_too_short_is_refused(folder: Path) -> None:
    with pytest.raises(AudioError, match="longer"):
        list(OnnxUnitEncoder(open_bundle(folder)).stream([np.zeros(50, np.float32)]))


@pytest.mark.parametrize(
    ("n_frames", "stride", "expected"), [(1, 1, 1), (3, 4, 1), (5, 4, 2), (100, 4, 25), (101, 2, 50)]
)
def test_only_whole_units_are_given(n_frames: int, stride: int, expected: int) -> None:
    assert n_units(n_frames, stride) == expected


def test_a_quantizer_can_be_chosen(folder: Path) -> None:
    last, first = load_unit_encoder(folder), load_unit_encoder(folder, quantizer=2)
    assert (len(last.vocabulary), len(first.vocabulary)) == (14, 15)
    assert last.vocabulary == open_bundle(folder).vocabulary()
    wave = speech(1.0, 6)
    assert len(first.units(wave)) == 2 * len(last.units(wave))
    with pytest.raises(ConfigurationError, match="there are: 2, 3"):
        load_unit_encoder(folder, quantizer=4)


def test_wavenet_units_are_those_of_the_network(wavenet: Path, long_wavenet: Path) -> None:
    for folder, network in ((wavenet, tiny_wavenet()), (long_wavenet, tiny_wavenet("log-mel", n_strides=3))):
        found, expected = load_unit_encoder(folder), WaveNetVQUnits(network)
        assert found.vocabulary == expected.vocabulary
        assert found.unit_s == expected.unit_s
        for seed, seconds in enumerate((0.013, 0.03, 0.05, 0.3, 1.0, 2.37)):
            wave = speech(seconds, seed)
            np.testing.assert_array_equal(found.units(wave), expected.units(wave))


def test_one_kind_of_units_leaves_nothing_to_choose(wavenet: Path) -> None:
    with pytest.raises(ConfigurationError, match="wavenet-vq has no quantizers"):
        load_unit_encoder(wavenet, quantizer=3)


def test_k_means_travels_in_a_bundle(tmp_path: Path) -> None:
    folder, wave = write_k_means(tmp_path), speech(1.0, 7)
    np.testing.assert_array_equal(load_unit_encoder(folder).units(wave), tiny_k_means().units(wave))
    with pytest.raises(ConfigurationError, match="no quantizers"):
        load_unit_encoder(folder, quantizer=2)


def test_other_bundles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="of kind captioner"):
        load_unit_encoder(write_captioner(tmp_path / "captioner"))


def rewritten(folder: Path, target: Path, change: dict[str, object]) -> Path:
    """A copy whose configuration says something else."""
    shutil.copytree(folder, target)
    manifest = json.loads((target / MANIFEST).read_text())
    manifest["configuration"] |= change
    (target / MANIFEST).write_text(json.dumps(manifest))
    return target


CHANGES = {
    "positions that do not rise": ({"quantizers": [3, 2]}, "rising"),
    "another position": ({"quantizers": [2, 4]}, "units.4"),
    "fewer codes": ({"n_codes": [12, 10]}, "vocabulary"),
    "codes that the vocabulary has not": ({"n_codes": [12, 500]}, "vocabulary"),
    "sizes for one of two": ({"context_frames": [3]}, "each of quantizers"),
    "context without end": ({"context_frames": [3, 2**40]}, "context_frames"),
    "another front end": ({"bank": {"n_mels": 30}}, "bands"),
    "nonsense": ({"quantizers": "2"}, "list"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_configuration_that_does_not_fit_is_one_line(folder: Path, tmp_path: Path, name: str) -> None:
    change, message = CHANGES[name]
    with pytest.raises(BundleError, match=message) as caught:
        load_unit_encoder(rewritten(folder, tmp_path / "copy", change))
    assert "\n" not in str(caught.value)


WAVENET_CHANGES = {
    "fewer codes": ({"n_units": 5}, "vocabulary"),
    "units of no frames": ({"frames_per_unit": 0}, "frames_per_unit"),
    "units longer than what they depend on": ({"frames_per_unit": 64}, "frames_per_unit"),
    "context without end": ({"context_frames": 2**40}, "context_frames"),
    "context before there was sound": ({"context_frames": -1}, "context_frames"),
    "another front end": ({"bank": {"n_mels": 30}}, "bands"),
    "several kinds of units": ({"n_units": [12, 12]}, "n_units"),
    "blocks of nothing": ({"block_frames": 0}, "block_frames"),
}


@pytest.mark.parametrize("name", WAVENET_CHANGES)
def test_a_wavenet_configuration_that_does_not_fit_is_one_line(wavenet: Path, tmp_path: Path, name: str) -> None:
    change, message = WAVENET_CHANGES[name]
    with pytest.raises(BundleError, match=message) as caught:
        load_unit_encoder(rewritten(wavenet, tmp_path / "copy", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("frames_per_unit", [1, 2, 8])
def test_units_of_another_length_are_noticed(wavenet: Path, tmp_path: Path, frames_per_unit: int) -> None:
    encoder = load_unit_encoder(rewritten(wavenet, tmp_path / "copy", {"frames_per_unit": frames_per_unit}))
    with pytest.raises(BundleError, match=f"do not last {frames_per_unit} frames"):
        encoder.units(speech(1.5, 8))


def test_a_graph_of_another_class_is_noticed(wavenet: Path, folder: Path, tmp_path: Path) -> None:
    for source, cls in ((wavenet, "resdavenet-vq"), (folder, "wavenet-vq")):
        copy = rewritten(source, tmp_path / cls, {})
        manifest = json.loads((copy / MANIFEST).read_text()) | {"class": cls}
        (copy / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(BundleError, match="configuration"):
            load_unit_encoder(copy)


def test_codes_beyond_the_dictionary_are_noticed(folder: Path, tmp_path: Path) -> None:
    encoder = load_unit_encoder(rewritten(folder, tmp_path / "copy", {"n_codes": [3, 11]}), quantizer=2)
    assert len(encoder.vocabulary) == len(build_units(3))
    with pytest.raises(BundleError, match="beyond the 3"):
        encoder.units(speech(1.5, 8))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_units, "units.onnx"),
        (write_units, "vocabulary.json"),
        (write_wavenet_units, "units.onnx"),
        (write_wavenet_units, "vocabulary.json"),
        (write_k_means, "k-means.npz"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, write: Callable[[Path], Path]) -> None:
    folder = write(tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load_unit_encoder(folder)


@pytest.mark.parametrize("field", ["quantizers", "n_codes", "context_frames"])
def test_sizes_are_required(field: str) -> None:
    sizes = {"quantizers": (2,), "n_codes": (4,), "context_frames": (3,), field: ()}
    with pytest.raises(ConfigurationError):
        OnnxUnitsConfig(**sizes)
