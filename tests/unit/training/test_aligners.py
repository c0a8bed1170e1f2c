"""Several aligners for the voices of one training: each is asked about its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.speech import SpeechBatch, build_speech_vocabulary, collate
from optophone.training.aligners import BySpelling, read_aligner
from optophone.training.parallel_synthesis import ParallelExperiment, aligned
from optophone.training.run import train
from optophone.training.synthesis import read_speech
from tiny_datasets import (
    acoustic_experiment,
    aligner_experiment,
    parallel_experiment,
    write_configuration,
    write_speech,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of Zoe and Ann with a Tacotron 2 that knows them, and of another voice with an aligner of its own."""
    folder = tmp_path_factory.mktemp("aligners")
    write_speech(folder / "two", speakers=("Zoe", "Ann"))
    write_speech(folder / "one")
    for data, build in (("two", acoustic_experiment), ("one", aligner_experiment)):
        mapping = build(folder / data)
        mapping["data"] |= {"speakers": True}
        train(write_configuration(folder / f"{data}.yaml", mapping), out=folder / f"{data}-aligner")
    return folder


@pytest.fixture
def mapping(folder: Path) -> dict[str, Any]:
    mapping = parallel_experiment(folder / "two", folder / "two-aligner")
    mapping["data"] |= {"also": [{"folder": str(folder / "one"), "share": 0.5}], "speakers": True}
    return {**mapping, "further_aligners_from": [str(folder / "one-aligner")]}


def test_each_voice_is_aligned_by_who_knows_it(folder: Path, mapping: dict[str, Any]) -> None:
    speech = read_speech(from_mapping(ParallelExperiment, mapping).data)
    assert list(speech.speakers) == ["Ann", "Zoe", "tiny"]
    both = read_aligner(folder / "two-aligner", speech.vocabulary, speech.speakers, folder / "one-aligner")
    batches = [speech.train.batch([0, 1]), speech.train.batch([12, 13])]
    joined = SpeechBatch(*(torch.cat([a, b]) for a, b in zip(*(_padded(one) for one in batches), strict=True)))
    shuffled = SpeechBatch(*(field[[2, 0, 3, 1]] for field in joined))
    found = both.durations(shuffled)
    two = read_aligner(folder / "two-aligner", speech.vocabulary, ("Ann", "Zoe"))
    one = read_aligner(folder / "one-aligner", speech.vocabulary, ("tiny",))
    expected = two.durations(batches[0]) + one.durations(batches[1]._replace(speakers=torch.tensor([0, 0])))
    for row, place in enumerate([2, 0, 3, 1]):
        assert found[row].tolist() == expected[place].tolist()
    train_part, _ = aligned(from_mapping(ParallelExperiment, mapping), speech)
    for first in (0, 12):
        batch = train_part.batch([first])
        assert batch.durations.sum() == batch.speech.mel_lengths.sum()


def _padded(batch: SpeechBatch, symbols: int = 20, frames: int = 60) -> SpeechBatch:
    """The same with room for longer utterances."""
    assert batch.speakers is not None
    ids = torch.nn.functional.pad(batch.ids, (0, symbols - batch.ids.shape[1]))
    mel = torch.nn.functional.pad(batch.mel, (0, frames - batch.mel.shape[2]))
    return batch._replace(ids=ids, mel=mel)


def test_a_voice_that_nobody_knows_is_named(folder: Path, mapping: dict[str, Any]) -> None:
    mapping.pop("further_aligners_from")
    experiment = from_mapping(ParallelExperiment, mapping)
    with pytest.raises(ConfigurationError, match="'tiny'; name a run that knows it in further_aligners_from"):
        aligned(experiment, read_speech(experiment.data))


def test_a_whole_run(mapping: dict[str, Any], tmp_path: Path) -> None:
    run = train(write_configuration(tmp_path / "tiny.yaml", mapping), out=tmp_path / "run")
    assert (run / "acoustic.safetensors").exists()


class Counting:
    """Gives every symbol as many frames as it is told."""

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames

    def durations(self, batch: SpeechBatch) -> list[np.ndarray]:
        return [np.full(int(n), self.n_frames) for n in batch.id_lengths]


def test_phones_are_aligned_by_who_learned_from_phones() -> None:
    vocabulary = build_speech_vocabulary()
    texts = ["{M AE1 N}.", "a man.", "the {M AE1 N}!"]
    ids = [torch.tensor(vocabulary.encode(text)) for text in texts]
    batch = collate(ids, [torch.zeros(80, 9)] * 3, [0, 1, 0])
    found = BySpelling(Counting(1), Counting(2), vocabulary).durations(batch)
    assert [one.tolist() for one in found] == [[2] * len(ids[0]), [1] * len(ids[1]), [2] * len(ids[2])]


def test_a_run_with_an_aligner_for_phones(mapping: dict[str, Any], folder: Path) -> None:
    experiment = from_mapping(ParallelExperiment, {**mapping, "phones_aligned_from": str(folder / "two-aligner")})
    with pytest.raises(ConfigurationError, match="two-aligner: knows other voices than these data, not 'tiny'"):
        aligned(experiment, read_speech(experiment.data))
    with pytest.raises(ConfigurationError, match="units have lengths"):
        from_mapping(
            ParallelExperiment,
            {
                "kind": "unit-to-mel",
                "name": "tiny",
                "data": {"folder": "speech", "symbols": "units", "units": "units"},
                "model": {"prosody": False},
                "phones_aligned_from": "aligner",
            },
        )
