"""Utterances over units: the units of a piece, its mel, and how long each of them lasts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.units import collapse, expand
from optophone.data.chunk_curriculum import ChunkCurriculum
from optophone.data.manifest import Dataset
from optophone.data.speech import FurtherSpeech, JoinedUtterances, SpeechConfig, Utterances, spoken_rows
from optophone.data.steps import StepItems
from optophone.data.unit_column import RunLength
from optophone.data.unit_speech import UnitUtterances, rows_with_units
from optophone.data.unit_symbols import read_unit_symbols
from tiny_datasets import MEL, write_captioned_pictures, write_speech, write_spoken_captions
from tiny_textless import UNIT_S, frames_of, write_unit_column

CONFIG = SpeechConfig("speech", symbols="units", units="units", mel=MEL)
RATE = UNIT_S * MEL.sample_rate / MEL.hop_length  # 2.5 frames of the mel a unit


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    return write_spoken_captions(folder / "speech", write_captioned_pictures(folder / "pictures", 16))


def build(
    speech: Dataset,
    column: Path,
    curriculum: ChunkCurriculum | None = None,
    runs: str = "collapsed",
    written: RunLength = "lossless",
) -> UnitUtterances:
    write_unit_column(column, speech, written)
    units = read_unit_symbols(column, runs)  # type: ignore[arg-type]
    rows = rows_with_units(spoken_rows(speech, "train", CONFIG), units, "train")
    return UnitUtterances(Utterances(speech, rows, units.vocabulary, MEL), units, "train", curriculum)


@pytest.mark.parametrize("runs", ["collapsed", "off"])
def test_a_whole_utterance_loses_nothing(runs: str, speech: Dataset, tmp_path: Path) -> None:
    utterances = build(speech, tmp_path, runs=runs)
    for index in (0, 9, 17):
        frames = frames_of(utterances.rows[index], utterances.units.vocabulary)
        piece = utterances.piece(index)
        np.testing.assert_array_equal(piece.ids, collapse(frames).units if runs == "collapsed" else frames)
        assert piece.durations.sum() == piece.mel.shape[1] == utterances.speech.mel(index).shape[1]
        expected = RATE * (collapse(frames).lengths if runs == "collapsed" else np.ones(len(frames)))
        assert (abs(piece.durations - expected)[:-1] <= 1).all(), "the ends of units are rounded"
        assert 0 <= piece.durations[-1] - expected[-1] <= RATE + 2, "what is left at the end is the last one's"


def test_the_units_of_a_mel_are_where_they_sound(speech: Dataset, tmp_path: Path) -> None:
    utterances = build(speech, tmp_path)
    frames = frames_of(utterances.rows[3], utterances.units.vocabulary)
    piece = utterances.piece(3, 4, 11)
    whole = utterances.speech.mel(3)
    np.testing.assert_array_equal(piece.ids, collapse(frames[4:11]).units)
    np.testing.assert_array_equal(piece.mel, whole[:, 10:28])  # round(4 · 2.5) to round(11 · 2.5)
    assert piece.durations.sum() == 18
    centre = (np.arange(18) + 10 + 0.5) * MEL.hop_length / MEL.sample_rate
    there = frames[(centre / UNIT_S).astype(int)]
    assert (expand(piece.ids, piece.durations) == there).mean() > 0.8


def test_pieces_are_random_grow_and_belong_to_the_step(speech: Dataset, tmp_path: Path) -> None:
    curriculum = ChunkCurriculum(first=3, per_1000_steps=2000)
    utterances = build(speech, tmp_path, curriculum)
    early = [utterances.pieces(StepItems(0, 0, [5] * 20))]
    assert {round(piece.mel.shape[1] / RATE) for piece in early[0]} <= {3, 4}, "the end of an utterance has some more"
    assert len({piece.mel.tobytes() for piece in early[0]}) > 3, "cut at different places"
    grown = utterances.pieces(StepItems(0, 2, [5]))[0]
    assert round(grown.mel.shape[1] / RATE) in (7, 8)
    late = utterances.pieces(StepItems(0, 500, [5]))[0]
    np.testing.assert_array_equal(late.mel, utterances.piece(5).mel)
    one, other = (utterances[StepItems(0, 1, [2, 8])] for _ in range(2))
    assert all(a is b is None or (a == b).all() for a, b in zip(one, other, strict=True))
    assert 12 <= one.mel.shape[2] <= 14
    whole = utterances.batch([2, 8])
    assert whole.mel_lengths.tolist() == [utterances.speech.mel(index).shape[1] for index in (2, 8)]


def test_a_column_without_lengths_teaches_whole_utterances(speech: Dataset, tmp_path: Path) -> None:
    utterances = build(speech, tmp_path / "plain", written="collapsed")
    batch = utterances[StepItems(0, 0, [1, 4])]
    lossless = build(speech, tmp_path / "lossless").batch([1, 4])
    assert all(a is b is None or (a == b).all() for a, b in zip(batch, lossless, strict=True))
    with pytest.raises(DataError, match="without lengths"):
        utterances.piece(0)
    with pytest.raises(DataError, match="without lengths"):
        build(speech, tmp_path / "plain again", ChunkCurriculum(), written="collapsed")


def test_units_of_other_speech_are_refused(speech: Dataset, tmp_path: Path) -> None:
    other = write_speech(tmp_path / "other")
    write_unit_column(tmp_path / "units", speech)
    units = read_unit_symbols(tmp_path / "units")
    with pytest.raises(DataError, match="units of other speech"):
        UnitUtterances(Utterances(other, other.rows("train"), units.vocabulary, MEL), units, "train")
    with pytest.raises(DataError, match="units of no utterance"):
        rows_with_units([{"id": "nobody"}], units, "train")


def test_data_sets_keep_their_steps_when_they_are_joined(speech: Dataset, tmp_path: Path) -> None:
    one = build(speech, tmp_path / "one", ChunkCurriculum(3, 0))
    joined = JoinedUtterances([build(speech, tmp_path / "two"), one])
    expected = one[StepItems(4, 7, [1, 2])]
    found = joined[StepItems(4, 7, [25, 26])]
    assert all(a is b is None or (a == b).all() for a, b in zip(expected, found, strict=True))


def test_text_is_not_needed_for_units(speech: Dataset) -> None:
    assert len(spoken_rows(speech, "train", CONFIG)) == 24
    with pytest.raises(DataError, match="has text"):
        spoken_rows(speech, "train", SpeechConfig("speech", mel=MEL))


@pytest.mark.parametrize(
    "changes",
    [
        {"units": None},
        {"symbols": "characters"},
        {"also": (FurtherSpeech("more", 0.5),)},
        {"symbols": "characters", "units": None, "chunk_curriculum": ChunkCurriculum()},
    ],
)
def test_contradictions_are_refused(changes: dict) -> None:
    with pytest.raises(ConfigurationError, match="data"):
        replace(CONFIG, **changes)
    assert replace(CONFIG, also=(FurtherSpeech("more", 0.5, "more units"),)).unit_folders == ("units", "more units")


def test_pieces_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="first is at least 1"):
        ChunkCurriculum(first=0)
