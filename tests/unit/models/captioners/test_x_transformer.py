"""What X-Transformer promises beyond the family's contract."""

import math

import pytest
import torch

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.x_transformer import XTransformer, XTransformerConfig, sinusoids

SIZES = {"region_dim": 6, "dim": 8, "n_heads": 2, "n_encoder_layers": 1, "n_layers": 2, "feed_forward_dim": 12}
CONFIG = from_mapping(XTransformerConfig, {"n_symbols": 9, **SIZES, "mid_dim": 3, "max_length": 4})
WITHOUT_DROPOUT = dict.fromkeys(
    (
        *("embedding_dropout", "region_dropout", "attention_dropout", "mid_dropout"),
        *("mixing_dropout", "feed_forward_dropout", "dropout"),
    ),
    0.0,
)


def test_configuration_survives_the_round_trip():
    assert from_mapping(XTransformerConfig, to_mapping(CONFIG)) == CONFIG


def test_captions_longer_than_the_positions_are_refused():
    with pytest.raises(ConfigurationError, match="Captions of 5 symbols need max_length 5, not 4"):
        XTransformer(CONFIG)(torch.randn(1, 3, 6), None, torch.ones(1, 5, dtype=torch.long))


def test_steps_go_on_behind_the_last_position():
    torch.manual_seed(0)
    model = XTransformer(CONFIG).eval()
    with torch.no_grad():
        memory, state = model.begin(torch.randn(2, 3, 6), None)
        for _ in range(6):
            log_probs, _, state = model.step(torch.tensor([3, 4]), memory, state)
    assert log_probs.isfinite().all()
    assert state.keys_values.shape == (2, 4, 2, 6, 4)
    assert state.position.tolist() == [6, 6]


def test_a_decoder_without_layers_is_refused():
    with pytest.raises(ConfigurationError, match="n_layers is 0"):
        XTransformer(XTransformerConfig(9, n_layers=0))


@pytest.mark.parametrize("option", WITHOUT_DROPOUT)
def test_every_dropout_acts_in_training_only(option: str):
    torch.manual_seed(0)
    model = XTransformer(from_mapping(XTransformerConfig, {"n_symbols": 9, **SIZES, **WITHOUT_DROPOUT, option: 0.5}))
    regions, ids = torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.long)
    assert not torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)
    model.eval()
    assert torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)


def test_the_beams_of_a_picture_share_its_memory():
    torch.manual_seed(0)
    model = XTransformer(CONFIG).eval()
    with torch.no_grad():
        memory, first = model.begin(torch.randn(2, 4, 6), None)
        state = tuple(x.repeat_interleave(2, 0) for x in first)
        ids = torch.tensor([3, 4, 5, 6])
        shared, _, _ = model.step(ids, memory, state)
        repeated, _, _ = model.step(ids, tuple(x.repeat_interleave(2, 0) for x in memory), state)
    torch.testing.assert_close(shared, repeated, atol=1e-6, rtol=1e-5)


def test_tied_embeddings_share_one_tensor():
    model = XTransformer(from_mapping(XTransformerConfig, {"n_symbols": 9, **SIZES, "tied_embeddings": True}))
    assert model.output.weight is model.embedding.weight


@pytest.mark.parametrize("dim", [6, 5])
def test_positions_turn_at_falling_rates(dim: int):
    table = sinusoids(7, dim)
    assert table.shape == (7, dim)
    for place in range(7):
        for i in range(dim):
            angle = place / 10_000 ** ((i - i % 2) / dim)
            assert float(table[place, i]) == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-5)
