"""Pretraining of encoders: batches, loss, accuracy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from optophone.core.picture import PictureSpec
from optophone.data.augmentation import AugmentationConfig
from optophone.data.pictures import as_batch, normalize
from optophone.data.steps import StepItems
from optophone.models.encoders.residual_grid import PictureClassifier, ResidualGrid, ResidualGridConfig
from optophone.training.classification import (
    ClassificationObjective,
    LabelledPictures,
    LabelledPicturesConfig,
    dev_batches,
)
from tiny_datasets import write_labelled_pictures

CONFIG = LabelledPicturesConfig("", 4, ((0, 16),), 16, augmentation=AugmentationConfig(1.0, 1.0, 0.0, 0.0))


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    dataset = write_labelled_pictures(tmp_path)
    return dataset.array("train", "pictures"), np.asarray(dataset.array("train", "labels"))


def test_labels_stay_with_their_pictures(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    pictures, labels = LabelledPictures(*arrays, CONFIG)[StepItems(0, 0, [7, 2, 9, 4])]
    assert pictures.shape == (4, 3, 16, 16)
    assert sorted(labels.tolist()) == sorted(arrays[1][[7, 2, 9, 4]].tolist())
    assert pictures.mean((2, 3)).argmax(1).tolist() == labels.tolist(), "the brightest channel is the label"


def test_a_step_is_always_the_same(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    source = LabelledPictures(*arrays, replace(CONFIG, augmentation=AugmentationConfig()))
    assert len(source) == 12
    first, again = source[StepItems(3, 5, [1, 2])], source[StepItems(3, 5, [1, 2])]
    assert torch.equal(first[0], again[0])
    for other in (StepItems(3, 6, [1, 2]), StepItems(4, 5, [1, 2])):
        assert not torch.equal(source[other][0], first[0])


def test_pictures_grow_when_it_is_their_time(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    source = LabelledPictures(*arrays, replace(CONFIG, sizes=((0, 8), (10, 16))))
    assert [source[StepItems(0, step, [0])][0].shape[-1] for step in (0, 9, 10, 99)] == [8, 8, 16, 16]


def test_the_loss_is_smoothed_cross_entropy() -> None:
    logits = torch.randn(4, 3)
    loss, terms = ClassificationObjective(3, 0.2).training_loss(
        _Known(logits), (torch.zeros(4, 3, 8, 8), torch.tensor([0, 2, 1, 1])), 0
    )
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([0, 2, 1, 1]), label_smoothing=0.2))
    assert terms == {"loss": loss}


def test_accuracy_by_hand() -> None:
    """Of 6 classes: right at once, right among the first five, and wrong."""
    objective = ClassificationObjective(6, 0.0)
    ranks = torch.tensor([[9.0, 5, 4, 3, 2, 1], [9.0, 5, 4, 3, 2, 1], [9.0, 5, 4, 3, 2, 1]])
    pictures = torch.zeros(3, 3, 8, 8)
    objective.validate(_Known(ranks), (pictures, torch.tensor([0, 4, 5])))
    objective.validate(_Known(ranks[:1]), (pictures[:1], torch.tensor([0])))
    assert objective.measures() == {"accuracy": 0.5, "top_5": 0.75}
    objective.validate(_Known(ranks[:1]), (pictures[:1], torch.tensor([5])))
    assert objective.measures() == {"accuracy": 0.0, "top_5": 0.0}


def test_fewer_than_five_classes() -> None:
    objective = ClassificationObjective(2, 0.0)
    objective.validate(_Known(torch.tensor([[1.0, 0.0]])), (torch.zeros(1, 3, 8, 8), torch.tensor([1])))
    assert objective.measures() == {"accuracy": 0.0, "top_5": 1.0}


@pytest.mark.parametrize(
    ("limit", "sizes"), [(0, [100, 30]), (130, [100, 30]), (7, [7]), (100, [100]), (500, [100, 30])]
)
def test_dev_batches(limit: int, sizes: list[int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (130, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(130)
    batches = dev_batches(pictures, labels, replace(CONFIG, dev_limit=limit))
    assert [len(batch) for batch, _ in batches] == sizes
    assert torch.cat([batch_labels for _, batch_labels in batches]).tolist() == list(range(sum(sizes)))
    torch.testing.assert_close(batches[0][0][:3], normalize(as_batch(pictures[:3]), PictureSpec()))


def test_dev_pictures_are_resized() -> None:
    pictures = np.zeros((2, 16, 16, 3), np.uint8)
    ((batch, _),) = dev_batches(pictures, np.zeros(2, np.int64), replace(CONFIG, dev_size=8))
    assert batch.shape == (2, 3, 8, 8)


def test_an_encoder_learns_colours(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    torch.manual_seed(0)
    model = PictureClassifier(ResidualGrid(ResidualGridConfig((4, 6), (1, 1))), 3)
    source, objective = LabelledPictures(*arrays, CONFIG), ClassificationObjective(3, 0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for step in range(30):
        optimizer.zero_grad()
        objective.training_loss(model, source[StepItems(0, step, range(12))], step)[0].backward()
        optimizer.step()
    with torch.no_grad():
        objective.validate(model.eval(), dev_batches(*arrays, CONFIG)[0])
    assert objective.measures()["accuracy"] == 1.0


class _Known(nn.Module):
    """A classifier that says what it is told."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        assert len(pictures) == len(self.logits)
        return self.logits
