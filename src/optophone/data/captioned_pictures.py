"""Pictures with several captions each, as batches for training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.picture import PictureSpec
from optophone.core.text import clean_text
from optophone.core.unit_origin import UnitRuns
from optophone.core.vocabulary import Vocabulary, build_phones, build_words, tacotron2_characters
from optophone.data.augmentation import Among, AugmentationConfig, augment
from optophone.data.manifest import Row
from optophone.data.pictures import as_batch, normalize, resized
from optophone.data.sharded_pictures import Pictures
from optophone.data.steps import StepItems
from optophone.data.unit_symbols import read_unit_symbols

Caption = TypeVar("Caption")

# On Flickr8k 4.6 characters and 3.8 phones, with the spaces and boundaries. 22 words, 110 characters or 88 phones cut
# one caption of a hundred. Units are counted as they are: how many make a word depends on their kind.
SYMBOLS_PER_WORD = {"words": 1, "characters": 5, "phones": 4, "units": 1}


@dataclass(frozen=True)
class CaptionedPicturesConfig:
    """Which pictures and captions, and how they are shown.

    Args:
        folder: a prepared caption data set.
        regions: prepared region features that are read instead of the pictures, found by the pictures' ids.
        symbols: what a caption is written in. Phones are espeak-ng's, see `optophone.data.phones`.
        units: the column of units of spoken captions, which are then the captions; for units alone.
        run_length: whether a lasting unit is written once ("collapsed") or for every frame ("off").
        min_count: words that occur less often become the unknown symbol.
        max_symbols: longer captions are cut (without an end). It is counted in words whatever the symbols, so that
            another kind of them takes no other change: a word is five characters, or four phones. Units are counted one
            by one.
        batch_size: pictures a step.
        captions_per_picture: captions drawn for each of them.
        pairs_share: share of the training pictures whose captions belong to them. The others count as pictures alone
            and captions alone, which nothing but `unpaired` of the experiment reads.
        pairs_seed: another number chooses others; a share is part of every larger one with the same seed.
        pairs_shuffled: a control: the pictures of the pairs get the captions of one another.
        sizes: (first step, pixels) pairs, rising.
        size: pixels in validation and after the export.
        dev_limit: pictures of the validation during training; 0 for all.
        shards_at_once: of a data set over shards, how many are mixed: more mix better, fewer are read more in one go.
    """

    folder: str
    regions: str | None = None
    symbols: Literal["words", "characters", "phones", "units"] = "words"
    units: str | None = None
    run_length: UnitRuns = "collapsed"
    min_count: int = 5
    max_symbols: int = 24
    batch_size: int = 20
    captions_per_picture: int = 5
    pairs_share: float = 1.0
    pairs_seed: int = 0
    pairs_shuffled: bool = False
    sizes: tuple[tuple[int, int], ...] = ((0, 192),)
    size: int = 192
    dev_limit: int = 0
    augmentation: AugmentationConfig = field(default_factory=lambda: AugmentationConfig(0.6, 1.2, 0.5, 0.2))
    shards_at_once: int = 8

    def __post_init__(self) -> None:
        """Refuse units without a column of them, such a column for other symbols, and shares that are none."""
        if (self.symbols == "units") != (self.units is not None):
            raise ConfigurationError("data.symbols: units and data.units, a column of them, need each other.")
        if not 0 < self.pairs_share <= 1:
            raise ConfigurationError(f"data.pairs_share is {self.pairs_share}; give more than 0, at most 1.")
        if self.shards_at_once < 1:
            raise ConfigurationError(f"data.shards_at_once is {self.shards_at_once}; give 1 or more.")

    @property
    def symbols_per_word(self) -> int:
        """How many symbols the captions have for each word, the space counted."""
        return SYMBOLS_PER_WORD[self.symbols]

    @property
    def largest(self) -> int:
        """Pixels of a side that pictures are needed at: the most that training or validation shows."""
        return max(self.size, *(size for _, size in self.sizes))

    @property
    def longest(self) -> int:
        """`max_symbols` in symbols: where captions are cut."""
        return self.max_symbols * self.symbols_per_word


class CaptionBatch(NamedTuple):
    """One step's pictures and captions.

    Args:
        pictures: (B, 3, H, W) normalised, or regions (B, R, D) where they were computed beforehand.
        inputs: (B·C, S) symbols from start on, right-padded; the captions of a picture are adjacent.
        targets: (B·C, S) the symbols that follow, end included.
        indices: (B,) rows of the data set.
        regions_mask: (B, R) true where there is a region; None for pictures, and for regions that are all there.
    """

    pictures: Tensor
    inputs: Tensor
    targets: Tensor
    indices: Tensor
    regions_mask: Tensor | None = None


def build_vocabulary(rows: Sequence[Row], config: CaptionedPicturesConfig) -> Vocabulary:
    """The vocabulary of the captions in `rows` (the training split, as `written_rows` gives it).

    That of units is the column's, which an acoustic model over the same column has too.
    """
    if config.units is not None:
        return read_unit_symbols(config.units, config.run_length).vocabulary
    if config.symbols == "phones":
        return build_phones(caption for row in rows for caption in row.get("captions", ()))
    if config.symbols == "words":
        return build_words((caption for row in rows for caption in row.get("captions", ())), config.min_count)
    letters = tacotron2_characters().symbols[1:]
    return Vocabulary("characters", ("<pad>", "<start>", "<end>", *letters), 0, 1, 2)


def encode_captions(rows: Sequence[Row], vocabulary: Vocabulary) -> list[list[list[int]]]:
    """Symbols of every caption of every row, end included.

    Raises:
        DataError: a row without a caption.
    """
    assert vocabulary.end is not None
    encoded = []
    for row in rows:
        texts = row.get("captions", [])
        if vocabulary.kind == "characters":
            texts = [clean_text(text) for text in texts]
        captions = [ids for ids in (vocabulary.encode(text) for text in texts) if ids]
        if not captions:
            raise DataError(f"{row['id']}: no caption; every picture of the training split needs one.")
        encoded.append([[*ids, vocabulary.end] for ids in captions])
    return encoded


def pad_captions(captions: Sequence[Sequence[int]], vocabulary: Vocabulary, max_symbols: int) -> tuple[Tensor, Tensor]:
    """Inputs (N, S) and targets (N, S) of `captions`, which end with the end symbol, cut after `max_symbols`."""
    cut = [caption[:max_symbols] for caption in captions]
    longest = max(map(len, cut))
    assert vocabulary.start is not None
    targets = torch.full((len(cut), longest), vocabulary.pad)
    inputs = torch.full((len(cut), longest), vocabulary.pad)
    for i, caption in enumerate(cut):
        targets[i, : len(caption)] = torch.tensor(caption)
        inputs[i, 0] = vocabulary.start
        inputs[i, 1 : len(caption)] = torch.tensor(caption[:-1])
    return inputs, targets


def check_vocabulary(vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary whose padding would hide an end."""
    if vocabulary.pad in (vocabulary.start, vocabulary.end):
        raise ConfigurationError("Training by cross-entropy needs a padding symbol apart from start and end.")


