"""What attention on attention promises beyond the family's contract."""

from dataclasses import replace

import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.attention_on_attention import (
    AttentionOnAttention,
    AttentionOnAttentionConfig,
    GatedAttention,
)

CONFIG = AttentionOnAttentionConfig(9, 6, dim=8, n_heads=2, n_refining_layers=2)
REGIONS = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3))
IDS = torch.tensor([[1, 4, 3], [1, 2, 6]])


def build(config: AttentionOnAttentionConfig = CONFIG) -> AttentionOnAttention:
    torch.manual_seed(0)
    return AttentionOnAttention(config).eval()


def test_information_passes_a_gate_that_knows_the_query():
    torch.manual_seed(0)
    block = GatedAttention(8, 2, dropout=0.0)
    x, others, bias = torch.randn(1, 3, 8), torch.randn(1, 4, 8), torch.zeros(1, 4)
    keys_values = block.attention.keys_values(others)
    found, weights = block(x, keys_values, bias)
    attended, expected_weights = block.attention(x, keys_values)
    information, gate = block.information_and_gate(torch.cat([attended, x], -1)).chunk(2, -1)
    torch.testing.assert_close(found, information * gate.sigmoid())
    torch.testing.assert_close(weights, expected_weights)


def test_a_shut_gate_lets_nothing_through():
    model = build()
    with torch.no_grad():
        model.attention.information_and_gate.bias[8:] = -1e4
    torch.testing.assert_close(model(REGIONS, None, IDS).logits, model.output.bias.expand(2, 3, 9))


def test_refining_tells_regions_of_each_other():
    model, plain = build(), build(replace(CONFIG, n_refining_layers=0))
    other = REGIONS.clone()
    other[:, 0] += 1

    def last_key(decoder: AttentionOnAttention, regions: torch.Tensor) -> torch.Tensor:
        return decoder.begin(regions, None)[0].keys_values[:, 0, 3]

    assert not torch.allclose(last_key(model, REGIONS), last_key(model, other), atol=1e-4)
    assert torch.equal(last_key(plain, REGIONS), last_key(plain, other))


def test_the_last_context_is_fed_back_with_the_mean_region():
    """Equal shifts of the one and the other are the same to the LSTM."""
    model = build()
    memory, state = model.begin(REGIONS, None)
    shift = torch.randn(1, 8)
    by_context = model.step(IDS[:, 0], memory, state._replace(context=state.context + shift))
    moved = memory._replace(gates=memory.gates + model.gates_from_context(shift))
    by_picture = model.step(IDS[:, 0], moved, state)
    torch.testing.assert_close(by_context[0], by_picture[0])
    assert not torch.allclose(by_context[0], model.step(IDS[:, 0], memory, state)[0], atol=1e-5)


def test_heads_must_divide_the_features():
    with pytest.raises(ConfigurationError, match="dim 8 is not a multiple of n_heads 3"):
        build(replace(CONFIG, n_heads=3))
