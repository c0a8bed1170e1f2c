"""What semantic attention promises beyond the family's contract."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.semantic_attention import (
    SemanticAttention,
    SemanticAttentionConfig,
    attend,
    attention_penalty,
)

CONFIG = SemanticAttentionConfig(
    12, 6, dim=8, first_attribute=5, n_attributes=6, n_chosen=2, dropout=0.0, attention_penalty=0.0
)
REGIONS = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3))
IDS = torch.tensor([[1, 5, 6], [1, 4, 8], [1, 9, 5], [1, 3, 4]])  # two captions for each of two pictures
TARGETS = torch.tensor([[5, 6, 2], [4, 8, 2], [9, 5, 2], [3, 2, 0]])


def build(config: SemanticAttentionConfig = CONFIG) -> SemanticAttention:
    torch.manual_seed(0)
    return SemanticAttention(config).eval()


def only(model: SemanticAttention, attributes: tuple[int, ...]) -> None:
    """Make these symbols the likeliest attributes of every picture."""
    with torch.no_grad():
        model.attribute_scores.weight.zero_()
        model.attribute_scores.bias.zero_()
        model.attribute_scores.bias[[i - 5 for i in attributes]] = 1.0


def test_an_attribute_is_present_when_a_caption_of_the_picture_names_it():
    """Symbols 5 to 10 are attributes; 4 and the special ones are none."""
    present = build()._present(TARGETS.view(2, -1), 0)
    assert present.tolist() == [[1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0]]


def test_padding_names_no_attribute():
    model = build(replace(CONFIG, first_attribute=0, n_attributes=3))
    assert model._present(TARGETS.view(2, -1), 0).tolist() == [[0, 0, 1], [0, 0, 1]]
    assert model._present(torch.tensor([[1, -1, 2]]), -1).tolist() == [[0, 1, 1]]


def test_the_attributes_loss_falls_and_the_right_ones_are_chosen():
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        output = model(REGIONS, None, IDS, captions_per_picture=2)
        loss = model.auxiliary_losses(output, TARGETS, 0)["attributes"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    scores = model(REGIONS, None, IDS, captions_per_picture=2).extras[0]
    assert {5 + i for i in scores[1].topk(2).indices.tolist()} == {5, 9}


def test_the_chosen_attributes_are_what_is_attended_to():
    model = build()
    only(model, (6, 9))
    memory, _ = model.begin(REGIONS, None)
    expected = {tuple(model.embedding.weight[i].tolist()) for i in (6, 9)}
    assert {tuple(row.tolist()) for row in memory.attributes[0]} == expected
    before = model(REGIONS, None, IDS, captions_per_picture=2).logits
    only(model, (7, 9))
    assert not torch.allclose(model(REGIONS, None, IDS, captions_per_picture=2).logits, before, atol=1e-5)


@pytest.mark.parametrize("scale", ["input_scale", "output_scale"])
def test_both_attentions_reach_the_output(scale: str):
    model = build()
    before = model(REGIONS, None, IDS, captions_per_picture=2).logits
    torch.nn.init.zeros_(getattr(model, scale))
    assert not torch.allclose(model(REGIONS, None, IDS, captions_per_picture=2).logits, before, atol=1e-5)


def test_without_attributes_it_is_show_and_tell():
    """With both scales at nothing, only the mean region counts, through the LSTM's first input."""
    model = build()
    torch.nn.init.zeros_(model.input_scale)
    torch.nn.init.zeros_(model.output_scale)
    before = model(REGIONS, None, IDS, captions_per_picture=2).logits
    only(model, (6, 9))
    torch.testing.assert_close(model(REGIONS, None, IDS, captions_per_picture=2).logits, before)


def test_attending_asks_the_attributes_of_the_own_picture():
    queries, keys, values = torch.randn(4, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    found, weights = attend(queries, keys, values)
    for row in range(4):
        expected = (queries[row] @ keys[row // 2].T).softmax(-1)
        torch.testing.assert_close(weights[row], expected)
        torch.testing.assert_close(found[row], expected @ values[row // 2])


def test_attention_to_one_attribute_at_a_time_and_each_in_turn_costs_least():
    counted = torch.tensor([[True, True, False]])

    def penalty(*rows: list[float]) -> float:
        weights: Tensor = torch.tensor([[*rows, [0.5, 0.5]]])
        return attention_penalty(weights, counted).item()

    in_turn = penalty([1, 0], [0, 1])
    assert in_turn < penalty([1, 0], [1, 0])
    assert in_turn < penalty([0.5, 0.5], [0.5, 0.5])
    assert in_turn == pytest.approx((2**0.5 + 2) / 2, abs=0.01)


def test_the_penalty_is_added_where_asked_for():
    model = build(replace(CONFIG, attention_penalty=0.1)).train()
    losses = model.auxiliary_losses(model(REGIONS, None, IDS, captions_per_picture=2), TARGETS, 0)
    assert losses.keys() == {"attributes", "attribute_attention"}
    losses["attribute_attention"].backward()
    assert model.input_key.weight.grad is not None
    assert model.output_key.weight.grad.isfinite().all()


def test_a_small_vocabulary_has_fewer_attributes():
    model = build(replace(CONFIG, first_attribute=9, n_attributes=100, n_chosen=10))
    assert model(REGIONS, None, IDS, captions_per_picture=2).extras[1].shape == (4, 3, 3)


@pytest.mark.parametrize("options", [{"first_attribute": 12}, {"n_attributes": 0}, {"n_chosen": 0}])
def test_no_attributes_at_all_are_refused(options: dict[str, int]):
    with pytest.raises(ConfigurationError, match="attributes: none of 12 symbols"):
        build(replace(CONFIG, **options))


def test_the_order_of_the_chosen_does_not_depend_on_their_scores():
    model = build()
    only(model, (6, 9))
    with torch.no_grad():
        model.attribute_scores.bias[9 - 5] = 2.0
    first = model.begin(REGIONS, None)[0]
    with torch.no_grad():
        model.attribute_scores.bias[6 - 5] = 3.0
    assert torch.equal(model.begin(REGIONS, None)[0].attributes, first.attributes)
