"""The X-Linear block against its equations, written out one query, head and region at a time."""

import math

import pytest
import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.x_linear_attention import HeadProjections, XLinearAttention, XLinearConfig

CONFIG = XLinearConfig(dim=6, n_heads=2, mid_dim=4, alpha=1.3)
B, Q, R = 2, 3, 5
D_HEAD = CONFIG.dim // CONFIG.n_heads


@pytest.fixture
def block() -> XLinearAttention:
    torch.manual_seed(2)
    block = XLinearAttention(CONFIG).eval()
    for parameter in block.parameters():
        if parameter.ndim == 1:  # norms begin as ones and zeros, which would hide what they do
            parameter.data += 0.3 * torch.randn_like(parameter)
    return block


@pytest.fixture
def query() -> Tensor:
    return torch.randn(B, Q, CONFIG.dim, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(B, R, CONFIG.dim, generator=torch.Generator().manual_seed(6))


def project(module: HeadProjections, x: Tensor, which: int) -> list[Tensor]:
    """One projection of one vector (D,): a vector (D / H,) for every head."""
    rows = slice(which * CONFIG.dim, (which + 1) * CONFIG.dim)
    linear = module.linear.weight[rows] @ x + module.linear.bias[rows]
    activated = torch.tensor([v if v > 0 else CONFIG.alpha * (math.exp(v / CONFIG.alpha) - 1) for v in linear.tolist()])
    heads = []
    for h in range(CONFIG.n_heads):
        mine = slice(h * D_HEAD, (h + 1) * D_HEAD)
        part = activated[mine]
        normed = (part - part.mean()) / torch.sqrt(part.var(unbiased=False) + 1e-5)
        heads.append(normed * module.weight[rows][mine] + module.bias[rows][mine])
    return heads


def naive(block: XLinearAttention, query: Tensor, regions: Tensor, seen: list[int]) -> tuple[Tensor, Tensor]:
    """What one query (D,) finds among regions (R, D), looking at those in `seen` only; and its weights (R,)."""
    q, v1 = project(block.query_value, query, 0), project(block.query_value, query, 1)
    results, weights = [], torch.zeros(len(regions))
    for h in range(CONFIG.n_heads):
        bilinear, second = {}, {}
        for r in seen:
            key = project(block.key_value, regions[r], 0)[h]
            second[r] = project(block.key_value, regions[r], 1)[h]
            bilinear[r] = torch.relu(block.compare.weight @ (q[h] * key) + block.compare.bias)
        exponents = {r: math.exp(float(block.score.weight[0] @ b)) for r, b in bilinear.items()}
        spatial = {r: e / sum(exponents.values()) for r, e in exponents.items()}
        mean = sum(bilinear.values()) / len(seen)
        channel = torch.sigmoid(block.channel.weight @ mean + block.channel.bias)
        results.append(v1[h] * sum(spatial[r] * second[r] for r in seen) * channel)
        for r in seen:
            weights[r] += spatial[r] / CONFIG.n_heads
    return torch.cat(results), weights


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_all_regions(block, query, regions):
    found, attention = block(query, block.keys_values(regions))
    for b in range(B):
        for s in range(Q):
            result, weights = naive(block, query[b, s], regions[b], list(range(R)))
            assert_near(found[b, s], result)
            assert_near(attention[b, s], weights)


@torch.no_grad()
def test_padding_counts_nowhere(block, query, regions):
    n_valid = [2, 4]
    weights = torch.stack([(torch.arange(R) < n) / n for n in n_valid]).unsqueeze(1)
    found, attention = block(query, block.keys_values(regions), weights)
    for b, n in enumerate(n_valid):
        for s in range(Q):
            result, expected = naive(block, query[b, s], regions[b], list(range(n)))
            assert_near(found[b, s], result)
            assert_near(attention[b, s], expected)


@torch.no_grad()
def test_each_query_sees_its_own_part(block, regions):
    """As symbols see the symbols before them."""
    weights = torch.ones(1, R, R).tril() / torch.arange(1, R + 1).unsqueeze(1)
    found, _ = block(regions, block.keys_values(regions), weights)
    for s in range(R):
        result, _ = naive(block, regions[0, s], regions[0], list(range(s + 1)))
        assert_near(found[0, s], result)


def test_weights_of_one_count_all_alike(block, query, regions):
    keys_values = block.keys_values(regions)
    assert_near(block(query, keys_values, torch.full((1, 1, R), 1 / R))[0], block(query, keys_values)[0])


def test_nothing_to_look_at_is_no_error(block, query, regions):
    found, attention = block(query, block.keys_values(regions), torch.zeros(B, 1, R))
    assert found.isfinite().all()
    assert_near(attention, torch.full((B, Q, R), 1 / R))


@pytest.mark.parametrize("option", ["dropout", "mid_dropout"])
def test_dropout_acts_in_training_only(option: str, query, regions):
    torch.manual_seed(0)
    block = XLinearAttention(XLinearConfig(6, 2, 4, **{"dropout": 0.0, "mid_dropout": 0.0, option: 0.5}))
    keys_values = block.keys_values(regions)
    assert not torch.equal(block(query, keys_values)[0], block(query, keys_values)[0])
    block.eval()
    assert torch.equal(block(query, keys_values)[0], block(query, keys_values)[0])


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ConfigurationError, match="dim 6 is not a multiple of n_heads 4"):
        XLinearConfig(6, 4, 2)


def test_what_is_dropped_gets_no_gradient_and_the_rest_makes_up_for_it():
    torch.manual_seed(1)
    block = XLinearAttention(XLinearConfig(8, 2, 64, dropout=0.0, mid_dropout=0.25)).train()
    queries, keys = torch.randn(2, 3, 2, 4), torch.randn(2, 2, 40, 4)
    compared, scale = block._compare(queries, keys)
    whole, no_scale = block.eval()._compare(queries, keys)
    kept = compared != 0
    assert (scale, no_scale) == (pytest.approx(1 / 0.75), 1.0)
    torch.testing.assert_close(compared[kept], whole[kept])
    assert float(kept.sum() / (whole != 0).sum()) == pytest.approx(0.75, abs=0.02)
    found = torch.autograd.grad(compared.sum(), block.compare.bias)[0]
    torch.testing.assert_close(found, kept.sum((0, 1, 2, 3)).float())
