"""What Show, Attend and Tell promises beyond the family's contract."""

import pytest
import torch

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig

CONFIG = ShowAttendTellConfig(n_symbols=9, region_dim=6, embedding_dim=8, attention_dim=5, hidden_dim=7)


def test_configuration_survives_the_round_trip():
    assert from_mapping(ShowAttendTellConfig, to_mapping(CONFIG)) == CONFIG


def test_tied_embeddings_share_one_tensor():
    model = ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7, deep_output=True, tied_embeddings=True))
    assert model.output.weight is model.embedding.weight


def test_tied_embeddings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="deep_output"):
        ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7, tied_embeddings=True))


def test_deep_output_hears_the_picture_and_the_last_symbol():
    torch.manual_seed(0)
    model = ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7, deep_output=True)).eval()
    hidden, context, symbols = torch.randn(2, 7), torch.randn(2, 6), torch.randn(2, 8)
    logits = model._logits(hidden, context, symbols)
    assert not torch.allclose(model._logits(hidden, context + 1, symbols), logits)
    assert not torch.allclose(model._logits(hidden, context, symbols + 1), logits)


@pytest.mark.parametrize("option", ["dropout", "region_dropout"])
def test_dropout_acts_in_training_only(option: str):
    torch.manual_seed(0)
    model = ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7, **{"dropout": 0.0, option: 0.5}))
    regions, ids = torch.randn(2, 3, 6), torch.ones(2, 4, dtype=torch.long)
    assert not torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)
    model.eval()
    assert torch.equal(model(regions, None, ids).logits, model(regions, None, ids).logits)


def test_the_gate_can_shut_the_picture_out():
    model = ShowAttendTell(CONFIG).eval()
    _, gate, _ = model.from_hidden.bias.data.split(model._parts_from_hidden(CONFIG))
    gate.fill_(-1e4)
    torch.nn.init.zeros_(model.initial_state.weight)
    ids = torch.ones(1, 3, dtype=torch.long)
    torch.testing.assert_close(
        model(torch.randn(1, 4, 6), None, ids).logits, model(torch.randn(1, 4, 6), None, ids).logits
    )
