"""Networks that tell spoken mels from true ones."""

import torch

from optophone.models.acoustic.mel_discriminators import MelDiscriminators, MelDiscriminatorsConfig


def test_each_network_judges_patches() -> None:
    judges = MelDiscriminators(MelDiscriminatorsConfig((2, 3, 4), ((3, 9), (9, 3), (3, 3))))
    verdicts = judges(torch.randn(2, 20, 32))
    assert [verdict.score.shape for verdict in verdicts] == [(2, 1, 5, 8)] * 3
    assert [feature.shape for feature in verdicts[0].features] == [(2, 2, 20, 32), (2, 3, 10, 16), (2, 4, 5, 8)]


def test_they_learn_to_tell_blurred_mels() -> None:
    torch.manual_seed(0)
    judges = MelDiscriminators(MelDiscriminatorsConfig((4, 6), ((3, 3),)))
    optimizer = torch.optim.Adam(judges.parameters(), 0.01)
    for _ in range(40):
        true = 3 * torch.randn(4, 16, 24) - 5
        blurred = torch.nn.functional.avg_pool1d(true, 5, 1, 2)
        loss = torch.relu(1 - judges(true)[0].score).mean() + torch.relu(1 + judges(blurred)[0].score).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.5


def test_features_are_as_loud_as_the_mel() -> None:
    """Judges that hear little of a mel learn nothing for hundreds of steps."""
    torch.manual_seed(0)
    judges = MelDiscriminators(MelDiscriminatorsConfig())
    for verdict in judges(3 * torch.randn(2, 80, 96) - 5):
        spreads = [float(features.std()) for features in verdict.features]
        assert all(0.4 < spread < 2 for spread in spreads), spreads
