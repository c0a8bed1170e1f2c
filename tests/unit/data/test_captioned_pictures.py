"""Batches of pictures and captions: who stands beside whom, padding, cutting, drawing."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.picture import PictureSpec
from optophone.core.vocabulary import Vocabulary
from optophone.data.augmentation import AugmentationConfig
from optophone.data.captioned_pictures import (
    CaptionBatch,
    CaptionedPictures,
    CaptionedPicturesConfig,
    KnownRegions,
    build_vocabulary,
    encode_captions,
    pad_captions,
)
from optophone.data.pictures import as_batch, normalize
from optophone.data.steps import Portion, StepItems
from tiny_datasets import PHRASES, write_captioned_pictures

PAD, START, END, UNKNOWN = 0, 1, 2, 3
STILL = AugmentationConfig(1.0, 1.0, 0.0, 0.0)
CONFIG = CaptionedPicturesConfig(
    "", min_count=1, max_symbols=8, batch_size=4, sizes=((0, 32),), size=32, augmentation=STILL
)
WORDS = Vocabulary("words", ("<pad>", "<start>", "<end>", "<unknown>", "a", "dog", "runs"), PAD, START, END, UNKNOWN)


@pytest.fixture
def source(tmp_path: Path) -> CaptionedPictures:
    return build(tmp_path, CONFIG)


def build(folder: Path, config: CaptionedPicturesConfig) -> CaptionedPictures:
    dataset = write_captioned_pictures(folder)
    rows = dataset.rows("train")
    vocabulary = build_vocabulary(rows, config)
    return CaptionedPictures(dataset.array("train", "pictures"), encode_captions(rows, vocabulary), vocabulary, config)


def assert_equal_batches(one: CaptionBatch, other: CaptionBatch) -> None:
    for first, second in zip(one, other, strict=True):
        assert (first is second is None) or torch.equal(first, second)


def captions_of(batch: CaptionBatch) -> list[list[tuple[int, ...]]]:
    """The targets without padding, picture by picture."""
    per_picture = batch.targets.view(len(batch.indices), -1, batch.targets.shape[1])
    return [[tuple(row[row != PAD].tolist()) for row in rows] for rows in per_picture]


def test_captions_are_padded_on_the_right() -> None:
    inputs, targets = pad_captions([[4, 5, 6, END], [5, END]], WORDS, max_symbols=9)
    assert inputs.tolist() == [[START, 4, 5, 6], [START, 5, PAD, PAD]]
    assert targets.tolist() == [[4, 5, 6, END], [5, END, PAD, PAD]]


def test_long_captions_are_cut_without_an_end() -> None:
    inputs, targets = pad_captions([[4, 5, 6, 4, END], [5, END]], WORDS, max_symbols=3)
    assert inputs.tolist() == [[START, 4, 5], [START, 5, PAD]]
    assert targets.tolist() == [[4, 5, 6], [5, END, PAD]]


def test_a_caption_that_just_fits_keeps_its_end() -> None:
    assert pad_captions([[4, 5, END]], WORDS, max_symbols=3)[1].tolist() == [[4, 5, END]]


def test_words_seen_too_rarely_are_unknown() -> None:
    rows = [{"id": "x", "captions": ["a dog", "a dog runs", "A dog!"]}]
    vocabulary = build_vocabulary(rows, replace(CONFIG, min_count=2))
    assert vocabulary.symbols == ("<pad>", "<start>", "<end>", "<unknown>", "a", "dog")
    assert encode_captions(rows, vocabulary) == [[[4, 5, END], [4, 5, UNKNOWN, END], [4, 5, END]]]


def test_characters_come_cleaned() -> None:
    rows = [{"id": "x", "captions": ["Two dogs!", "2 DOGS!"]}]
    vocabulary = build_vocabulary(rows, replace(CONFIG, symbols="characters"))
    first, second = encode_captions(rows, vocabulary)[0]
    assert first == second
    assert vocabulary.decode(first) == "two dogs!"
    assert first[-1] == vocabulary.end
    assert {vocabulary.pad, vocabulary.start} & set(first) == set()


def test_empty_captions_are_passed_over() -> None:
    assert encode_captions([{"id": "x", "captions": ["", "a dog", " . "]}], WORDS) == [[[4, 5, END]]]


@pytest.mark.parametrize("row", [{"id": "bare", "captions": [" "]}, {"id": "bare"}])
def test_a_picture_without_captions_is_named(row: dict) -> None:
    with pytest.raises(DataError, match="bare: no caption"):
        encode_captions([row], WORDS)


def test_shapes(source: CaptionedPictures) -> None:
    assert len(source) == 12
    batch = source[StepItems(0, 0, [3, 1, 7, 11])]
    assert batch.pictures.shape == (4, 3, 32, 32)
    assert batch.indices.tolist() == [3, 1, 7, 11]
    assert batch.inputs.shape == batch.targets.shape == (20, batch.inputs.shape[1])
    assert (batch.inputs[:, 0] == START).all()
    assert torch.equal(
        batch.inputs[:, 1:][batch.targets[:, 1:] != PAD], batch.targets[:, :-1][batch.targets[:, 1:] != PAD]
    )


def test_five_captions_are_drawn_without_repetition(source: CaptionedPictures) -> None:
    batch = source[StepItems(0, 0, [3, 1, 7, 11])]
    for index, captions in zip(batch.indices, captions_of(batch), strict=True):
        assert sorted(captions) == sorted(map(tuple, source.captions[index]))


@pytest.mark.parametrize("n", [2, 5, 8])
def test_captions_repeat_only_when_there_are_too_few(tmp_path: Path, n: int) -> None:
    source = build(tmp_path, replace(CONFIG, captions_per_picture=n))
    for captions in captions_of(source[StepItems(0, 0, [0, 1, 2, 3])]):
        assert len(captions) == n
        assert len(set(captions)) == min(n, len(PHRASES))


def test_pictures_stay_beside_their_captions(source: CaptionedPictures) -> None:
    """The captions name the picture's colour."""
    batch = source[StepItems(0, 0, [5, 3, 4, 0])]
    brightest = batch.pictures.mean((2, 3)).argmax(1).tolist()
    for channel, captions in zip(brightest, captions_of(batch), strict=True):
        colour = ("red", "green", "blue")[channel]
        assert all(colour in source.vocabulary.decode(caption).split() for caption in captions)


