"""Linear layers by oneDNN against PyTorch's own, and that what they keep follows the weights."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from optophone.models.linear import Linear, linear

SIDE = 256  # large enough for the weight to be packed


@pytest.fixture
def layer() -> Linear:
    torch.manual_seed(0)
    return Linear(SIDE, SIDE)


@pytest.fixture
def rows() -> Tensor:
    return torch.randn(3, 2, SIDE, generator=torch.Generator().manual_seed(1))


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (0, 6), (1, 6)])
def test_values_and_gradients_are_those_of_pytorch(shape: tuple[int, ...], bias: bool):
    torch.manual_seed(2)
    leaves = [torch.randn(shape), torch.randn(5, 6), *([torch.randn(5)] if bias else [])]
    results = []
    for product in (linear, F.linear):
        mine = [leaf.clone().requires_grad_() for leaf in leaves]
        found = product(*mine)
        found.square().sum().backward()
        results.append([found, *(leaf.grad for leaf in mine)])
    for ours, theirs in zip(*results, strict=True):
        assert_near(ours, theirs)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_only_what_is_asked_for_gets_a_gradient(which: int):
    leaves = [torch.randn(4, 6), torch.randn(5, 6), torch.randn(5)]
    leaves[which].requires_grad_()
    linear(*leaves).sum().backward()  # the gradient that comes is one number, expanded
    assert [leaf.grad is not None for leaf in leaves] == [i == which for i in range(3)]


@torch.no_grad()
def test_parts_of_a_matrix():
    weight, x = torch.randn(8, 20), torch.randn(9, 30)
    assert_near(linear(x[:, 3:9], weight[:, 10:16]), F.linear(x[:, 3:9], weight[:, 10:16]))
    assert_near(linear(x.T[:8, :8], weight[::2, 1:9]), F.linear(x.T[:8, :8], weight[::2, 1:9]))


@torch.no_grad()
def test_many_calls_are_all_the_same(layer, rows):
    expected = F.linear(rows, layer.weight, layer.bias)
    for n in (1, 3, 3, 2):
        assert_near(layer(rows[:n]), expected[:n])
    assert layer._pack.packed is not None


@pytest.mark.parametrize("how", ["in place", "other weights", "another tensor", "under inference mode"])
def test_what_is_packed_follows_the_weights(how: str, layer, rows):
    with torch.no_grad():
        before = [layer(rows) for _ in range(3)][-1]
        if how == "in place":
            layer.weight.mul_(2)
        elif how == "other weights":
            layer.load_state_dict(Linear(SIDE, SIDE).state_dict())
        elif how == "another tensor":
            layer.weight.data = 3 * layer.weight.data
        else:
            with torch.inference_mode():
                layer.weight.mul_(2)
        found = [layer(rows) for _ in range(3)]
    assert not torch.allclose(found[0], before, atol=1e-3)
    for one in found:
        assert_near(one, F.linear(rows, layer.weight, layer.bias).detach())


@pytest.mark.parametrize("fused", [False, True])
def test_training_goes_on_after_packing(fused: bool, layer, rows):
    """A fused optimizer does not count versions; but gradients come from a forward, which is noticed."""
    optimizer = torch.optim.Adam(layer.parameters(), 0.1, fused=fused)
    for _ in range(2):
        with torch.no_grad():
            for _ in range(3):
                assert_near(layer(rows), F.linear(rows, layer.weight, layer.bias))
        layer(rows).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_copies_do_not_share_what_is_packed(layer, rows):
    with torch.no_grad():
        for _ in range(3):
            layer(rows)
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            twin.weight.zero_()
            assert_near(twin(rows), twin.bias.expand(3, 2, -1))
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_shorter_floats_where_asked_for(layer, rows):
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(rows)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), F.linear(rows, layer.weight, layer.bias), atol=0.05, rtol=0.05)


def test_a_traced_graph_holds_an_ordinary_layer(layer, rows):
    with torch.no_grad():
        for _ in range(3):
            layer(rows)
        traced = torch.jit.trace(layer, rows)
    assert "aten::linear" in str(traced.graph)
    assert "mkldnn" not in str(traced.graph)
