"""Training of the detector that tells photographs from everything else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from optophone.core.errors import ConfigurationError
from optophone.core.whole_file import whole_file
from optophone.data.manifest import read_dataset
from optophone.data.statistics import PictureViews
from optophone.data.steps import StepItems, shuffled_plan
from optophone.evaluation.calibration import discrimination
from optophone.models.detectors.photograph_classifier import PhotographClassifier, PhotographClassifierConfig
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig

DETECTOR = "photograph.npz"
_HIGHEST_THRESHOLD = 0.5  # what is more likely a photograph than not is never refused


@dataclass(frozen=True)
class PhotographDataConfig:
    """Which pictures, and how many ways each of them is stored.

    Args:
        photographs: folder of a prepared data set with picture files; its split "train" is used.
        non_photographs: folder written by `optophone prepare non-photographs`.
        n_photographs: evenly spread; 0 for all.
        more_photographs: folder of a further data set, which may have packed pictures only, or None.
        n_more: pictures of it; 0 for all.
        n_histories: views of each photograph after scaling, cutting, compressing and so on, beside the plain one.
        n_other_histories: the same of each other picture.
        held_out: share of the photographs that the threshold is chosen on instead of training.
        batch_size: pictures a step, half of them photographs.
    """

    photographs: str
    non_photographs: str
    n_photographs: int = 2000
    more_photographs: str | None = None
    n_more: int = 600
    n_histories: int = 2
    n_other_histories: int = 1
    held_out: float = 0.2
    batch_size: int = 256


@dataclass(frozen=True)
class PhotographExperiment:
    """A whole configuration of kind "photograph".

    Args:
        refused_share: of held-out photographs, plain and with histories, that may be refused at most.
        label_smoothing: how far the targets are from 0 and 1.
    """

    kind: Literal["photograph"]
    name: str
    data: PhotographDataConfig
    model: PhotographClassifierConfig = field(default_factory=PhotographClassifierConfig)
    refused_share: float = 0.01
    label_smoothing: float = 0.01
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True)
class PhotographStatistics:
    """Statistics (N, D) of photographs and of other pictures."""

    photographs: np.ndarray
    others: np.ndarray

    def together(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, D) and which of them are photographs (N,) float32."""
        labels = np.concatenate([np.ones(len(self.photographs)), np.zeros(len(self.others))])
        return np.concatenate([self.photographs, self.others]), labels.astype(np.float32)


