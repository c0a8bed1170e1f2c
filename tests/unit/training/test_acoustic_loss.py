"""The parts of the acoustic loss."""

import math

import pytest
import torch
from torch.nn import functional

from optophone.models.acoustic.tacotron2 import AcousticOutput
from optophone.training.acoustic_loss import AcousticLoss, AcousticLossConfig, guided_attention_loss

MEL_LENGTHS, ID_LENGTHS = torch.tensor([4, 2]), torch.tensor([3, 2])


def output(distance: float = 0.0) -> tuple[AcousticOutput, torch.Tensor]:
    """A prediction `distance` off before the postnet and twice that after, and the truth."""
    mel = torch.randn(2, 5, 4)
    mel[1, :, 2:] = 0
    valid = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])[:, None]
    stop_logits = torch.tensor([[-2.0, -2, -2, 2], [-2, 2, 1000, 1000]])
    alignment = torch.softmax(torch.randn(2, 4, 3), 2)
    return AcousticOutput(mel + distance * valid, mel + 2 * distance * valid, stop_logits, alignment, MEL_LENGTHS), mel


def losses(prediction: AcousticOutput, mel: torch.Tensor, **options: object):
    return AcousticLoss(AcousticLossConfig(**options))(prediction, mel, MEL_LENGTHS, ID_LENGTHS)  # type: ignore[arg-type]


def test_average_over_valid_frames_or_over_all() -> None:
    prediction, mel = output(distance=3.0)
    valid = losses(prediction, mel, count_padding=False)
    assert float(valid.mel_before) == pytest.approx(9, rel=1e-4)
    assert float(valid.mel_after) == pytest.approx(36, rel=1e-4)
    assert float(losses(prediction, mel).mel_before) == pytest.approx(9 * 6 / 8, rel=1e-4)


@pytest.mark.parametrize(("distance", "expected"), [("mse", 9), ("l1", 3), ("mse+l1", 12)])
def test_distances(distance: str, expected: float) -> None:
    prediction, mel = output(distance=3.0)
    found = losses(prediction, mel, distance=distance, count_padding=False)
    assert float(found.mel_before) == pytest.approx(expected, rel=1e-4)


def test_what_lies_in_the_padding_of_the_truth_does_not_matter() -> None:
    prediction, mel = output(distance=1.0)
    dirty = mel.clone()
    dirty[1, :, 2:] = 100
    assert losses(prediction, dirty).total == losses(prediction, mel).total


def test_stop_is_due_at_the_last_frame() -> None:
    prediction, mel = output()
    right = float(functional.softplus(torch.tensor(-2.0)))
    assert float(losses(prediction, mel, count_padding=False).stop) == pytest.approx(right, rel=1e-5)
    weighted = losses(prediction, mel, count_padding=False, stop_positive_weight=4.0).stop
    assert float(weighted) == pytest.approx(right * (4 + 4 * 2) / 6, rel=1e-5)


def test_total_is_the_weighted_sum() -> None:
    prediction, mel = output(distance=1.0)
    parts = losses(prediction, mel, stop_weight=2.0, guide_weight=3.0)
    expected = parts.mel_before + parts.mel_after + 2 * parts.stop + 3 * parts.guide
    torch.testing.assert_close(parts.total, expected)
    assert parts.guide > 0


def test_guide_wants_the_diagonal_of_each_item() -> None:
    steps, symbols = torch.tensor([6, 3]), torch.tensor([6, 3])
    diagonal = torch.eye(6).repeat(2, 1, 1)
    assert float(guided_attention_loss(diagonal, steps, symbols, 0.2)) == 0
    assert float(guided_attention_loss(diagonal.flip(2), steps, symbols, 0.2)) > 0.05


def test_guide_equals_the_formula() -> None:
    alignment = torch.zeros(1, 2, 4)
    alignment[0, 1, 3] = 1
    expected = (1 - math.exp(-((3 / 4 - 1 / 2) ** 2) / (2 * 0.3**2))) / 8
    found = guided_attention_loss(alignment, torch.tensor([2]), torch.tensor([4]), 0.3)
    assert float(found) == pytest.approx(expected, rel=1e-5)
