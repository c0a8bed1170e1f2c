"""Captions in training come from the same search as at runtime."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from optophone.core.search import SearchConfig
from optophone.core.vocabulary import build_words
from optophone.models.captioners.build import DecoderConfig, build_decoder
from optophone.training.describing import describe

Method = Literal["beam", "greedy"]
VOCABULARY = build_words(["a dog runs on the grass"])
PAD, START, END, UNKNOWN = 0, 1, 2, 3
OPTIONS: dict[str, dict[str, Any]] = {
    "transformer": {"dim": 16, "n_heads": 2, "n_layers": 2, "feed_forward_dim": 16},
    "show-attend-tell": {"embedding_dim": 16, "attention_dim": 8, "hidden_dim": 16},
}


@pytest.fixture(params=OPTIONS)
def decoder(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(2)
    model = build_decoder(DecoderConfig(request.param, OPTIONS[request.param]), len(VOCABULARY), 6, (2, 2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)  # strong opinions, which differ from picture to picture
    return model


@pytest.fixture
def regions() -> torch.Tensor:
    return torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(6))


def argmax_caption(decoder: nn.Module, regions: torch.Tensor, max_length: int) -> tuple[list[int], list[float]]:
    """Greedy choice with teacher forcing: no state, no search."""
    ids, log_probs = [START], []
    for _ in range(max_length):
        scores = decoder(regions[None], None, torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        scores[[PAD, START, UNKNOWN]] = -torch.inf
        ids.append(int(scores.argmax()))
        log_probs.append(float(scores.max()))
        if ids[-1] == END:
            return ids[1:-1], log_probs
    return ids[1:], log_probs


def test_guidance_is_left_to_the_bundle(decoder: nn.Module, regions: torch.Tensor) -> None:
    plain = describe(decoder, regions, VOCABULARY, SearchConfig(beam_size=2, max_length=7))
    guided = describe(decoder, regions, VOCABULARY, SearchConfig(beam_size=2, max_length=7, guidance=1.0))
    assert [found[0].ids for found in guided] == [found[0].ids for found in plain]


@torch.no_grad()
@pytest.mark.parametrize("method", ["beam", "greedy"])
def test_one_beam_is_greedy_argmax(
    decoder: nn.Module, regions: torch.Tensor, method: Literal["beam", "greedy"]
) -> None:
    found = describe(decoder, regions, VOCABULARY, SearchConfig(beam_size=1, max_length=7, method=method))
    captions = set()
    for picture, (best, *others) in zip(regions, found, strict=True):
        ids, log_probs = argmax_caption(decoder, picture, 7)
        assert others == []
        assert list(best.ids) == ids
        np.testing.assert_allclose(best.token_log_probs, log_probs, atol=1e-4)
        captions.add(best.ids)
    assert len(captions) > 1, "the test needs pictures that read differently"


def test_a_wider_beam_finds_nothing_worse(decoder: nn.Module, regions: torch.Tensor) -> None:
    config = SearchConfig(beam_size=1, max_length=4, min_length=4)
    narrow = describe(decoder, regions, VOCABULARY, config)
    wide = describe(decoder, regions, VOCABULARY, replace(config, beam_size=len(VOCABULARY) ** 2))
    for (one, *_), (other, *_) in zip(narrow, wide, strict=True):
        assert other.log_prob >= one.log_prob - 1e-4


def test_special_symbols_are_never_chosen(decoder: nn.Module, regions: torch.Tensor) -> None:
    special = {PAD, START, UNKNOWN}
    config = SearchConfig(method="sample", temperature=50.0, n_results=20, max_length=10, forbidden=(5,))
    for hypotheses in describe(decoder, regions, VOCABULARY, config):
        for hypothesis in hypotheses:
            assert not (special | {5}) & set(hypothesis.ids)


def test_attention_has_a_row_for_each_symbol(decoder: nn.Module, regions: torch.Tensor) -> None:
    for best, *_ in describe(decoder, regions, VOCABULARY, SearchConfig(beam_size=2, max_length=5, min_length=2)):
        assert best.attention is not None
        assert best.attention.shape == (len(best.ids), 4)
        np.testing.assert_allclose(best.attention.sum(1), 1, atol=1e-4)


def test_lower_precision_is_no_obstacle(decoder: nn.Module, regions: torch.Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = describe(decoder, regions, VOCABULARY, SearchConfig(beam_size=2, max_length=5))
    assert all(np.isfinite(best.log_prob) for best, *_ in found)


def test_no_gradient_is_kept(decoder: nn.Module, regions: torch.Tensor) -> None:
    describe(decoder, regions.requires_grad_(), VOCABULARY, SearchConfig(beam_size=2, max_length=3))
    assert all(parameter.grad is None for parameter in decoder.parameters())


@torch.no_grad()
def test_sequences_that_share_what_a_picture_leaves_fare_as_with_their_own(regions: torch.Tensor, monkeypatch) -> None:
    """Also where some pictures have fewer unfinished sequences than others."""
    torch.manual_seed(4)
    model = build_decoder(DecoderConfig("x-lan", {"dim": 16, "n_heads": 2}), len(VOCABULARY), 6, (2, 2)).eval()
    model.output.weight *= 6  # type: ignore[union-attr, operator]
    model.output.bias[END] += 1.5  # type: ignore[union-attr, index, operator]
    mask = torch.arange(4) < torch.tensor([[4], [2], [3], [1], [4]])
    config = SearchConfig(beam_size=3, max_length=8, n_results=3, finished="in_beam")
    rows: list[tuple[int, int]] = []
    step = model.step

    def watched(ids: torch.Tensor, memory: tuple, state: tuple) -> Any:
        rows.append((len(ids), len(memory[0])))
        return step(ids, memory, state)  # type: ignore[operator]

    monkeypatch.setattr(model, "step", watched)
    shared = describe(model, regions, VOCABULARY, config, mask)
    assert any(n > n_memory for n, n_memory in rows), "sequences of a picture share its row"
    assert any(n == n_memory > len(regions) for n, n_memory in rows), "some pictures had fewer sequences left"
    monkeypatch.setattr(model, "shares_memory", False)
    own = describe(model, regions, VOCABULARY, config, mask)
    assert [[one.ids for one in found] for found in shared] == [[one.ids for one in found] for found in own]
    scores = ([one.log_prob for found in side for one in found] for side in (shared, own))
    np.testing.assert_allclose(*scores, atol=1e-4)
