"""What the transformer captioner promises beyond the family's contract."""

from dataclasses import replace

import pytest
import torch

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.transformer import TransformerCaptioner, TransformerCaptionerConfig, grid_like

CONFIG = TransformerCaptionerConfig(
    n_symbols=9, region_dim=6, dim=8, n_heads=2, n_layers=2, feed_forward_dim=16, max_length=5, grid=(2, 3)
)


def test_configuration_survives_the_round_trip():
    assert from_mapping(TransformerCaptionerConfig, to_mapping(CONFIG)) == CONFIG


@pytest.mark.parametrize(("options", "message"), [({"n_heads": 3}, "n_heads 3"), ({"n_layers": 0}, "n_layers is 0")])
def test_sizes_that_do_not_fit_are_refused(options: dict[str, int], message: str):
    with pytest.raises(ConfigurationError, match=message):
        TransformerCaptioner(replace(CONFIG, **options))


def test_a_caption_over_the_limit_names_the_option():
    with pytest.raises(ConfigurationError, match="max_length 6, not 5"):
        TransformerCaptioner(CONFIG)(torch.randn(1, 6, 6), None, torch.ones(1, 6, dtype=torch.long))


def test_steps_after_the_limit_go_on():
    model = TransformerCaptioner(CONFIG).eval()
    memory, state = model.begin(torch.randn(1, 6, 6), None)
    for _ in range(8):
        log_probs, _, state = model.step(torch.tensor([1]), memory, state)
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert state.keys_values.shape == (1, 2, 2, 8, 8)
    assert state.position.tolist() == [8]


def test_the_state_begins_empty():
    _, state = TransformerCaptioner(CONFIG).begin(torch.randn(3, 6, 6), None)
    assert state.keys_values.shape == (3, 2, 2, 0, 8)
    assert state.position.tolist() == [0, 0, 0]


def test_tied_embeddings_share_one_tensor():
    model, apart = TransformerCaptioner(CONFIG), TransformerCaptioner(replace(CONFIG, tied_embeddings=False))
    assert model.output.weight is model.embedding.weight
    assert apart.output.weight is not apart.embedding.weight


def test_regions_know_their_place_only_with_a_grid():
    torch.manual_seed(0)
    regions, ids = torch.randn(1, 6, 6), torch.ones(1, 3, dtype=torch.long)
    shuffled = regions[:, [3, 1, 5, 0, 2, 4]]
    placed, unplaced = TransformerCaptioner(CONFIG).eval(), TransformerCaptioner(replace(CONFIG, grid=None)).eval()
    assert not torch.allclose(placed(regions, None, ids).logits, placed(shuffled, None, ids).logits, atol=1e-4)
    torch.testing.assert_close(unplaced(regions, None, ids).logits, unplaced(shuffled, None, ids).logits)


def test_a_finer_grid_is_interpolated():
    model = TransformerCaptioner(CONFIG)
    with torch.no_grad():
        model.region_positions.copy_(torch.tensor([[0.0], [1.0]]).expand(8, 2, 3))  # the row number
    finer = model._positions_of_regions((2, 3), 24).view(4, 6, 8)
    torch.testing.assert_close(finer, finer[:, :1, :1].expand(4, 6, 8))
    rows = finer[:, 0, 0]
    assert (rows.diff() > 0).all()
    assert model(torch.randn(2, 24, 6), None, torch.ones(2, 3, dtype=torch.long)).attention.shape == (2, 3, 24)


def test_grids_of_the_same_shape():
    assert grid_like((10, 10), 36) == (6, 6)
    assert grid_like((2, 3), 24) == (4, 6)
    assert grid_like((3, 2), 24) == (6, 4)
    with pytest.raises(ConfigurationError, match="37 regions"):
        grid_like((10, 10), 37)


def test_dropout_acts_in_training_only():
    model = TransformerCaptioner(replace(CONFIG, dropout=0.5))
    regions, ids = torch.randn(2, 6, 6), torch.ones(2, 4, dtype=torch.long)
    assert not torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)
    model.eval()
    assert torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)
