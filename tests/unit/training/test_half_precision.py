"""Bfloat16 where the machine has it: what a run, and the look at its pictures, compute in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from optophone.core.vocabulary import build_words
from optophone.data.captioned_pictures import CaptionedPictures, CaptionedPicturesConfig
from optophone.training import experiment, half_precision
from optophone.training.experiment import TrainerConfig
from optophone.training.frozen_regions import compute_regions
from optophone.training.half_precision import has_bfloat16


@pytest.fixture(params=[True, False], ids=["with", "without"])
def has_it(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor computes in bfloat16."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: request.param, raising=False)
    return bool(request.param)


def test_a_run_computes_in_bfloat16_where_it_is_wanted_and_there(has_it: bool, tmp_path: Path) -> None:
    trainer = experiment._build_trainer(tmp_path, TrainerConfig(precision="bf16-mixed"), [])
    assert trainer.precision == ("bf16-mixed" if has_it else "32-true")
    assert experiment._build_trainer(tmp_path, TrainerConfig(precision="32-true"), []).precision == "32-true"


def test_only_processors_are_asked(has_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_bfloat16("cpu") == has_it
    assert has_bfloat16("gpu")
    for available in (True, False):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda there=available: there)
        assert has_bfloat16("auto") == (available or has_it)


def test_builds_of_pytorch_without_the_question_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_precision.torch.ops, "mkldnn", object())
    assert not has_bfloat16("cpu")


class Products(nn.Module):
    """An encoder that notes the type of its products."""

    def __init__(self) -> None:
        super().__init__()
        self.multiply = nn.Linear(3, 3)
        self.types: set[torch.dtype] = set()

    def forward(self, pictures: Tensor) -> Tensor:
        regions: Tensor = self.multiply(pictures.flatten(2).transpose(1, 2))
        self.types.add(regions.dtype)
        return regions


def test_regions_are_computed_in_it_too(has_it: bool, tmp_path: Path) -> None:
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    config = CaptionedPicturesConfig("", sizes=((0, 8),), size=8)
    source = CaptionedPictures(pictures, [[[4, 2]]] * 2, build_words(["dog"]), config)
    encoder = Products()
    assert compute_regions(encoder, source, 1, tmp_path).dtype == torch.bfloat16
    assert encoder.types == {torch.bfloat16 if has_it else torch.float32}