def draw_captions(captions: Sequence[Caption], wanted: int, rng: np.random.Generator) -> list[Caption]:
    """`wanted` captions of a picture: without repetition as long as there are enough."""
    order = np.concatenate([rng.permutation(len(captions)) for _ in range(-(-wanted // len(captions)))])
    return [captions[i] for i in order[:wanted]]


def captions_of_step(
    items: StepItems, captions: Sequence[Sequence[Caption]], wanted: int, rng: np.random.Generator
) -> list[Caption]:
    """`wanted` captions of each picture that is read, drawn for all pictures of the step."""
    drawn = [draw_captions(captions[i], wanted, rng) for i in items.indices]
    return [caption for several in drawn[items.mine] for caption in several]


class CaptionedPictures(Dataset):
    """Batches of augmented pictures, each with captions drawn for the step."""

    def __init__(
        self,
        pictures: Pictures,
        captions: list[list[list[int]]],
        vocabulary: Vocabulary,
        config: CaptionedPicturesConfig,
    ) -> None:
        check_vocabulary(vocabulary)
        self.pictures, self.captions = pictures, captions
        self.vocabulary, self.config = vocabulary, config
        self.spec = PictureSpec(config.size, config.size)

    def __getitem__(self, items: StepItems) -> CaptionBatch:
        """The batch of one step; all randomness comes from the step."""
        rng = items.generator()
        views, _ = self.shown(items.indices, items.step, rng, items.mine)
        chosen = captions_of_step(items, self.captions, self.config.captions_per_picture, rng)
        inputs, targets = pad_captions(chosen, self.vocabulary, self.config.longest)
        return CaptionBatch(views, inputs, targets, torch.tensor(items.indices[items.mine]))

    def __len__(self) -> int:
        return len(self.captions)

    def shown(
        self, indices: Sequence[int], step: int, rng: np.random.Generator, places: slice = slice(None)
    ) -> tuple[Tensor, None]:
        """Pictures (B, 3, H, W) as training sees them at `step`, those at `places` of `indices`, and no mask."""
        size = max((first, size) for first, size in self.config.sizes if first <= step)[1]
        pictures = as_batch(self.pictures[np.asarray(indices[places])])
        views = augment(pictures, size, self.config.augmentation, rng, Among(len(indices), places))
        return normalize(views, self.spec), None

    def unchanged(self, indices: Sequence[int]) -> tuple[Tensor, None]:
        """Pictures (B, 3, H, W) as validation sees them, and no mask."""
        return normalize(as_batch(resized(self.pictures[np.asarray(indices)], self.spec)), self.spec), None


class KnownRegions(Dataset):
    """Like `CaptionedPictures`, with regions that a frozen encoder computed once for each of several views.

    Args:
        regions: (views, n, R, D), any float type.
    """

    def __init__(self, regions: Tensor, source: CaptionedPictures) -> None:
        self.regions, self.source = regions, source

    def __getitem__(self, items: StepItems) -> CaptionBatch:
        """The batch of one step; each picture in one of its views."""
        rng = items.generator()
        regions, _ = self.shown(items.indices, items.step, rng, items.mine)
        captions, config = self.source.captions, self.source.config
        chosen = captions_of_step(items, captions, config.captions_per_picture, rng)
        inputs, targets = pad_captions(chosen, self.source.vocabulary, config.longest)
        return CaptionBatch(regions, inputs, targets, torch.tensor(items.indices[items.mine]))

    def __len__(self) -> int:
        return len(self.source)

    def shown(
        self, indices: Sequence[int], step: int, rng: np.random.Generator, places: slice = slice(None)
    ) -> tuple[Tensor, None]:
        """Regions (B, R, D) of the pictures at `places` of `indices`, each in one of its views, and no mask."""
        views = torch.from_numpy(rng.integers(len(self.regions), size=len(indices))[places])
        return self.regions[views, torch.tensor(indices[places])].float(), None

    def unchanged(self, indices: Sequence[int]) -> tuple[Tensor, None]:
        """Regions (B, R, D) of the pictures as they are, and no mask."""
        return self.regions[0, torch.tensor(indices)].float(), None
