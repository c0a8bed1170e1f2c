"""Batches of ragged regions with captions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary, build_words
from optophone.data.captioned_pictures import CaptionedPicturesConfig
from optophone.data.captioned_regions import CaptionedRegions, RegionBatches
from optophone.data.packed_regions import PackedRegions
from optophone.data.prepare.region_features import prepare_region_features
from optophone.data.steps import StepItems

VOCABULARY = build_words(["a b c d"])
CAPTIONS = [[[4, 5, 2], [6, 2]], [[7, 2]], [[5, 5, 5, 2], [4, 2], [6, 6, 2]]]
CONFIG = CaptionedPicturesConfig("unused", captions_per_picture=2, max_symbols=3)


@pytest.fixture
def packed(tmp_path: Path) -> PackedRegions:
    """60 pictures; picture i has i % 5 + 1 regions of the value i."""
    (tmp_path / "features").mkdir()
    for i in range(60):
        np.save(tmp_path / "features" / f"{i}.npy", np.full((i % 5 + 1, 3), i, np.float32))
    return PackedRegions(prepare_region_features(tmp_path / "features", tmp_path / "packed", "float32"))


def test_regions_are_padded_and_masked(packed: PackedRegions) -> None:
    dataset = CaptionedRegions(packed, ["3", "50", "8"], CAPTIONS, VOCABULARY, CONFIG)
    assert len(dataset) == 3
    batch = dataset[StepItems(0, 7, [2, 0, 1])]
    assert batch.regions_mask is not None
    assert batch.regions_mask.tolist() == [[True] * 4, [True] * 4, [True, False, False, False]]
    assert batch.pictures[:, :, 0].tolist() == [[8.0] * 4, [3.0] * 4, [50.0, 0, 0, 0]]
    assert (batch.pictures.dtype, batch.regions_mask.dtype) == (torch.float32, torch.bool)
    assert batch.indices.tolist() == [2, 0, 1]


def test_captions_belong_to_their_pictures_and_to_the_step(packed: PackedRegions) -> None:
    dataset = CaptionedRegions(packed, ["3", "50", "8"], CAPTIONS, VOCABULARY, CONFIG)
    drawn = set()
    for step in range(20):
        batch = dataset[StepItems(0, step, [2, 1])]
        again = dataset[StepItems(0, step, [2, 1])]
        assert torch.equal(batch.targets, again.targets)
        rows = [tuple(x for x in row if x != VOCABULARY.pad) for row in batch.targets.tolist()]
        assert set(rows[:2]) <= {(5, 5, 5), (4, 2), (6, 6, 2)}
        assert rows[0] != rows[1]
        assert rows[2:] == [(7, 2), (7, 2)]
        drawn.add(tuple(rows))
    assert len(drawn) > 3


def test_pictures_come_in_their_order_in_batches(packed: PackedRegions) -> None:
    ids = [str(59 - i) for i in range(60)]
    batches = RegionBatches(packed, ids)
    assert len(batches) == 2
    first, second = batches[0], batches[1]
    assert (first.regions.shape, second.regions.shape) == ((50, 5, 3), (10, 5, 3))
    assert torch.cat([first.regions, second.regions])[:, 0, 0].tolist() == [float(i) for i in ids]
    assert (first.regions_mask.sum(1) == torch.tensor([(59 - i) % 5 + 1 for i in range(50)])).all()


def test_padding_must_not_hide_an_end(packed: PackedRegions) -> None:
    shared = Vocabulary("words", ("<end>", "<start>", "a"), 0, 1, 0)
    with pytest.raises(ConfigurationError, match="padding symbol"):
        CaptionedRegions(packed, ["3"], CAPTIONS[:1], shared, CONFIG)