class BalancedStatistics(Dataset):
    """Batches with as many photographs as other pictures."""

    def __init__(self, statistics: PhotographStatistics, batch_size: int) -> None:
        self.statistics = statistics
        self.half = max(batch_size // 2, 1)

    def __getitem__(self, items: StepItems) -> tuple[Tensor, Tensor]:
        """Statistics (B, D) and labels (B,); `items` only says which step it is."""
        generator = items.generator()
        drawn = [kind[generator.integers(len(kind), size=self.half)] for kind in self._kinds()]
        labels = torch.cat([torch.ones(self.half), torch.zeros(self.half)])
        return torch.from_numpy(np.concatenate(drawn)), labels

    def _kinds(self) -> Sequence[np.ndarray]:
        return self.statistics.photographs, self.statistics.others

    def __len__(self) -> int:
        return len(self.statistics.photographs) + len(self.statistics.others)


class PhotographObjective:
    """Cross-entropy; the area under the curve on held-out photographs and families that training never shows."""

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing
        self.logits: list[Tensor] = []
        self.labels: list[Tensor] = []

    def training_loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of one batch, with smoothed labels."""
        statistics, labels = batch
        targets = labels * (1 - 2 * self.label_smoothing) + self.label_smoothing
        loss = F.binary_cross_entropy_with_logits(model(statistics), targets)
        return loss, {"loss": loss}

    def validate(self, model: nn.Module, batch: Any) -> None:
        """Collects logits."""
        statistics, labels = batch
        self.logits.append(model(statistics).detach())
        self.labels.append(labels)

    def measures(self) -> dict[str, float]:
        """Area under the curve, and the shares that are right at even odds."""
        logits, labels = torch.cat(self.logits).numpy(), torch.cat(self.labels).numpy() > 0.5
        self.logits.clear()
        self.labels.clear()
        return {
            "auc": discrimination(logits, labels),
            "photographs": float((logits[labels] >= 0).mean()),
            "unseen_families": float((logits[~labels] < 0).mean()),
        }

    def show(self, model: nn.Module, writer: Any, step: int) -> None:
        """Nothing: the measures say it all."""


def photograph_statistics(data: PhotographDataConfig, folder: Path) -> tuple[PhotographStatistics, ...]:
    """Statistics to train on and to validate with, kept in `folder`; validation has families of its own.

    Raises:
        ConfigurationError: no photographs are left on one side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = [(data.photographs, data.n_photographs)]
    if data.more_photographs:
        sources.append((data.more_photographs, data.n_more))
    learned, held_out = [], []
    for number, (path, n) in enumerate(sources):
        views = PictureViews(read_dataset(path), "train", n, data.n_histories, are_photographs=True)
        found = views.statistics(folder / f"photographs-{number}.npy")
        every = max(round(1 / data.held_out), 2) if data.held_out else len(found) + 1
        is_held_out = np.arange(len(found)) % every == every - 1
        learned.append(found[~is_held_out])
        held_out.append(found[is_held_out])
    drawn = read_dataset(data.non_photographs)
    others = [
        PictureViews(drawn, split, 0, data.n_other_histories, are_photographs=False) for split in ("train", "test")
    ]
    drawn_views = [views.statistics(folder / f"others-{views.split}.npy") for views in others]
    if not sum(map(len, held_out)):
        raise ConfigurationError(f"data.held_out is {data.held_out}; too few photographs to choose the threshold on.")
    return (
        PhotographStatistics(_flat(learned), _flat(drawn_views[:1])),
        PhotographStatistics(_flat(held_out), _flat(drawn_views[1:])),
    )


def _flat(views: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([found.reshape(-1, found.shape[-1]) for found in views]).astype(np.float32)


def choose_threshold(probabilities: np.ndarray, refused_share: float) -> float:
    """The probability under which a picture is refused: `refused_share` of these photographs at most, and never one
    that is more likely a photograph than not."""
    ordered = np.sort(probabilities)
    allowed = int(refused_share * len(ordered))
    return float(min(ordered[allowed], _HIGHEST_THRESHOLD))


def run_photograph(experiment: PhotographExperiment, folder: Path) -> None:
    """Train the detector; writes `photograph.npz` into `folder` at the end."""
    train, dev = photograph_statistics(experiment.data, folder / "statistics")
    torch.manual_seed(experiment.trainer.seed)
    model = PhotographClassifier(train.photographs.shape[1], experiment.model)
    model.standardize(torch.from_numpy(np.concatenate([train.photographs, train.others])))
    dataset = BalancedStatistics(train, experiment.data.batch_size)
    plan = shuffled_plan(len(dataset), min(experiment.data.batch_size, len(dataset)), experiment.trainer.seed)
    objective = PhotographObjective(experiment.label_smoothing)
    training = Training(model, objective, experiment.optimizer, experiment.trainer)
    statistics, labels = dev.together()
    batches = [(torch.from_numpy(statistics), torch.from_numpy(labels))]
    loader: DataLoader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(dataset, plan, experiment.trainer), loader, folder, experiment.trainer)
    best = training.best_model.eval()
    assert isinstance(best, PhotographClassifier)
    with torch.no_grad():
        held_out = torch.sigmoid(best(torch.from_numpy(dev.photographs))).numpy()
    threshold = choose_threshold(held_out, experiment.refused_share)
    with whole_file(folder / DETECTOR) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{**best.arrays(), "threshold": np.float32(threshold)})  # type: ignore[arg-type]
