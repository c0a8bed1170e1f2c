"""What X-LAN promises beyond the family's contract."""

import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.xlan import XLan, XLanConfig, XLanMemory

CONFIG = XLanConfig(n_symbols=9, region_dim=6, dim=8, n_heads=2, n_encoder_blocks=2, encoder_mid_dim=3)
WITHOUT_DROPOUT = dict.fromkeys(
    (
        *("embedding_dropout", "region_dropout", "encoder_dropout", "decoder_dropout"),
        *("encoder_mid_dropout", "decoder_mid_dropout", "mixing_dropout", "dropout"),
    ),
    0.0,
)


@pytest.fixture
def model() -> XLan:
    torch.manual_seed(0)
    return XLan(CONFIG).eval()


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))


def test_configuration_survives_the_round_trip():
    assert from_mapping(XLanConfig, to_mapping(CONFIG)) == CONFIG


def test_the_defaults_have_the_published_size():
    with torch.device("meta"):
        model = XLan(XLanConfig(n_symbols=9488))
    # The published checkpoint has two biases where ours has their sum (4096), and a bias that softmax does not see in
    # each of its five attentions.
    assert sum(parameter.numel() for parameter in model.parameters()) == 75_189_781 - 4096 - 5


def test_a_decoder_without_attention_is_refused():
    with pytest.raises(ConfigurationError, match="n_decoder_blocks is 0"):
        XLan(XLanConfig(9, n_decoder_blocks=0))


@pytest.mark.parametrize("option", WITHOUT_DROPOUT)
def test_every_dropout_acts_in_training_only(option: str, regions):
    torch.manual_seed(0)
    sizes = {"region_dim": 6, "dim": 8, "n_heads": 2, "n_encoder_blocks": 2}
    model = XLan(from_mapping(XLanConfig, {"n_symbols": 9, **sizes, **WITHOUT_DROPOUT, option: 0.5}))
    ids = torch.ones(2, 4, dtype=torch.long)
    assert not torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)
    model.eval()
    assert torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)


def test_the_beams_of_a_picture_share_its_memory(model, regions):
    """A step takes several rows for each row of memory, or memory repeated for every row."""
    ids = torch.tensor([3, 4, 5, 6, 7, 8])
    with torch.no_grad():
        memory, first = model.begin(regions, None)
        state = tuple(x.repeat_interleave(3, 0) + torch.randn(6, 8) for x in first)
        shared = model.step(ids, memory, state)
        repeated = model.step(ids, tuple(x.repeat_interleave(3, 0) for x in memory), state)
    for one, other in zip((*shared[:2], *shared[2]), (*repeated[:2], *repeated[2]), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_table_of_the_symbols_changes_nothing(model, regions):
    ids = torch.tensor([3, 8])
    with torch.no_grad():
        memory, state = model.begin(regions, None)
        expected = model.step(ids, memory, state)[0]
        model.tabulate_symbols()
        assert model.symbol_table.shape == (9, 32)
        torch.testing.assert_close(model.step(ids, memory, state)[0], expected, atol=1e-6, rtol=1e-5)
        model.gates_from_symbol.weight.zero_()
        torch.testing.assert_close(model.step(ids, memory, state)[0], expected, atol=1e-6, rtol=1e-5)
    assert "symbol_table" not in model.state_dict()


@pytest.mark.parametrize("how", ["training", "other weights"])
def test_the_table_is_forgotten_when_weights_change(model, how: str):
    model.tabulate_symbols()
    if how == "training":
        model.train()
    else:
        model.load_state_dict(XLan(CONFIG).state_dict())
    assert model.symbol_table is None


def test_the_table_keeps_no_gradient_from_the_symbols(model, regions):
    """Self-critical training wants gradients in evaluation mode."""
    model.tabulate_symbols()
    model(regions, None, torch.ones(2, 3, dtype=torch.long)).logits.sum().backward()
    assert float(model.embedding.weight.grad.abs().sum()) > 0


def test_the_state_stays_exact_in_brain_float_training(model, regions):
    with torch.autocast("cpu", torch.bfloat16):
        memory, state = model.begin(regions, None)
        _, _, following = model.step(torch.tensor([3, 4]), memory, state)
    assert {x.dtype for x in (*state, *following)} == {torch.float32}


def test_memory_keeps_no_region_sized_projection_for_the_step(model, regions):
    """Keys, second values and gates lie ready: the projections of regions may vanish after `begin`."""
    ids = torch.tensor([3, 4])
    with torch.no_grad():
        memory, state = model.begin(regions, None)
        assert isinstance(memory, XLanMemory)
        assert memory.keys_values.shape == (2, 1, 2, 2, 4, 4)
        expected = model.step(ids, memory, state)[0]
        for parameter in (*model.encoder.parameters(), *model.blocks[0].key_value.parameters()):
            parameter.fill_(torch.nan)
        assert torch.equal(model.step(ids, memory, state)[0], expected)
