"""Similarity and triplet losses, against loops."""

import torch

from optophone.models.units.matching import (
    draw_negatives,
    sampled_triplet_loss,
    semi_hard_triplet_loss,
    similarity,
)


def test_similarity_is_the_product_of_the_means_of_valid_frames() -> None:
    torch.manual_seed(0)
    regions, frames, lengths = torch.randn(4, 6, 5), torch.randn(4, 5, 7), torch.tensor([7, 3, 0, 1])
    scores = similarity(regions, frames, lengths)
    for i in range(4):
        for j in range(4):
            mean = frames[j, :, : max(1, int(lengths[j]))].mean(1)
            torch.testing.assert_close(scores[i, j], regions[i].mean(0) @ mean)


def test_sampled_triplets_equal_a_loop() -> None:
    torch.manual_seed(1)
    scores, negatives = torch.randn(5, 5), torch.tensor([1, 0, 4, 2, 3])
    expected = sum(max(0.0, float(scores[i, j] - scores[i, i]) + 0.7) for i, j in enumerate(negatives.tolist())) / 5
    torch.testing.assert_close(sampled_triplet_loss(scores, 0.7, negatives), torch.tensor(expected))


def test_semi_hard_triplets_equal_a_loop() -> None:
    torch.manual_seed(2)
    scores = torch.randn(6, 6)
    scores[2, 2] = -5  # none scores below it
    expected = 0.0
    for i in range(6):
        below = [float(scores[i, j]) for j in range(6) if scores[i, j] < scores[i, i]]
        hardest = max([0.0, *below]) if len(below) < 6 else max(below)
        expected += max(0.0, hardest - float(scores[i, i]) + 1.0) / 6
    torch.testing.assert_close(semi_hard_triplet_loss(scores, 1.0), torch.tensor(expected))


def test_impostors_are_all_the_others_and_never_oneself() -> None:
    torch.manual_seed(3)
    drawn = torch.stack([draw_negatives(4) for _ in range(200)])
    for i in range(4):
        assert set(drawn[:, i].tolist()) == set(range(4)) - {i}
