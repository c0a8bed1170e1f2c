"""The judges of vocoders: how each looks at a wave."""

import torch

from optophone.models.vocoders.discriminators import Discriminators, DiscriminatorsConfig, PeriodDiscriminator

TINY = DiscriminatorsConfig((2, 3), (3, 4), (64, 32), 2)


def test_one_verdict_each_with_the_features_of_every_layer() -> None:
    verdicts = Discriminators(TINY)(torch.randn(2, 400))
    assert len(verdicts) == 4
    assert [len(verdict.features) for verdict in verdicts] == [2, 2, 5, 5]
    assert all(verdict.score.shape[0] == 2 for verdict in verdicts)


def test_a_period_keeps_columns_apart() -> None:
    """Samples of one residue by the period meet only their own."""
    judge = PeriodDiscriminator(3, (3, 4))
    wave = torch.randn(1, 300)
    other = wave.clone()
    other[:, 1::3] += 1.0
    changed = (judge(wave).score - judge(other).score).abs().amax((0, 1, 2))
    assert changed[1] > 0
    assert not changed[[0, 2]].any()


def test_odd_lengths_are_filled_up() -> None:
    assert PeriodDiscriminator(7, (3,))(torch.randn(1, 100)).score.shape[3] == 7


def test_every_parameter_learns() -> None:
    judges = Discriminators(TINY)
    sum(verdict.score.sum() for verdict in judges(torch.randn(2, 400))).backward()  # type: ignore[union-attr]
    assert [name for name, parameter in judges.named_parameters() if parameter.grad is None] == []
