"""Region features with several captions each, as batches for training: as many regions as each picture has."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from optophone.core.regions import pad_regions
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import (
    CaptionBatch,
    CaptionedPicturesConfig,
    captions_of_step,
    check_vocabulary,
    pad_captions,
)
from optophone.data.packed_regions import PackedRegions
from optophone.data.steps import StepItems

DEV_BATCH = 50


class RegionBatch(NamedTuple):
    """The regions of several pictures.

    Args:
        regions: (B, R, D), zeros after each picture's last region.
        regions_mask: (B, R) true where valid.
    """

    regions: Tensor
    regions_mask: Tensor


class CaptionedRegions(Dataset):
    """Batches of region features, each picture's with captions drawn for the step.

    Args:
        packed: the features.
        pictures: ids in `packed`, one for each entry of `captions`.
        captions: of every picture, encoded, end included.
    """

    def __init__(
        self,
        packed: PackedRegions,
        pictures: Sequence[str],
        captions: list[list[list[int]]],
        vocabulary: Vocabulary,
        config: CaptionedPicturesConfig,
    ) -> None:
        check_vocabulary(vocabulary)
        assert len(pictures) == len(captions), "captions for every picture"
        self.packed, self.pictures, self.captions = packed, pictures, captions
        self.vocabulary, self.config = vocabulary, config

    def __getitem__(self, items: StepItems) -> CaptionBatch:
        """The batch of one step; all randomness comes from the step."""
        rng = items.generator()
        mine = items.indices[items.mine]
        regions, mask = self.unchanged(mine)
        chosen = captions_of_step(items, self.captions, self.config.captions_per_picture, rng)
        inputs, targets = pad_captions(chosen, self.vocabulary, self.config.longest)
        return CaptionBatch(regions, inputs, targets, torch.tensor(mine), mask)

    def __len__(self) -> int:
        return len(self.captions)

    def shown(self, indices: Sequence[int], step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Regions (B, R, D), padded, and which there are (B, R)."""
        return self.unchanged(indices)

    def unchanged(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The same."""
        batch = region_batch(self.packed, [self.pictures[i] for i in indices])
        return batch.regions, batch.regions_mask


def region_batch(packed: PackedRegions, pictures: Sequence[str]) -> RegionBatch:
    """The regions of `pictures`, ids in `packed`, padded."""
    regions, mask = pad_regions([packed[picture] for picture in pictures])
    return RegionBatch(torch.from_numpy(regions), torch.from_numpy(mask))


class RegionBatches(Dataset):
    """Pictures in their order, `DEV_BATCH` at a time, read when they are asked for: they may not fit into memory."""

    def __init__(self, packed: PackedRegions, pictures: Sequence[str]) -> None:
        self.packed, self.pictures = packed, pictures

    def __getitem__(self, number: int) -> RegionBatch:
        """Batch `number`, counted from 0."""
        return region_batch(self.packed, self.pictures[number * DEV_BATCH : (number + 1) * DEV_BATCH])

    def __len__(self) -> int:
        return -(-len(self.pictures) // DEV_BATCH)
