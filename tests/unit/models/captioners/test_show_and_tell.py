"""What Show and Tell promises beyond the family's contract."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.show_and_tell import ShowAndTell, ShowAndTellConfig

CONFIG = ShowAndTellConfig(9, 6, embedding_dim=8, hidden_dim=7)
MASK = torch.tensor([[True, True, False, True]])


def build(config: ShowAndTellConfig = CONFIG) -> ShowAndTell:
    torch.manual_seed(0)
    return ShowAndTell(config).eval()


@pytest.mark.parametrize("every_step", [False, True])
def test_attention_is_even_over_the_valid_regions(every_step: bool):
    model = build(replace(CONFIG, picture_at_every_step=every_step))
    attention = model(torch.randn(1, 4, 6), MASK, torch.ones(1, 2, dtype=torch.long)).attention
    torch.testing.assert_close(attention, torch.tensor([1 / 3, 1 / 3, 0, 1 / 3]).expand(1, 2, 4))


@pytest.mark.parametrize("every_step", [False, True])
def test_only_the_mean_of_the_regions_counts(every_step: bool):
    model = build(replace(CONFIG, picture_at_every_step=every_step))
    regions, ids = torch.randn(1, 4, 6), torch.ones(1, 3, dtype=torch.long)
    spread = regions.mean(1, keepdim=True) + 2 * (regions - regions.mean(1, keepdim=True))
    torch.testing.assert_close(model(regions, None, ids).logits, model(spread, None, ids).logits)


def test_it_is_the_librarys_lstm_after_the_picture_and_the_symbols():
    model = build()
    lstm = nn.LSTM(8, 7, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(model.gates_from_input.weight)
        lstm.weight_hh_l0.copy_(model.gates_from_hidden.weight)
        lstm.bias_ih_l0.copy_(model.gates_from_input.bias)
        lstm.bias_hh_l0.zero_()
    regions, ids = torch.randn(2, 4, 6), torch.tensor([[1, 5, 3], [1, 2, 2]])
    inputs = torch.cat([model.picture(regions.mean(1)).unsqueeze(1), model.embedding(ids)], 1)
    expected = model.output(lstm(inputs)[0][:, 1:])
    torch.testing.assert_close(model(regions, None, ids).logits, expected)


def test_the_picture_comes_first_or_at_every_step():
    """At every step it is in memory and the LSTM begins empty; else the LSTM has read it, and nothing else remains."""
    regions, ids = torch.randn(1, 4, 6), torch.tensor([3])
    once, always = build(), build(replace(CONFIG, picture_at_every_step=True))
    memory, state = once.begin(regions, None)
    assert len(memory) == 1
    assert state.hidden.abs().max() > 0
    memory, state = always.begin(regions, None)
    assert state.hidden.abs().max() == 0
    after = always.step(ids, memory, state)
    other = always.step(ids, (memory[0], memory[1] + 1), state)
    assert torch.equal(after[2].hidden, other[2].hidden)
    assert not torch.allclose(after[0], other[0], atol=1e-3)


def test_tied_embeddings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match="reads 7 features, not 8"):
        build(replace(CONFIG, tied_embeddings=True))
    model = build(replace(CONFIG, tied_embeddings=True, picture_at_every_step=True))
    assert model.output.weight is model.embedding.weight