def test_a_step_is_always_the_same(tmp_path: Path) -> None:
    source = build(tmp_path, replace(CONFIG, augmentation=AugmentationConfig()))
    items = StepItems(4, 9, [3, 1, 7, 11])
    assert_equal_batches(source[items], source[items])
    for other in (StepItems(4, 10, items.indices), StepItems(5, 9, items.indices)):
        assert not torch.equal(source[items].pictures, source[other].pictures)
        assert captions_of(source[items]) != captions_of(source[other])


def test_pictures_grow_when_it_is_their_time(tmp_path: Path) -> None:
    source = build(tmp_path, replace(CONFIG, sizes=((0, 16), (10, 24), (20, 32))))
    for step, size in ((0, 16), (9, 16), (10, 24), (19, 24), (20, 32), (999, 32)):
        assert source[StepItems(0, step, [0, 1])].pictures.shape == (2, 3, size, size)


def test_pictures_are_normalised(source: CaptionedPictures) -> None:
    expected = normalize(as_batch(source.pictures[[2]]), PictureSpec(32, 32))
    torch.testing.assert_close(source[StepItems(0, 0, [2])].pictures, expected, atol=1e-3, rtol=0)


def test_a_memory_mapped_array_warns_of_nothing(source: CaptionedPictures) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source[StepItems(0, 0, [2, 0])]


@pytest.mark.parametrize("special", [{"start": 0}, {"end": 0}])
def test_padding_that_is_a_symbol_is_refused(special: dict) -> None:
    with pytest.raises(ConfigurationError, match="padding"):
        CaptionedPictures(np.zeros((0, 8, 8, 3), np.uint8), [], replace(WORDS, **special), CONFIG)


def test_known_regions_belong_to_their_pictures(source: CaptionedPictures) -> None:
    regions = (torch.arange(2)[:, None] * 100 + torch.arange(12)).bfloat16()[:, :, None, None].expand(2, 12, 4, 5)
    known = KnownRegions(regions, source)
    assert len(known) == 12
    views = set()
    for step in range(20):
        items = StepItems(0, step, [8, 2, 5])
        batch = known[items]
        assert_equal_batches(batch, known[items])
        assert batch.pictures.shape == (3, 4, 5)
        assert batch.pictures.dtype == torch.float32
        assert [int(value) % 100 for value in batch.pictures[:, 0, 0]] == batch.indices.tolist() == [8, 2, 5]
        views |= {int(value) // 100 for value in batch.pictures[:, 0, 0]}
        for index, captions in zip(batch.indices, captions_of(batch), strict=True):
            assert sorted(captions) == sorted(map(tuple, source.captions[index]))
    assert views == {0, 1}


def test_phones_are_those_of_the_rows() -> None:
    rows = [{"id": "0", "captions": ["ɐ | d ˈɔː ɡ", "ɡ"]}]
    vocabulary = build_vocabulary(rows, CaptionedPicturesConfig("", symbols="phones"))
    assert vocabulary.kind == "phones"
    assert [vocabulary.decode(caption) for caption in encode_captions(rows, vocabulary)[0]] == rows[0]["captions"]


@pytest.mark.parametrize(("symbols", "longest"), [("words", 3), ("characters", 15), ("phones", 12)])
def test_the_cut_is_counted_in_words(symbols: str, longest: int) -> None:
    text = "ɐ " * 40 if symbols == "phones" else "a dog and a cat and a cow and a horse and a hen"
    config = CaptionedPicturesConfig(
        "",
        symbols=symbols,
        min_count=1,
        max_symbols=3,
        captions_per_picture=1,
        sizes=((0, 16),),
        size=16,  # type: ignore[arg-type]
    )
    rows = [{"id": "0", "captions": [text]}]
    vocabulary = build_vocabulary(rows, config)
    pictures = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    batch = CaptionedPictures(pictures, encode_captions(rows, vocabulary), vocabulary, config)[StepItems(0, 0, [0])]
    assert batch.targets.shape == (1, longest)
    assert vocabulary.end not in batch.targets


@pytest.mark.parametrize("known", [False, True])
def test_portions_of_a_step_are_the_step(tmp_path: Path, known: bool) -> None:
    lively = build(tmp_path, replace(CONFIG, augmentation=AugmentationConfig(0.4, 1.3, 0.5, 0.3)))
    regions = torch.arange(3 * 12 * 2 * 4).float().view(3, 12, 2, 4)
    source = KnownRegions(regions, lively) if known else lively
    indices = [7, 2, 9, 4, 0]
    whole = source[StepItems(3, 5, indices)]
    parts = [source[StepItems(3, 5, indices, Portion(number, 2))] for number in range(2)]
    assert [len(part.pictures) for part in parts] == [2, 3]
    torch.testing.assert_close(torch.cat([part.pictures for part in parts]), whole.pictures)
    assert torch.cat([part.indices for part in parts]).tolist() == indices
    found = [[id for id in row.tolist() if id != PAD] for part in parts for row in part.targets]
    assert found == [[id for id in row.tolist() if id != PAD] for row in whole.targets]
