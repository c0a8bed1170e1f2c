"""A recurrence's linear map against the plain one: the same values and the same gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from optophone.models.captioners.recurrent_product import RecurrentProduct

N, S, N_IN, N_OUT = 3, 4, 5, 5


@pytest.fixture
def leaves() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = ((N_OUT, N_IN), (N, S, N_OUT), (N, N_IN))
    return tuple(torch.randn(shape, requires_grad=True) for shape in shapes)


def recurrent(weight: Tensor, added: Tensor, first: Tensor) -> Tensor:
    product, x = RecurrentProduct(weight, added), first
    for _ in range(S):
        x = product(x).tanh()
    return x


def plain(weight: Tensor, added: Tensor, first: Tensor) -> Tensor:
    x = first
    for a in added.unbind(1):
        x = (F.linear(x, weight) + a).tanh()
    return x


def test_values_and_gradients_are_those_of_a_linear_map(leaves):
    found, expected = recurrent(*leaves), plain(*leaves)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found.square().sum(), leaves)
    for mine, theirs in zip(gradients, torch.autograd.grad(expected.square().sum(), leaves), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_bias_for_all_steps_may_be_expanded(leaves):
    weight, added, first = leaves
    bias = added[0, 0].detach().requires_grad_()
    found = recurrent(weight, bias.expand(N, S, -1), first).sum()
    expected = plain(weight, bias.expand(N, S, -1), first).sum()
    torch.testing.assert_close(torch.autograd.grad(found, bias), torch.autograd.grad(expected, bias))


def test_gradients_are_in_the_weights_own_type_when_products_are_shorter(leaves):
    weight, added, first = leaves
    found = recurrent(weight, added.bfloat16(), first)
    assert found.dtype == torch.bfloat16
    gradient = torch.autograd.grad(found.float().square().sum(), weight)[0]
    expected = torch.autograd.grad(plain(*leaves).square().sum(), weight)[0]
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, expected, atol=0.1, rtol=0.1)


def test_nothing_is_kept_without_gradients(leaves):
    with torch.no_grad():
        product = RecurrentProduct(*leaves[:2])
        product(leaves[2])
    assert product.inputs == []
