"""Training of recognisers: mel → letters."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.ctc_search import read_greedily
from optophone.core.vocabulary import Vocabulary, build_letters
from optophone.data.heard_speech import HeardBatch, HeardSpeech, HeardSpeechConfig, heard_plan, heard_rows
from optophone.data.manifest import read_dataset
from optophone.data.mel_augmentation import MelAugmentationConfig
from optophone.evaluation.recognizer import word_errors
from optophone.models.recognizers.ctc import CtcRecognizer, CtcRecognizerConfig, ctc_loss
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.weights import load_weights, save_weights

WEIGHTS = "recognizer.safetensors"


@dataclass(frozen=True)
class RecognizingExperiment:
    """A whole configuration of kind "recognizer".

    Args:
        data: speech with its text.
        model: its `n_symbols` and `n_mels` are filled in.
        augmentation: how what is heard is changed by chance; None leaves it.
        weights: safetensors of a run of this kind to start from.
    """

    kind: Literal["recognizer"]
    name: str
    data: HeardSpeechConfig
    model: CtcRecognizerConfig = field(default_factory=CtcRecognizerConfig)
    augmentation: MelAugmentationConfig | None = field(default_factory=MelAugmentationConfig)
    weights: str | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def sizes(self) -> CtcRecognizerConfig:
        """Of the model, with what the data say filled in."""
        return replace(self.model, n_symbols=len(build_letters()), n_mels=self.data.mel.n_mels)


@dataclass
class _Count:
    """Errors, and of how many."""

    words: int = 0
    word_errors: int = 0
    letters: int = 0
    letter_errors: int = 0


class RecognizingObjective:
    """The loss of a recogniser; its errors over words and letters, of every data set.

    Args:
        vocabulary: of the letters.
        corpora: the names of the data sets, by number.
    """

    def __init__(self, vocabulary: Vocabulary, corpora: tuple[str, ...]) -> None:
        self.vocabulary, self.corpora = vocabulary, corpora
        self.losses: list[float] = []
        self.counts: dict[int, _Count] = {}
        self.sample: list[tuple[str, str]] = []

    def training_loss(self, model: Any, batch: HeardBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """How unlikely the letters of one batch were."""
        loss = ctc_loss(model(batch.mel, batch.mel_lengths), batch.ids, batch.id_lengths)
        return loss, {"loss": loss}

    def validate(self, model: Any, batch: HeardBatch) -> None:
        """Count the errors of one batch."""
        heard = model(batch.mel, batch.mel_lengths)
        self.losses.append(float(ctc_loss(heard, batch.ids, batch.id_lengths)))
        count = self.counts.setdefault(batch.corpus, _Count())
        self.sample = []
        for row, log_probs in enumerate(heard.log_probs.float().cpu().numpy()):
            found = self.vocabulary.decode(read_greedily(log_probs[:, : int(heard.lengths[row])], 0))
            said = self.vocabulary.decode(batch.ids[row, : int(batch.id_lengths[row])].tolist())
            count.words += len(said.split())
            count.word_errors += word_errors(said.split(), found.split())
            count.letters += len(said)
            count.letter_errors += word_errors(said, " ".join(found.split()))
            self.sample.append((said, found))

    def measures(self) -> dict[str, float]:
        """Loss and error rates since the last call; word error rates of every data set too, if there are several."""
        counts, losses = self.counts, self.losses
        self.counts, self.losses = {}, []
        whole = list(counts.values())
        found = {
            "loss": sum(losses) / len(losses),
            "character_error_rate": sum(one.letter_errors for one in whole) / sum(one.letters for one in whole),
            "word_error_rate": sum(one.word_errors for one in whole) / sum(one.words for one in whole),
        }
        if len(self.corpora) > 1:
            for number, count in sorted(counts.items()):
                found[f"word_error_rate_{self.corpora[number]}"] = count.word_errors / count.words
        return found

    def show(self, model: Any, writer: Any, step: int) -> None:
        """What was said and what was heard in the last validation batch."""
        lines = [f"said: {said}  \nheard: {found}" for said, found in self.sample]
        writer.add_text("dev/heard", "\n\n".join(lines), step)


def build_model(experiment: RecognizingExperiment) -> CtcRecognizer:
    """The recogniser with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    model = CtcRecognizer(experiment.sizes())
    if experiment.weights:
        load_weights(model, experiment.weights)
    return model


def read_heard_speech(experiment: RecognizingExperiment, split: str) -> HeardSpeech:
    """All data sets of `experiment`; what is learned from is changed by chance."""
    config = experiment.data
    datasets = [read_dataset(folder) for folder in config.folders]
    corpora = [(dataset, heard_rows(dataset, split, config.max_seconds)) for dataset in datasets]
    changed = experiment.augmentation if split == "train" else None
    return HeardSpeech(corpora, config.mel, build_letters(), changed, experiment.model.stride)


def run_recognizing(experiment: RecognizingExperiment, folder: Path) -> None:
    """Train the recogniser; writes `vocabulary.json` and `recognizer.safetensors` into `folder`."""
    train, dev = (read_heard_speech(experiment, split) for split in ("train", "dev"))
    train.vocabulary.save(folder / "vocabulary.json")
    training = Training(
        build_model(experiment),
        RecognizingObjective(train.vocabulary, experiment.data.names),
        experiment.optimizer,
        experiment.trainer,
    )
    plan = heard_plan(train, experiment.data, experiment.trainer.seed)
    batches = dev.dev_batches(experiment.data.dev_limit)
    loader: DataLoader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(train, plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)
