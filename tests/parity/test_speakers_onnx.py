"""A voice of several speakers, and each of them alone, as graphs against the torch model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from optophone.core.bundle import open_bundle
from optophone.core.errors import ConfigurationError
from optophone.export.acoustic import LARGEST_DIFFERENCE, difference_from_torch, export_acoustic
from optophone.export.training_facts import ExportError
from optophone.runtime.onnx_acoustic import OnnxAcoustic
from tiny_models import symbols, tiny_acoustic

NAMES = ("Ann", "Bob", "Eve")
pytestmark = pytest.mark.filterwarnings("ignore:the voice")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """All speakers, in both precisions."""
    trained, folder = tiny_acoustic(NAMES), tmp_path_factory.mktemp("several")
    return folder, export_acoustic(trained, folder, "int8", symbols(trained) * 2)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bob, in both precisions."""
    trained, folder = tiny_acoustic(NAMES).of_speaker("Bob"), tmp_path_factory.mktemp("bob")
    export_acoustic(trained, folder, "int8", symbols(trained))
    return folder


def opened(folder: Path) -> OnnxAcoustic:
    return OnnxAcoustic(open_bundle(folder))


def test_every_speaker_is_that_of_torch(exported: tuple[Path, dict]) -> None:
    folder, measured = exported
    trained, voices = tiny_acoustic(NAMES), opened(folder / "fp32")
    assert voices.speakers == NAMES
    assert list(voices.encoder.inputs) == ["ids", "speaker"]
    assert measured["difference_from_torch"] <= 1e-5
    ids = symbols(trained)[0]
    for name in NAMES:
        assert difference_from_torch(trained.model, voices.with_speaker(name), ids) <= 1e-5
    shuffled = tiny_acoustic(NAMES).model
    assert shuffled.speakers is not None
    shuffled.speakers.weight.data = shuffled.speakers.weight.data.roll(1, 0)
    for name in NAMES:
        assert difference_from_torch(shuffled, voices.with_speaker(name), ids) > LARGEST_DIFFERENCE


def test_speakers_sound_different_and_each_the_same_twice(exported: tuple[Path, dict]) -> None:
    voices, ids = opened(exported[0] / "fp32"), symbols(tiny_acoustic())[1]
    said = [voices.with_speaker(name).mel(ids).mel for name in NAMES]
    np.testing.assert_array_equal(voices.mel(ids).mel, said[0])
    np.testing.assert_array_equal(voices.with_speaker(2).mel(ids).mel, said[2])
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(said[one] - said[other]).max() > 0.01
    bob = voices.with_speaker("Bob")
    np.testing.assert_allclose(np.concatenate(list(bob.stream(ids)), axis=1), said[1], atol=1e-5)
    assert bob.step_graph is voices.step_graph
    assert (voices.speaker, bob.speaker) == (0, 1)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_one_alone_is_the_one_among_the_others(exported: tuple[Path, dict], alone: Path, precision: str) -> None:
    voices, bob = opened(exported[0] / precision), opened(alone / precision)
    assert bob.speakers == ("Bob",)
    assert list(bob.encoder.inputs) == ["ids"]
    for ids in symbols(tiny_acoustic()):
        expected = voices.with_speaker("Bob").mel(ids)
        np.testing.assert_allclose(bob.mel(ids).mel, expected.mel, atol=1e-5)
    with pytest.raises(ConfigurationError, match=r"speaker Ann: this voice has one speaker: 'Bob' \(0\)"):
        bob.with_speaker("Ann")


def test_nothing_is_left_of_the_others(exported: tuple[Path, dict], alone: Path) -> None:
    table = tiny_acoustic(NAMES).model.speakers
    assert table is not None
    rows = table.weight.detach().numpy()
    for folder, kept in ((exported[0], [True, True, True]), (alone, [False, True, False])):
        content = b"".join(
            numpy_helper.to_array(tensor).tobytes() for tensor in _constants(onnx.load(folder / "fp32/encoder.onnx"))
        )
        assert [row.tobytes() in content for row in rows] == kept


def _constants(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    inside = [a.t for node in model.graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    return [*model.graph.initializer, *inside]


def test_eight_bits_stay_near_for_all(exported: tuple[Path, dict]) -> None:
    folder, measured = exported
    assert 0 < measured["mel_difference"] < 0.05
    exact, small = (opened(folder / precision) for precision in ("fp32", "int8"))
    ids = symbols(tiny_acoustic())[0]
    for name in NAMES:
        expected, found = (voices.with_speaker(name).mel(ids).mel for voices in (exact, small))
        assert np.abs(expected - found).mean() < 0.05


def test_a_graph_without_its_speaker_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = tiny_acoustic(NAMES)
    monkeypatch.setattr(OnnxAcoustic, "with_speaker", lambda self, speaker: _always_first(self, int(speaker)))
    with pytest.raises(ExportError, match="differ from the model"):
        export_acoustic(trained, tmp_path, "fp32", symbols(trained))


def _always_first(voices: OnnxAcoustic, speaker: int) -> OnnxAcoustic:
    other = object.__new__(OnnxAcoustic)
    other.__dict__ = {**voices.__dict__, "speaker": speaker}
    other.encode = lambda ids: voices.encode(ids)  # type: ignore[method-assign]
    return other


def test_a_run_with_one_name_has_it_as_a_constant(tmp_path: Path) -> None:
    trained = tiny_acoustic(("Ann",))
    export_acoustic(trained, tmp_path, "fp32", symbols(trained))
    voice = opened(tmp_path / "fp32")
    assert list(voice.encoder.inputs) == ["ids"]
    assert voice.speakers == ("Ann",)


def test_a_voice_that_tells_none_apart_is_as_it_was(tmp_path: Path) -> None:
    trained = tiny_acoustic()
    export_acoustic(trained, tmp_path, "fp32", symbols(trained))
    bundle = open_bundle(tmp_path / "fp32")
    assert "speakers" not in bundle.manifest.configuration
    assert list(opened(tmp_path / "fp32").encoder.inputs) == ["ids"]
    assert opened(tmp_path / "fp32").speakers == ("tiny",)


def test_names_and_voices_are_as_many() -> None:
    with pytest.raises(AssertionError):
        replace(tiny_acoustic(NAMES), speakers=NAMES[:2])
