"""The whole-sequence loops, with their hand-written backward, against the single steps and autograd."""

import pytest
import torch
from torch import Tensor

from optophone.models.acoustic.attention import LocationAttention
from optophone.models.acoustic.attention_sequence import attention_sequence
from optophone.models.acoustic.lstm_cell import LSTMCell
from optophone.models.acoustic.lstm_sequence import lstm_sequence

U, B, S, P, H, D, A = 7, 3, 6, 4, 5, 8, 3


def dropout_mask(dropout: bool, size: int) -> Tensor | None:
    return (torch.rand(U, B, size) > 0.3).double() / 0.7 if dropout else None


def assert_same_gradients(plain: Tensor, fast: Tensor, inputs: dict[str, Tensor]) -> None:
    """Gradients of two scalars of the same `inputs`, by name."""
    torch.testing.assert_close(fast, plain)
    expected = torch.autograd.grad(plain, list(inputs.values()), retain_graph=True)
    found = torch.autograd.grad(fast, list(inputs.values()))
    for name, one, other in zip(inputs, expected, found, strict=True):
        torch.testing.assert_close(other, one, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("dropout", [False, True])
def test_lstm_sequence(dropout: bool) -> None:
    torch.manual_seed(0)
    cell = LSTMCell(P, H).double()
    x = torch.randn(U, B, P, dtype=torch.float64, requires_grad=True)
    mask, weight = dropout_mask(dropout, H), torch.randn(U, B, H, dtype=torch.float64)
    hidden = state = x.new_zeros(B, H)
    outputs = []
    for i in range(U):
        hidden, state = cell(x[i], hidden, state)
        hidden = hidden if mask is None else hidden * mask[i]
        outputs.append(hidden)
    fast = (lstm_sequence(cell, x, mask) * weight).sum()
    assert_same_gradients((torch.stack(outputs) * weight).sum(), fast, {"x": x, **dict(cell.named_parameters())})


@pytest.mark.parametrize("dropout", [False, True])
def test_attention_sequence(dropout: bool) -> None:
    torch.manual_seed(1)
    cell, attention = LSTMCell(P + D, H).double(), LocationAttention(H, D, A, 2, 5).double()
    squeezed = torch.randn(U, B, P, dtype=torch.float64, requires_grad=True)
    encoded = torch.randn(B, S, D, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(B, S, dtype=torch.float64)
    bias[1, 4:] = -torch.inf
    mask = dropout_mask(dropout, H)
    processed = attention.memory(encoded)
    hidden = state = encoded.new_zeros(B, H)
    context, weights = encoded.new_zeros(B, D), encoded.new_zeros(B, S)
    cumulative = weights
    attended, alignment = [], []
    for i in range(U):
        hidden, state = cell(torch.cat((squeezed[i], context), dim=1), hidden, state)
        hidden = hidden if mask is None else hidden * mask[i]
        weights = attention(hidden, processed, bias, weights, cumulative, attention.location_kernel())
        cumulative = cumulative + weights
        context = torch.einsum("bs,bsd->bd", weights, encoded)
        attended.append(torch.cat((hidden, context), dim=1))
        alignment.append(weights)
    scale, slope = torch.randn(U, B, H + D, dtype=torch.float64), torch.randn(U, B, S, dtype=torch.float64)
    plain = (torch.stack(attended) * scale).sum() + (torch.stack(alignment) * slope).sum()
    found, found_alignment = attention_sequence(cell, attention, squeezed, encoded, processed, bias, mask)
    torch.testing.assert_close(found, torch.stack(attended))
    torch.testing.assert_close(found_alignment, torch.stack(alignment))
    inputs = {"squeezed": squeezed, "encoded": encoded, **dict(cell.named_parameters())}
    inputs |= {f"attention.{name}": parameter for name, parameter in attention.named_parameters()}
    assert_same_gradients(plain, (found * scale).sum() + (found_alignment * slope).sum(), inputs)


def test_bfloat16_products_keep_the_gradients_near() -> None:
    torch.manual_seed(2)
    cell, attention = LSTMCell(P + D, H), LocationAttention(H, D, A, 2, 5)
    squeezed, encoded, bias = torch.randn(U, B, P), torch.randn(B, S, D), torch.zeros(B, S)
    gradients = []
    for enabled in (False, True):
        cell.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            attended, alignment = attention_sequence(
                cell, attention, squeezed, encoded, attention.memory(encoded), bias, None
            )
        assert alignment.dtype == torch.float32
        (attended.float().square().sum() + alignment.square().sum()).backward()
        assert cell.weight_hh.grad is not None
        gradients.append(cell.weight_hh.grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.1, atol=0.05 * float(gradients[0].abs().max()))
