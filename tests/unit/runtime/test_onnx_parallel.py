"""A parallel acoustic model from its bundle: as in PyTorch, one voice or several, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from optophone.core.bundle import Bundle, open_bundle
from optophone.core.errors import BundleError, ConfigurationError, TextError
from optophone.core.protocols import AcousticModel
from optophone.core.unit_origin import UnitOrigin, unit_origin
from optophone.core.vocabulary import Vocabulary, build_units
from optophone.export.card import write_card
from optophone.export.parallel import TrainedParallel, export_parallel
from optophone.export.training_facts import Precision, TrainingFacts
from optophone.runtime.load import load_acoustic, load_voice
from optophone.runtime.onnx_parallel import OnnxParallel
from tiny_parallel import SPEC, TINY_PARALLEL, tiny_parallel, write_parallel

VOCABULARY = Vocabulary("characters", ("_", *"abcdefghi ."))
FACTS = TrainingFacts("tiny", "tones", "0", "none")
EXAMPLES = [np.array([1, 2, 3, 4, 11]), np.array([5, 6, 11])]


def exported(folder: Path, voices: tuple[str, ...] = (), precision: str = "fp32") -> OnnxParallel:
    model = tiny_parallel(replace(TINY_PARALLEL, n_speakers=len(voices)))
    trained = TrainedParallel(model, VOCABULARY, SPEC, FACTS, voices)
    export_parallel(trained, folder, precision, EXAMPLES)  # type: ignore[arg-type]
    found = load_acoustic(open_bundle(folder / precision))
    assert isinstance(found, OnnxParallel)
    return found


def test_it_speaks_as_the_model_does(tmp_path: Path) -> None:
    acoustic, model = exported(tmp_path), tiny_parallel()
    for ids in EXAMPLES:
        expected, durations = model.infer(torch.from_numpy(ids))
        spoken = acoustic.mel(ids)
        np.testing.assert_allclose(spoken.mel, expected.numpy(), atol=1e-4)
        assert spoken.stopped
        assert spoken.alignment is not None
        np.testing.assert_array_equal(spoken.alignment.sum(0), durations)
        np.testing.assert_array_equal(np.concatenate(list(acoustic.stream(ids)), axis=1), spoken.mel)


def test_several_voices_and_one_of_them(tmp_path: Path) -> None:
    both = exported(tmp_path / "both", ("Ann", "Zoe"))
    assert both.speakers == ("Ann", "Zoe")
    first, second = (both.with_speaker(name).mel(EXAMPLES[0]).mel for name in ("Ann", "Zoe"))
    assert first.shape != second.shape or np.abs(first - second).max() > 0.05
    trained = TrainedParallel(
        tiny_parallel(replace(TINY_PARALLEL, n_speakers=2)), VOCABULARY, SPEC, FACTS, ("Ann", "Zoe")
    )
    export_parallel(trained.of_speaker("Zoe"), tmp_path / "zoe", "fp32", EXAMPLES)
    alone = OnnxParallel(open_bundle(tmp_path / "zoe" / "fp32"))
    assert alone.speakers == ("Zoe",)
    np.testing.assert_allclose(alone.mel(EXAMPLES[0]).mel, second, atol=1e-5)
    with pytest.raises(ConfigurationError, match="Ann"):
        both.with_speaker("Eve")


def test_eight_bits_are_near(tmp_path: Path) -> None:
    exact, small = exported(tmp_path), exported(tmp_path, precision="int8")
    spoken = small.draw(*exact.lay_out(EXAMPLES[0]))
    assert np.median(np.abs(spoken - exact.mel(EXAMPLES[0]).mel)) < 0.1  # a frame may lose or find its voice


def test_it_is_a_voice(tmp_path: Path) -> None:
    exported(tmp_path)
    spoken = load_voice(tmp_path / "fp32").say("a bad fig.")
    assert spoken.complete
    assert spoken.wave.std() > 0


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_voice_over_units(precision: Precision, tmp_path: Path) -> None:
    """It has no prosody, and says whose units it reads."""
    origin = UnitOrigin("tiny-units", "a" * 64, None, 0.02, "collapsed")
    sizes = replace(TINY_PARALLEL, n_symbols=43, prosody=False)
    trained = TrainedParallel(tiny_parallel(sizes), build_units(40), SPEC, FACTS, units=origin)
    ids = np.array(trained.vocabulary.encode("3 17 4 4 30 12"), np.int64)
    assert export_parallel(trained, tmp_path, precision, [ids, ids[:3]])["difference_from_torch"] <= 1e-4
    bundle = open_bundle(tmp_path / precision)
    assert unit_origin(bundle.manifest.configuration, "") == origin
    assert bundle.vocabulary() == trained.vocabulary, "the dictionary of units travels"
    card = write_card(bundle.manifest)
    assert "units of speech" in card
    assert "tiny-units" in card
    voice = load_voice(tmp_path / precision)
    acoustic: AcousticModel = voice.acoustic
    spoken, (expected, durations) = acoustic.mel(ids), trained.model.infer(torch.from_numpy(ids))
    assert spoken.stopped
    if precision == "fp32":
        np.testing.assert_allclose(spoken.mel, expected.numpy(), atol=1e-4)
        assert spoken.alignment is not None
        np.testing.assert_array_equal(spoken.alignment.sum(0), durations)
    assert len(voice.say("3 17 4 4 30 12").wave) > SPEC.hop_length


def test_no_symbols(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="nothing to say"):
        exported(tmp_path).mel(np.zeros(0, np.int64))


def test_durations_gone_mad_stay_within_bounds(tmp_path: Path) -> None:
    model = tiny_parallel()
    with torch.no_grad():
        model.duration.bias.fill_(50.0)
    trained = TrainedParallel(model, VOCABULARY, SPEC, FACTS)
    with np.errstate(over="ignore"):
        export_parallel(trained, tmp_path, "fp32", EXAMPLES)
    acoustic = OnnxParallel(open_bundle(tmp_path / "fp32"))
    assert acoustic.mel(EXAMPLES[1]).mel.shape[1] <= 3 * 2 * SPEC.sample_rate / SPEC.hop_length + 1


def with_pace(folder: Path, pace: object) -> Bundle:
    """The bundle with another pace in its manifest."""
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["configuration"]["pace"] = pace
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return open_bundle(folder)


def test_a_pace_lengthens_every_symbol(tmp_path: Path) -> None:
    """As far as whole frames allow, streamed as well."""
    folder = write_parallel(tmp_path)
    plain = OnnxParallel(open_bundle(folder))
    slow = OnnxParallel(with_pace(folder, 1.6))
    ids = np.tile(EXAMPLES[0], 4)
    lengths, longer = plain.lay_out(ids)[1], slow.lay_out(ids)[1]
    assert longer.sum() == pytest.approx(1.6 * lengths.sum(), abs=2)
    assert (longer >= lengths).all()
    np.testing.assert_array_equal(np.concatenate(list(slow.stream(ids)), axis=1), slow.mel(ids).mel)


@pytest.mark.parametrize("pace", [0, -1, 3, "1", True, None, [1]])
def test_what_is_no_pace_is_refused(pace: object, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="its pace is"):
        OnnxParallel(with_pace(write_parallel(tmp_path), pace))


def test_graphs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    exported(tmp_path)
    folder = tmp_path / "fp32"
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["configuration"]["speakers"] = ["Ann", "Zoe"]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="takes none but the bundle names 2"):
        OnnxParallel(open_bundle(folder))
    assert onnx.load(folder / "symbols.onnx").graph.input[0].name == "ids"
