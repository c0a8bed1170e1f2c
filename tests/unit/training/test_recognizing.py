"""Training of recognisers: measures, what is shown, and resumption."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.core.vocabulary import Vocabulary, build_letters
from optophone.data.heard_speech import HeardBatch
from optophone.models.recognizers.ctc import Heard
from optophone.training.recognizing import (
    WEIGHTS,
    RecognizingExperiment,
    RecognizingObjective,
    read_heard_speech,
)
from optophone.training.run import train
from tiny_datasets import recognizer_experiment, write_configuration, write_speech

LETTERS = build_letters()


class Parrot:
    """Hears what it was told to, whatever is said."""

    def __init__(self, *texts: str) -> None:
        rows = [LETTERS.encode(text) for text in texts]
        self.log_probs = torch.full((len(rows), len(LETTERS), 2 * max(map(len, rows))), -9.0)
        self.log_probs[:, 0] = 0.0
        for row, ids in enumerate(rows):
            for place, letter in enumerate(ids):
                self.log_probs[row, [0, letter], 2 * place] = torch.tensor([-9.0, 0.0])

    def __call__(self, mel: torch.Tensor, mel_lengths: torch.Tensor) -> Heard:
        return Heard(self.log_probs.log_softmax(1), torch.full((len(mel),), self.log_probs.shape[2]))


def said(corpus: int, *texts: str) -> HeardBatch:
    ids = [torch.tensor(LETTERS.encode(text)) for text in texts]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    lengths = torch.tensor([len(row) for row in ids])
    return HeardBatch(torch.zeros(len(ids), 16, 40), torch.full((len(ids),), 40), padded, lengths, corpus)


class Writer:
    """What a run shows, instead of TensorBoard."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}

    def add_text(self, name: str, text: str, step: int) -> None:
        self.shown[name] = text


def test_errors_are_counted_for_every_data_set() -> None:
    objective = RecognizingObjective(LETTERS, ("people", "machines"))
    objective.validate(Parrot("a dog runs", "two cats"), said(0, "a dog runs", "two bats"))
    objective.validate(Parrot("hello"), said(1, "hello you there"))
    found = objective.measures()
    assert found["word_error_rate"] == pytest.approx(3 / 8)
    assert found["word_error_rate_people"] == pytest.approx(1 / 5)
    assert found["word_error_rate_machines"] == pytest.approx(2 / 3)
    assert found["character_error_rate"] == pytest.approx((1 + 10) / (10 + 8 + 15))
    assert found["loss"] > 0
    writer = Writer()
    objective.show(None, writer, 1)
    assert "said: hello you there" in writer.shown["dev/heard"]
    objective.validate(Parrot("hello"), said(1, "hello"))
    assert objective.measures()["word_error_rate"] == 0


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    for name in ("people", "machines"):
        write_speech(tmp_path / name)
    mapping = recognizer_experiment(tmp_path / "people", tmp_path / "machines")
    return write_configuration(tmp_path / "x.yaml", mapping)


def test_a_run_leaves_its_weights_and_letters(
    configuration: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    run = train(configuration, out=tmp_path / "run")
    assert Vocabulary.load(run / "vocabulary.json") == LETTERS
    assert "word_error_rate_machines" in capfd.readouterr().out
    again = train(configuration, [("weights", str(run / WEIGHTS)), ("trainer.max_steps", "1")], tmp_path / "again")
    assert load_file(again / WEIGHTS).keys() == load_file(run / WEIGHTS).keys()


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(configuration: Path, tmp_path: Path) -> None:
    steady = ("optimizer.schedule", "constant")
    whole = train(configuration, [steady], tmp_path / "whole")
    train(configuration, [steady, ("trainer.max_steps", "2")], tmp_path / "stopped")
    resumed = train(configuration, [steady], tmp_path / "stopped")
    first, second = load_file(whole / WEIGHTS), load_file(resumed / WEIGHTS)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_only_what_is_learned_from_is_changed(tmp_path: Path) -> None:
    data = write_speech(tmp_path / "data")
    experiment = from_mapping(RecognizingExperiment, recognizer_experiment(data.folder))
    assert read_heard_speech(experiment, "train").augmentation == experiment.augmentation
    assert read_heard_speech(experiment, "dev").augmentation is None
    assert experiment.sizes().n_mels == 16
