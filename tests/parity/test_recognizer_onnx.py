"""The exported recogniser says what the trained network does, whatever the length."""

from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.bundle import open_bundle
from optophone.core.errors import ConfigurationError
from optophone.core.mel import log_mel
from optophone.core.vocabulary import build_letters
from optophone.export import recognizer as export
from optophone.export.recognizer import TrainedRecognizer, export_recognizer
from optophone.export.training_facts import ExportError, TrainingFacts
from optophone.models.recognizers.ctc import CtcRecognizer, CtcRecognizerConfig
from optophone.runtime.onnx_recognizer import OnnxRecognizer
from tiny_datasets import MEL

FACTS = TrainingFacts("tiny", "tones", "0" * 64, "none", {}, 3)


def trained(stride: int = 3) -> TrainedRecognizer:
    torch.manual_seed(0)
    sizes = CtcRecognizerConfig(
        n_mels=16, dim=12, hidden_dim=16, n_layers=2, kernel_size=5, stride=stride, first_kernel_size=5
    )
    return TrainedRecognizer(CtcRecognizer(sizes), build_letters(), MEL, FACTS)


def waves() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(0, 0.1, n).astype(np.float32) for n in (300, 2000, 5003, 40000)]


@pytest.mark.parametrize("stride", [1, 2, 3])
@torch.no_grad()
def test_letters_are_those_of_the_network(stride: int, tmp_path: Path) -> None:
    tiny = trained(stride)
    measured = export_recognizer(tiny, tmp_path, waves()[1:2])
    assert measured["difference_from_torch"] < 1e-4
    bundle = open_bundle(tmp_path / "fp32")
    assert (bundle.manifest.kind, bundle.manifest.mel, bundle.vocabulary()) == ("recognizer", MEL, build_letters())
    recognizer = OnnxRecognizer(bundle)
    for wave in [*waves(), np.r_[np.zeros(3000, np.float32), waves()[1]]]:
        expected = tiny.model(torch.from_numpy(log_mel(wave, MEL))[None]).log_probs[0]
        np.testing.assert_allclose(recognizer.log_probs(wave, 8000), expected, atol=1e-4)


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "compare", lambda *given: float("nan"))
    with pytest.raises(ExportError, match="differ"):
        export_recognizer(trained(), tmp_path, waves())


def test_what_does_not_belong_together_is_refused() -> None:
    tiny = trained()
    with pytest.raises(ConfigurationError, match="mel or letters"):
        TrainedRecognizer(tiny.model, tiny.vocabulary, export.MelSpec(), FACTS)
