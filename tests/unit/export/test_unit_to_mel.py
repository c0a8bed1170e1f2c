"""A unit-to-mel model as a bundle: it says in ONNX Runtime what it says in torch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.bundle import open_bundle
from optophone.core.protocols import AcousticModel
from optophone.core.unit_origin import UnitOrigin, unit_origin
from optophone.core.vocabulary import build_units
from optophone.export.card import write_card
from optophone.export.training_facts import Precision
from optophone.export.unit_to_mel import TrainedUnitToMel, export_unit_to_mel
from optophone.models.acoustic.unit_to_mel import UnitToMel, UnitToMelConfig
from optophone.runtime.load import load_voice
from tiny_datasets import MEL
from tiny_models import FACTS

ORIGIN = UnitOrigin("tiny-units", "a" * 64, None, 0.02, "collapsed")
TEXT = "3 17 4 4 30 12"


@pytest.fixture(scope="module")
def trained() -> TrainedUnitToMel:
    torch.manual_seed(0)
    sizes = UnitToMelConfig(n_symbols=43, n_mels=MEL.n_mels, dim=64, hidden_dim=96, n_frame_layers=2)
    model = UnitToMel(sizes).eval()
    torch.nn.init.constant_(model.duration.bias, 1.5)
    return TrainedUnitToMel(model, build_units(40), MEL, FACTS, ORIGIN)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_bundle_says_what_torch_says(precision: Precision, trained: TrainedUnitToMel, tmp_path: Path) -> None:
    examples = [np.array(trained.vocabulary.encode(text), np.int64) for text in (TEXT, "1", "5 6 7")]
    measured = export_unit_to_mel(trained, tmp_path, precision, examples)
    assert measured["difference_from_torch"] <= 1e-4
    bundle = open_bundle(tmp_path / precision)
    assert bundle.manifest.cls == "unit-to-mel"
    assert unit_origin(bundle.manifest.configuration, "") == ORIGIN
    assert bundle.vocabulary() == trained.vocabulary, "the dictionary of units travels"
    card = write_card(bundle.manifest)
    assert "units of speech" in card
    assert "tiny-units" in card
    voice = load_voice(tmp_path / precision)
    acoustic: AcousticModel = voice.acoustic
    spoken = acoustic.mel(examples[0])
    expected, durations = trained.model.infer(torch.from_numpy(examples[0]))
    assert spoken.stopped
    np.testing.assert_array_equal(np.concatenate(list(acoustic.stream(examples[0])), axis=1), spoken.mel)
    if precision == "fp32":
        np.testing.assert_allclose(spoken.mel, expected.numpy(), atol=1e-4)
        assert spoken.alignment is not None
        np.testing.assert_array_equal(spoken.alignment.sum(0), durations.numpy())
    assert len(voice.say(TEXT).wave) > MEL.hop_length
