"""Captions as vectors, compared with pictures; and what is looked at without a picture."""

import math

import torch
import torch.nn.functional as F

from optophone.models.captioners.image_unit_match import ImageUnitMatch, contrastive_loss
from optophone.models.captioners.no_picture import NoPicture
from optophone.models.captioners.symbol_encoder import SymbolEncoder, SymbolEncoderConfig


def encoder() -> SymbolEncoder:
    torch.manual_seed(0)
    return SymbolEncoder(SymbolEncoderConfig(11, out_dim=6, n_tokens=3, dim=8, n_heads=2)).eval()


def test_padding_changes_nothing() -> None:
    ids = torch.randint(1, 11, (2, 9))
    alone = encoder()(ids[:1, :5], torch.ones(1, 5, dtype=torch.bool))
    counted = torch.arange(9) < torch.tensor([[5], [9]])
    together = encoder()(ids.masked_fill(~counted, 0), counted)
    assert together.shape == (2, 3, 6)
    torch.testing.assert_close(together[:1], alone, atol=1e-6, rtol=1e-5)


def test_order_matters() -> None:
    ids = torch.randint(1, 11, (1, 9))
    counted = torch.ones_like(ids, dtype=torch.bool)
    assert not torch.allclose(encoder()(ids, counted), encoder()(ids.flip(1), counted), atol=1e-4)


def test_pictures_and_captions_are_compared_by_their_angle() -> None:
    torch.manual_seed(0)
    match = ImageUnitMatch(11, region_dim=5, dim=4).eval()
    regions = torch.randn(2, 3, 5)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    ids = torch.randint(1, 11, (4, 6))
    pictures, captions = match(regions, mask, ids, torch.ones_like(ids, dtype=torch.bool))
    torch.testing.assert_close(pictures.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(captions.norm(dim=1), torch.ones(4))
    other = regions.clone()
    other[0, 2] = 9.0
    torch.testing.assert_close(match(other, mask, ids, torch.ones_like(ids, dtype=torch.bool))[0], pictures)


def test_contrastive_loss_wants_partners_to_be_alike() -> None:
    sides = F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    partners = contrastive_loss(sides, sides, 0.1)
    assert partners < contrastive_loss(sides, sides.roll(1, 0), 0.1)
    same = torch.ones(5, 8) / math.sqrt(8)
    torch.testing.assert_close(contrastive_loss(same, same, 0.1), torch.tensor(math.log(5)))
    scores = sides @ sides.roll(1, 0).T / 0.5
    both = [-(way.log_softmax(1).diagonal()).mean() for way in (scores, scores.T)]
    torch.testing.assert_close(contrastive_loss(sides, sides.roll(1, 0), 0.5), sum(both) / 2)


def test_no_picture_is_one_learned_region() -> None:
    nothing = NoPicture(7)
    regions = nothing(3)
    assert regions.shape == (3, 1, 7)
    regions.sum().backward()
    assert nothing.region.grad is not None
    torch.testing.assert_close(nothing.region.grad, torch.full((1, 1, 7), 3.0))
