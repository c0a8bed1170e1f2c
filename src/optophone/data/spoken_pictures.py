"""Pictures with several spoken captions each, as batches for training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.audio import resample
from optophone.core.errors import DataError
from optophone.core.picture import PictureSpec
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig, pad_levels
from optophone.data.augmentation import AugmentationConfig, augment
from optophone.data.manifest import Dataset, Row
from optophone.data.pictures import as_batch, normalize
from optophone.data.steps import StepItems

DEV_BATCH = 50


@dataclass(frozen=True)
class SpokenPicturesConfig:
    """Which pictures and utterances, and how they are shown and heard.

    Args:
        pictures: folder of a prepared data set with packed pictures.
        speech: folder of a prepared data set of spoken captions, whose rows name their `picture_id`.
        batch_size: pairs of a step, each of another picture.
        size: pixels of a side.
        max_seconds: longer utterances are left out.
        max_frames: frames that every utterance of training is padded or cut to; 0 pads to the longest of the batch.
            The original uses 2,048.
        dev_limit: pictures of the validation, among which partners are sought; 0 for all.
        augmentation: how random views of a picture differ.
        bank: the front end of the units.
    """

    pictures: str
    speech: str
    batch_size: int = 32
    size: int = 160
    max_seconds: float = 8.0
    max_frames: int = 0
    dev_limit: int = 1000
    augmentation: AugmentationConfig = field(default_factory=lambda: AugmentationConfig(0.6, 1.2, 0.5, 0.2))
    bank: UnitFilterBankConfig = field(default_factory=UnitFilterBankConfig)


class SpokenPictureBatch(NamedTuple):
    """Pairs of a picture and an utterance about it.

    Fields: pictures (B, 3, H, W) normalised, or regions (B, R, D) that were computed beforehand; levels (B, M, T)
    decibels, padded with 0; n_frames (B,) valid ones.
    """

    pictures: Tensor
    levels: Tensor
    n_frames: Tensor


class Speech:
    """The spoken captions of pictures, as levels. These are kept after their first use, at half precision.

    Args:
        dataset: of spoken captions.
        pictures: rows of a split of a picture data set.
        split: of the spoken captions.
        config: how they are heard.

    Raises:
        DataError: no utterance belongs to any of the pictures.
    """

    def __init__(self, dataset: Dataset, pictures: Sequence[Row], split: str, config: SpokenPicturesConfig) -> None:
        self.dataset, self.config, self.bank = dataset, config, UnitFilterBank(config.bank)
        spoken: dict[str, list[Row]] = {}
        for row in dataset.rows(split):
            if 0 < row.get("duration_s", 0) <= config.max_seconds and "picture_id" in row:
                spoken.setdefault(row["picture_id"], []).append(row)
        # Place of each picture with speech in its data set, and its utterances.
        self.pictures = [i for i, row in enumerate(pictures) if row["id"] in spoken]
        self.utterances = [spoken[pictures[i]["id"]] for i in self.pictures]
        if not self.pictures:
            raise DataError(
                f"{dataset.folder}: no utterance of {split} under {config.max_seconds} s is about one of the pictures."
            )
        self._levels: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def levels(self, row: Row) -> np.ndarray:
        """(M, T) float32 decibels of an utterance."""
        if row["id"] not in self._levels:
            wave, sample_rate = self.dataset.wave(row)
            if sample_rate != self.config.bank.sample_rate:
                wave = resample(wave, sample_rate, self.config.bank.sample_rate)
            self._levels[row["id"]] = self.bank(wave).astype(np.float16)
        return self._levels[row["id"]].astype(np.float32)

    def batch(self, chosen: Sequence[Row], max_frames: int = 0) -> tuple[Tensor, Tensor]:
        """Levels (B, M, T) of utterances, padded to `max_frames` or to the longest, and their frames (B,)."""
        levels = [self.levels(row) for row in chosen]
        longest = max_frames or max(one.shape[1] for one in levels)
        padded, n_frames = zip(*(pad_levels(one, longest) for one in levels), strict=True)
        return torch.from_numpy(np.stack(padded)), torch.tensor(n_frames)


class AllPictures:
    """The pictures of a split, spoken about or not, for an encoder to look at once.

    Args:
        pictures: (n, H, W, 3) uint8.
        config: how they are shown.
    """

    def __init__(self, pictures: np.ndarray, config: SpokenPicturesConfig) -> None:
        self.pictures, self.config = pictures, config
        self.spec = PictureSpec(config.size, config.size)

    def __len__(self) -> int:
        return len(self.pictures)


class SpokenPictures(TorchDataset):
    """Batches of pairs: augmented pictures, each with an utterance drawn for the step.

    Args:
        pictures: (n, H, W, 3) uint8, all of the split.
        speech: their utterances; items are its pictures, which are those that are spoken about.
        config: how they are shown.
        regions: (views, n, R, D) of all pictures, any float type, where an encoder computed them beforehand; a random
            view is then shown instead of the picture.
    """

    def __init__(
        self, pictures: np.ndarray, speech: Speech, config: SpokenPicturesConfig, regions: Tensor | None = None
    ) -> None:
        self.pictures, self.speech, self.config, self.regions = pictures, speech, config, regions
        self.spec = PictureSpec(config.size, config.size)

    def __getitem__(self, items: StepItems) -> SpokenPictureBatch:
        """The batch of one step; all randomness comes from the step."""
        rng = items.generator()
        places = np.array([self.speech.pictures[i] for i in items.indices])
        spoken = [self.speech.utterances[i] for i in items.indices]
        levels, n_frames = self.speech.batch([rows[rng.integers(len(rows))] for rows in spoken], self.config.max_frames)
        return SpokenPictureBatch(self._shown(places, rng), levels, n_frames)

    def _shown(self, places: np.ndarray, rng: np.random.Generator) -> Tensor:
        if self.regions is not None:
            views = torch.from_numpy(rng.integers(len(self.regions), size=len(places)))
            return self.regions[views, torch.from_numpy(places)].float()
        views = augment(as_batch(self.pictures[places]), self.config.size, self.config.augmentation, rng)
        return normalize(views, self.spec)

    def __len__(self) -> int:
        return len(self.speech)


class DevPairs(TorchDataset):
    """The pairs of a validation in their order, `DEV_BATCH` at a time: each picture with the first of its utterances.

    Args:
        shown: (n, 3, H, W) pictures or (n, R, D) regions of the first n pictures of the split.
        speech: utterances of the split; those about further pictures are left out.
    """

    def __init__(self, shown: Tensor, speech: Speech) -> None:
        self.shown, self.speech = shown, speech
        self.n_pairs = sum(place < len(shown) for place in speech.pictures)

    def __len__(self) -> int:
        return -(-self.n_pairs // DEV_BATCH)

    def __getitem__(self, number: int) -> SpokenPictureBatch:
        """Batch `number`."""
        if number >= len(self):
            raise IndexError(number)
        chosen = range(number * DEV_BATCH, min((number + 1) * DEV_BATCH, self.n_pairs))
        levels, n_frames = self.speech.batch([self.speech.utterances[i][0] for i in chosen])
        shown = self.shown[torch.tensor([self.speech.pictures[i] for i in chosen])]
        return SpokenPictureBatch(shown.float(), levels, n_frames)
