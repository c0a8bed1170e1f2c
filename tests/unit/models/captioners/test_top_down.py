"""What top-down attention promises beyond the family's contract."""

import torch
from torch import nn

from optophone.models.captioners.top_down import TopDown, TopDownConfig

CONFIG = TopDownConfig(9, 6, embedding_dim=8, attention_dim=5, hidden_dim=7)


def librarys_cell(from_inputs: list[torch.Tensor], from_hidden: torch.Tensor, bias: torch.Tensor) -> nn.LSTMCell:
    weight = torch.cat(from_inputs, 1)
    cell = nn.LSTMCell(weight.shape[1], 7)
    with torch.no_grad():
        cell.weight_ih.copy_(weight)
        cell.weight_hh.copy_(from_hidden)
        cell.bias_ih.copy_(bias)
        cell.bias_hh.zero_()
    return cell


@torch.no_grad()
def test_it_is_two_lstms_as_the_paper_writes_them():
    torch.manual_seed(0)
    model = TopDown(CONFIG).eval()
    regions, ids = torch.randn(2, 4, 6), torch.tensor([3, 5])
    to_looking, to_writing = model.both_from_writing.weight.chunk(2)
    query_weight, writing_weight = model.from_looking.weight.split((5, 28))
    query_bias, writing_bias = model.from_looking.bias.split((5, 28))
    looking = librarys_cell(
        [to_looking, model.looking_from_picture.weight, model.looking_from_symbol.weight],
        model.looking_from_looking.weight,
        model.looking_from_picture.bias,
    )
    writing = librarys_cell([model.writing_from_context.weight, writing_weight], to_writing, writing_bias)
    memory, state = model.begin(regions, None)
    state = type(state)(*(torch.randn(2, 7) for _ in state))
    log_probs, attention, following = model.step(ids, memory, state)

    seen_first = torch.cat([state.writing_hidden, regions.mean(1), model.embedding(ids)], 1)
    hidden, cell = looking(seen_first, (state.looking_hidden, state.looking_cell))
    query = (hidden @ query_weight.T + query_bias).unsqueeze(1)
    weights = model.score(torch.tanh(model.region_keys(regions) + query)).squeeze(2).softmax(1)
    context = (weights.unsqueeze(2) * regions).sum(1)
    written = writing(torch.cat([context, hidden], 1), (state.writing_hidden, state.writing_cell))
    torch.testing.assert_close(attention, weights)
    torch.testing.assert_close(tuple(following), (hidden, cell, *written))
    torch.testing.assert_close(log_probs, model.output(written[0]).log_softmax(1))


def test_what_is_asked_besides_moves_the_attention():
    torch.manual_seed(0)
    model = TopDown(CONFIG).eval()
    memory, state = model.begin(torch.randn(1, 4, 6), None)
    gates = model.input_gates(torch.tensor([[3]]), memory, 1).squeeze(1)
    _, _, plain = model.advance(gates, memory, state)
    _, _, asked = model.advance(gates, memory, state, torch.full((1, 5), 0.7))
    assert not torch.allclose(plain, asked, atol=1e-4)
