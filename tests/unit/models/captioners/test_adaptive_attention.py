"""What adaptive attention promises beyond the family's contract."""

import pytest
import torch
from torch import Tensor

from optophone.models.captioners.adaptive_attention import AdaptiveAttention, AdaptiveAttentionConfig

CONFIG = AdaptiveAttentionConfig(9, 6, embedding_dim=8, attention_dim=5, hidden_dim=7)
IDS = torch.tensor([[1, 4, 3], [1, 2, 6]])


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))


def build(sentinel: float = 0.0) -> AdaptiveAttention:
    """`sentinel` pulls all weight to it (above 0) or away from it."""
    torch.manual_seed(0)
    model = AdaptiveAttention(CONFIG).eval()
    if sentinel:
        with torch.no_grad():
            model.score.weight.fill_(20.0)
            model.sentinel_key.bias.fill_(sentinel)
            model.region_keys.bias.fill_(-sentinel)
    return model


def spread(regions: Tensor) -> Tensor:
    """Other regions with the same mean."""
    middle = regions.mean(1, keepdim=True)
    return middle + 2 * (regions - middle)


def test_a_sentinel_with_all_the_weight_ignores_the_regions(regions):
    model = build(sentinel=50.0)
    output = model(regions, None, IDS)
    torch.testing.assert_close(output.extras[0], torch.ones(2, 3))
    torch.testing.assert_close(model(spread(regions), None, IDS).logits, output.logits)


def test_a_sentinel_without_weight_leaves_the_regions(regions):
    model = build(sentinel=-50.0)
    output = model(regions, None, IDS)
    assert output.extras[0].max() < 1e-6
    assert not torch.allclose(model(spread(regions), None, IDS).logits, output.logits, atol=1e-3)


def test_regions_and_sentinel_share_one_softmax(regions):
    """β is the sentinel's part of the softmax over all, and α the rest of it, made to sum to 1 (equation 12)."""
    model = build()
    memory, _ = model.begin(regions, None)
    hidden, sentinel = torch.randn(2, 7), torch.randn(2, 7)
    query, weight = model.query(hidden), model.score.weight[0]
    scores = torch.tanh(memory.keys + query.unsqueeze(1)) @ weight
    last = torch.tanh(model.sentinel_key(sentinel) + query) @ weight
    together = torch.cat([scores, last.unsqueeze(1)], 1).softmax(-1)
    context, attention, share = model._look(hidden, sentinel, memory)
    torch.testing.assert_close(share, together[:, -1])
    torch.testing.assert_close(attention * (1 - share).unsqueeze(1), together[:, :-1])
    seen = (attention.unsqueeze(-1) * memory.regions).sum(1)
    torch.testing.assert_close(context, share.unsqueeze(1) * sentinel + (1 - share).unsqueeze(1) * seen)


def test_the_sentinel_is_a_gated_memory(regions):
    """Equations 9 and 10: with the gate shut it is nothing, with the gate open what the memory cell shows."""
    model = build()
    memory, state = model.begin(regions, None)
    for gate, expected in ((-1e4, 0.0), (1e4, 1.0)):
        gates = memory.gates.clone()
        gates[:, 4 * 7 :] = gate
        following, sentinel = model._advance(gates, state)
        torch.testing.assert_close(sentinel, expected * following.cell.tanh())
