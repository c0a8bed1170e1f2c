"""The captioner loop over ONNX graphs: what it says, how sure, and what it refuses."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from optophone.core.bundle import open_bundle
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.search import Hypothesis, SearchConfig
from optophone.runtime.onnx_captioner import ConfidenceConfig, OnnxCaptioner, confidence_of
from optophone.runtime.session import Graph, SessionConfig
from tiny_bundles import BRIGHT, DARK, GRID, picture, save_graph, write_captioner


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> OnnxCaptioner:
    return OnnxCaptioner(open_bundle(write_captioner(tmp_path_factory.mktemp("bundles") / "captioner")))


@pytest.mark.parametrize(
    "search",
    [
        None,
        SearchConfig(method="greedy"),
        SearchConfig(beam_size=4),
        SearchConfig(method="sample", temperature=0.1),
    ],
)
def test_it_says_what_the_graph_knows(captioner: OnnxCaptioner, search: SearchConfig | None) -> None:
    for bright, sentence in ((True, BRIGHT), (False, DARK)):
        best = captioner.caption(picture(bright), search)[0]
        assert captioner.vocabulary.decode(best.ids) == sentence
        assert 0.5 < best.confidence < 1
        assert best.log_prob < 0


def test_attention_has_the_layout_of_the_regions(captioner: OnnxCaptioner) -> None:
    caption = captioner.caption(picture())[0]
    assert caption.attention is not None
    assert caption.attention.shape == (len(caption.ids), *GRID)
    np.testing.assert_allclose(caption.attention.sum(axis=(1, 2)), 1, rtol=1e-5)


def test_several_pictures_together_are_as_one_by_one(captioner: OnnxCaptioner) -> None:
    pictures = [picture(True), picture(False), picture(True, 30, 30)]
    search = SearchConfig(beam_size=3, n_results=2)
    together = captioner.captions(pictures, search)
    alone = [captioner.caption(one, search) for one in pictures]
    assert [[c.ids for c in captions] for captions in together] == [[c.ids for c in captions] for captions in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose([c.log_prob for c in one], [c.log_prob for c in other], rtol=1e-4)


def test_the_search_of_the_bundle_is_the_default(tmp_path: Path) -> None:
    short = OnnxCaptioner(
        open_bundle(write_captioner(tmp_path / "short", search={"method": "greedy", "max_length": 3}))
    )
    assert short.search.max_length == 3
    assert len(short.caption(picture())[0].ids) == 3


def test_confidence_is_the_calibrated_logistic() -> None:
    hypothesis = Hypothesis((1, 2), -3.0, (-0.5, -1.0, -1.5), None, True, -3.0)
    assert confidence_of(hypothesis, None) == pytest.approx(math.exp(-1.0))
    calibrated = confidence_of(hypothesis, ConfidenceConfig(slope=2.0, intercept=1.0))
    assert calibrated == pytest.approx(1 / (1 + math.exp(1.0)))
    hopeless = dataclasses.replace(hypothesis, token_log_probs=(-1e6,))
    assert confidence_of(hopeless, ConfidenceConfig(slope=2.0, intercept=0.0)) == pytest.approx(0, abs=1e-200)


def test_the_bundle_can_calibrate_the_confidence(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "sure", confidence={"slope": 0.0, "intercept": 0.0})
    assert OnnxCaptioner(open_bundle(folder)).caption(picture())[0].confidence == 0.5


@pytest.mark.parametrize("option", [{"search": {"beam": 3}}, {"confidence": {"slope": "steep", "intercept": 0}}])
def test_a_misspelt_option_of_the_bundle_is_named(tmp_path: Path, option: dict) -> None:
    folder = write_captioner(tmp_path / "misspelt", **option)
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        OnnxCaptioner(open_bundle(folder))


def test_a_step_graph_that_lacks_a_state_is_refused(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "bundle")
    captioner = OnnxCaptioner(open_bundle(folder))
    lacking = "step (int64[N] ids) => (float[N] log_probs) { log_probs = Cast<to=1>(ids) }"
    save_graph(tmp_path / "lacking.onnx", lacking, {})
    captioner.step_graph = Graph(tmp_path / "lacking.onnx", SessionConfig())
    with pytest.raises(BundleError, match=r"no input 'memory\.0'"):
        captioner._check_graphs()
