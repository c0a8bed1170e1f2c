"""The network that says what symbols sound like, so that frames can find them."""

import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.alignment_network import AlignmentNetwork, AlignmentNetworkConfig

SIZES = {"n_symbols": 10, "n_mels": 6, "dim": 8, "hidden_dim": 12}


def build(**others: object) -> AlignmentNetwork:
    torch.manual_seed(0)
    return AlignmentNetwork(AlignmentNetworkConfig(**SIZES, **others)).eval()  # type: ignore[arg-type]


def test_padding_changes_nothing() -> None:
    model = build(n_speakers=2)
    ids, speakers = torch.randint(0, 10, (2, 7)), torch.tensor([1, 0])
    together = model(ids, torch.tensor([4, 7]), speakers)
    alone = model(ids[:1, :4], torch.tensor([4]), speakers[:1])
    torch.testing.assert_close(together[0, :4], alone[0], atol=1e-5, rtol=0)


def test_voice_and_neighbours_count() -> None:
    model = build(n_speakers=2)
    batch = (torch.tensor([[1, 2, 3]]), torch.tensor([3]))
    one, other = (model(*batch, torch.tensor([speaker])) for speaker in (0, 1))
    assert (one - other).abs().max() > 1e-4
    changed = model(torch.tensor([[1, 2, 4]]), torch.tensor([3]), torch.tensor([0]))
    assert (one - changed)[0, 0].abs().max() > 1e-5


def test_likelihoods_are_distances_but_for_a_constant_of_each_frame() -> None:
    model = build(diagonal=1e6)  # hardly any belief
    spectra, mel = torch.randn(5, 6), torch.randn(6, 9)
    found = model.log_likelihoods(spectra, mel)
    expected = -((mel.T[:, None] - spectra[None]) ** 2).mean(2) / 2
    torch.testing.assert_close(found - found[:, :1], expected - expected[:, :1], atol=1e-4, rtol=1e-4)


def test_the_belief_follows_the_diagonal() -> None:
    """While all symbols sound the same, each gets its share of the frames."""
    found = build(diagonal=0.1).log_likelihoods(torch.zeros(4, 6), torch.randn(6, 12))
    assert found.argmax(1).tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


@pytest.mark.parametrize(("name", "value"), [("kernel_size", 4), ("diagonal", 0.0)])
def test_sizes_that_no_network_has_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        AlignmentNetworkConfig(**{name: value})  # type: ignore[arg-type]
