"""Self-critical training: what is sampled, what is rewarded, and which way the weights move."""

from typing import Any

import pytest
import torch
from torch import nn

from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary, build_words
from optophone.data.captioned_pictures import pad_captions
from optophone.evaluation.document_frequency import document_frequency
from optophone.models.captioners.build import DecoderConfig, build_decoder
from optophone.training.self_critical import SelfCriticalConfig, SelfCriticalReward, sample_captions, self_critical_loss

VOCABULARY = build_words(["a dog runs on the grass"])
PAD, START, END, UNKNOWN = 0, 1, 2, 3
OPTIONS: dict[str, dict[str, Any]] = {
    "transformer": {"dim": 16, "n_heads": 2, "n_layers": 1, "feed_forward_dim": 16, "dropout": 0.3},
    "show-attend-tell": {"embedding_dim": 16, "attention_dim": 8, "hidden_dim": 16},
}


@pytest.fixture(params=OPTIONS)
def decoder(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(2)
    return build_decoder(DecoderConfig(request.param, OPTIONS[request.param]), len(VOCABULARY), 6, (2, 2)).eval()


@pytest.fixture
def regions() -> torch.Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(6))


@torch.no_grad()
def log_probs(
    decoder: nn.Module, regions: torch.Tensor, captions: list[list[int]], temperature: float = 1.0
) -> list[float]:
    inputs, targets = pad_captions(captions, VOCABULARY, 20)
    logits = decoder(regions, None, inputs, len(captions) // len(regions)).logits
    chosen = (logits / temperature).log_softmax(-1).gather(2, targets[..., None])[..., 0]
    return (chosen * (targets != PAD)).sum(1).tolist()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_what_was_rewarded_becomes_likelier_than_its_sibling(
    decoder: nn.Module, regions: torch.Tensor, precision: torch.dtype
) -> None:
    """Sampling comes first, as in training: what autocast keeps from it must not cut the gradient off."""
    good_0, bad_0, good_1, bad_1 = [4, 5, 6, END], [7, 8, 9, END], [9, 4, END], [6, 6, END]
    captions = [good_0, bad_0, bad_1, good_1]
    rewards = torch.tensor([3.0, 1.0, 0.0, 2.0])
    optimizer = torch.optim.SGD(decoder.parameters(), lr=0.1)
    before = log_probs(decoder, regions, captions)
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            sample_captions(decoder, regions, VOCABULARY, SelfCriticalConfig(2), 4)
            loss = self_critical_loss(decoder, regions, captions, rewards, VOCABULARY)
        loss.backward()
        assert all(parameter.grad is not None for parameter in decoder.parameters())
        optimizer.step()
    after = log_probs(decoder, regions, captions)
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert after[2] < before[2]
    assert after[3] > before[3]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_loss_by_hand(decoder: nn.Module, regions: torch.Tensor, temperature: float) -> None:
    captions = [[4, 5, END], [6, END], [7, END], [8, 8, 8, 8]]
    rewards = torch.tensor([1.0, 4.0, 2.0, 0.5])
    likelihood = log_probs(decoder, regions, captions, temperature)
    expected = -sum(a * p for a, p in zip([-3.0, 3.0, 1.5, -1.5], likelihood, strict=True)) / (3 + 2 + 2 + 4)
    found = self_critical_loss(decoder, regions, captions, rewards, VOCABULARY, temperature)
    assert found.item() == pytest.approx(expected, abs=1e-4)


def test_equal_rewards_move_nothing(decoder: nn.Module, regions: torch.Tensor) -> None:
    captions = [[4, END], [5, 6, END], [7, END], [8, END]]
    loss = self_critical_loss(decoder, regions, captions, torch.tensor([2.0, 2.0, 5.0, 5.0]), VOCABULARY)
    loss.backward()
    assert sum(float(p.grad.abs().sum()) for p in decoder.parameters() if p.grad is not None) == pytest.approx(0)


def test_samples_end_or_are_cut(decoder: nn.Module, regions: torch.Tensor) -> None:
    torch.manual_seed(0)
    sampled = sample_captions(decoder, regions, VOCABULARY, SelfCriticalConfig(200), max_symbols=6)
    assert len(sampled) == 400
    ended = [caption for caption in sampled if caption[-1] == END]
    cut = [caption for caption in sampled if caption[-1] != END]
    assert ended
    assert cut
    assert all(len(caption) == 6 for caption in cut)
    assert all(len(caption) <= 6 and END not in caption[:-1] for caption in ended)


def test_special_symbols_are_never_sampled(decoder: nn.Module, regions: torch.Tensor) -> None:
    with torch.no_grad():
        decoder.output.bias[[PAD, START, UNKNOWN]] = 20.0  # type: ignore[union-attr, operator]
    sampled = sample_captions(decoder, regions, VOCABULARY, SelfCriticalConfig(50), max_symbols=6)
    assert not {PAD, START, UNKNOWN} & {symbol for caption in sampled for symbol in caption}


def test_an_end_that_is_also_padding_may_be_sampled(decoder: nn.Module, regions: torch.Tensor) -> None:
    with torch.no_grad():
        decoder.output.bias[PAD] = 20.0  # type: ignore[union-attr, operator]
    shared = Vocabulary("words", VOCABULARY.symbols, pad=0, start=0, end=0, unknown=UNKNOWN)
    assert sample_captions(decoder, regions, shared, SelfCriticalConfig(3), 6) == [[0]] * 6


def test_samples_follow_the_probabilities(decoder: nn.Module, regions: torch.Tensor) -> None:
    torch.manual_seed(1)
    sampled = sample_captions(decoder, regions[:1], VOCABULARY, SelfCriticalConfig(3000), max_symbols=1)
    counts = torch.bincount(torch.tensor([caption[0] for caption in sampled]), minlength=len(VOCABULARY))
    with torch.no_grad():
        probabilities = decoder(regions[:1], None, torch.tensor([[START]])).logits[0, 0].softmax(-1)
    probabilities[[PAD, START, UNKNOWN]] = 0
    torch.testing.assert_close(counts / 3000, probabilities / probabilities.sum(), atol=0.04, rtol=0)


def test_a_cold_sample_is_the_likeliest_symbol(decoder: nn.Module, regions: torch.Tensor) -> None:
    sampled = sample_captions(decoder, regions, VOCABULARY, SelfCriticalConfig(20, temperature=1e-4), 5)
    assert len({tuple(caption) for caption in sampled[:20]}) == 1
    assert len({tuple(caption) for caption in sampled[20:]}) == 1


def test_samples_of_a_picture_are_adjacent(decoder: nn.Module) -> None:
    regions = torch.stack([torch.full((4, 6), -3.0), torch.full((4, 6), 3.0)])
    config = SelfCriticalConfig(3, temperature=1e-4)
    both = sample_captions(decoder, regions, VOCABULARY, config, 5)
    assert both[:3] == sample_captions(decoder, regions[:1], VOCABULARY, config, 5)
    assert both[3:] == sample_captions(decoder, regions[1:], VOCABULARY, config, 5)


def test_rewards_belong_to_the_picture() -> None:
    references = [[[4, 5, END]], [[6, 7, END]], [[8, 9, 9, END]]]
    reward = SelfCriticalReward(references, SelfCriticalConfig(2))
    scores = reward.score([[8, 9, 9, END], [4, 5, END], [4, 5, END], [6, 7, END]], torch.tensor([2, 0]))
    assert scores.dtype == torch.float32
    assert scores[0] > 5
    assert scores[1] < 1
    assert scores[2] > 5
    assert scores[3] < 1


def test_document_frequencies_of_another_set_change_the_reward() -> None:
    references = [[[4, 5, END]], [[6, 7, END]]]
    common = document_frequency([[[4, 5, END]]] * 3 + [[[9, END]]])
    sampled = [[4, 9, END], [4, 5, END]]
    plain, given = (
        SelfCriticalReward(references, SelfCriticalConfig(2), frequency).score(sampled, torch.tensor([0]))
        for frequency in (None, common)
    )
    kept = SelfCriticalReward(references, SelfCriticalConfig(2), document_frequency(references))
    assert torch.equal(kept.score(sampled, torch.tensor([0])), plain)
    assert given[0] < plain[0]  # 4 is common there and 9, beside it, rare


def test_breaking_off_costs_reward() -> None:
    reward = SelfCriticalReward([[[4, 5, 6, END]], [[7, END]]], SelfCriticalConfig(2))
    whole, broken = reward.score([[4, 5, 6, END], [4, 5, 6]], torch.tensor([0]))
    assert whole > broken


@pytest.mark.parametrize("wrong", [{"n_samples": 1}, {"temperature": 0.0}])
def test_impossible_options_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        SelfCriticalConfig(**wrong)
