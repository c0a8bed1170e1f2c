"""Pictures with several spoken captions each, as mels and perhaps units: what direct models learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.data.augmentation import AugmentationConfig, augment
from optophone.data.captioned_pictures import draw_captions
from optophone.data.manifest import Dataset, Row
from optophone.data.pictures import as_batch, normalize, resized
from optophone.data.speech import SpeechBatch, Utterances, build_speech_vocabulary, collate
from optophone.data.steps import StepItems
from optophone.data.unit_speech import UnitPiece, UnitUtterances, rows_with_units
from optophone.data.unit_symbols import UnitSymbols
from optophone.data.written_captions import pictures_of


@dataclass(frozen=True)
class SpokenMelsConfig:
    """Which pictures and spoken captions, and how they are batched.

    Args:
        pictures: folder of a prepared data set with packed pictures.
        speech: folder of a prepared data set of spoken captions, whose rows name their `picture_id`.
        units: the column of units of that speech, with lengths, for models that go by way of units.
        batch_size: pictures of a step.
        captions_per_picture: spoken captions drawn for each of them.
        size: pixels of a side.
        max_seconds: longer utterances are left out.
        max_symbols: utterances of more units, the end counted, are left out; 0 for no limit.
        dev_limit: pictures of the validation; 0 for all.
        augmentation: how random views of a picture differ.
        mel: layout of the frames.
    """

    pictures: str
    speech: str
    units: str | None = None
    batch_size: int = 16
    captions_per_picture: int = 2
    size: int = 160
    max_seconds: float = 6.0
    max_symbols: int = 0
    dev_limit: int = 100
    augmentation: AugmentationConfig = field(default_factory=lambda: AugmentationConfig(0.6, 1.2, 0.5, 0.2))
    mel: MelSpec = field(default_factory=MelSpec)

    def __post_init__(self) -> None:
        """Refuse steps without speech."""
        if self.captions_per_picture < 1:
            raise ConfigurationError("data.captions_per_picture: give 1 or more.")
        if self.max_symbols and self.units is None:
            raise ConfigurationError("data.max_symbols: counts units; give data.units or leave it at 0.")


class SpokenMelBatch(NamedTuple):
    """One step's pictures and what is said about them.

    Fields: pictures (B, 3, H, W) normalised, or regions (B, R, D) that were computed beforehand; speech of B·C
    utterances, those of a picture adjacent, its ids their units (none where there are no units); durations, whole
    mel frames (S,) of the units of each; None where there are no units.
    """

    pictures: Tensor
    speech: SpeechBatch
    durations: tuple[np.ndarray, ...] | None


class SpokenMels(TorchDataset):
    """Batches of pictures, each with spoken captions drawn for the step.

    Args:
        dataset: of pictures.
        speech: of spoken captions.
        split: of both.
        config: which of them, and how.
        units: of the speech; needed where the model goes by way of units.

    Raises:
        DataError: no utterance belongs to any of the pictures, or the units are of other speech or lack lengths.
    """

    def __init__(
        self, dataset: Dataset, speech: Dataset, split: str, config: SpokenMelsConfig, units: UnitSymbols | None = None
    ) -> None:
        self.config, self.spec = config, PictureSpec(config.size, config.size)
        spoken = [
            row
            for row in speech.rows(split)
            if "picture_id" in row and 0 < row.get("duration_s", 0) <= config.max_seconds
        ]
        if units is not None and spoken:
            spoken = rows_with_units(spoken, units, split)
        self.utterances = Utterances(speech, spoken, build_speech_vocabulary(), config.mel)
        self.units: UnitUtterances | None = None
        if units is not None:
            self.units = UnitUtterances(self.utterances, units, split)
            self.units.check_lengths()
        self.rows, self.about = self._pair(dataset, split)
        self.pictures = pictures_of(dataset, split, self.rows)
        self.regions: Tensor | None = None

    def _pair(self, dataset: Dataset, split: str) -> tuple[list[Row], list[list[int]]]:
        """The rows of pictures that are spoken about, and the numbers of the utterances about each."""
        about: dict[str, list[int]] = {}
        for number, row in enumerate(self.utterances.rows):
            if self._fits(number):
                about.setdefault(row["picture_id"], []).append(number)
        rows = [row for row in dataset.rows(split) if row["id"] in about]
        if not rows:
            raise DataError(
                f"{self.utterances.dataset.folder}: no utterance of {split} under {self.config.max_seconds} s is about "
                f"one of the pictures of {dataset.folder}."
            )
        return rows, [about[row["id"]] for row in rows]

    def _fits(self, number: int) -> bool:
        limit = self.config.max_symbols
        return not limit or self.units is None or self.units.n_symbols(number) + 1 <= limit

    def __len__(self) -> int:
        """Pictures."""
        return len(self.rows)

    def __getitem__(self, items: StepItems) -> SpokenMelBatch:
        """The batch of one step; all randomness comes from the step."""
        rng = items.generator()
        places = np.asarray(items.indices)
        shown = self._shown(places, rng)
        wanted = self.config.captions_per_picture
        return self.batch(
            shown, [number for i in items.indices for number in draw_captions(self.about[i], wanted, rng)]
        )

    def batch(self, shown: Tensor, numbers: Sequence[int]) -> SpokenMelBatch:
        """Pictures, or their regions, with utterances `numbers`."""
        if self.units is not None:
            pieces = [self.units.piece(number) for number in numbers]
            return SpokenMelBatch(shown, self._collate(pieces), tuple(piece.durations for piece in pieces))
        none = np.empty(0, np.int64)
        return SpokenMelBatch(
            shown, self._collate([UnitPiece(none, none, self.utterances.mel(number)) for number in numbers]), None
        )

    def _collate(self, pieces: Sequence[UnitPiece]) -> SpeechBatch:
        ids, mels = [torch.from_numpy(piece.ids) for piece in pieces], [piece.mel for piece in pieces]
        return collate(ids, [torch.from_numpy(mel).float() for mel in mels])

    def _shown(self, places: np.ndarray, rng: np.random.Generator) -> Tensor:
        if self.regions is not None:
            views = torch.from_numpy(rng.integers(len(self.regions), size=len(places)))
            return self.regions[views, torch.from_numpy(places)].float()
        views = augment(as_batch(self.pictures[places]), self.config.size, self.config.augmentation, rng)
        return normalize(views, self.spec)


class DevSpokenMels(TorchDataset):
    """The first pictures of a split in their order, some at a time, each with the first utterance about it.

    Args:
        source: of the split.
        batch_size: pictures at a time.
    """

    def __init__(self, source: SpokenMels, batch_size: int = 25) -> None:
        self.source, self.batch_size = source, batch_size
        self.n_pictures = min(source.config.dev_limit or len(source), len(source))

    def __len__(self) -> int:
        return -(-self.n_pictures // self.batch_size)

    def __getitem__(self, number: int) -> SpokenMelBatch:
        """Batch `number`."""
        if number >= len(self):
            raise IndexError(number)
        source = self.source
        chosen = range(number * self.batch_size, min((number + 1) * self.batch_size, self.n_pictures))
        shown = normalize(as_batch(resized(source.pictures[chosen.start : chosen.stop], source.spec)), source.spec)
        return source.batch(shown, [source.about[i][0] for i in chosen])
