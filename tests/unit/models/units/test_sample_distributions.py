"""What the next sample may be: levels, probabilities that sum to one, draws that follow them."""

import numpy as np
import pytest
import torch

from optophone.models.units.sample_distributions import LogisticSamples, MuLawSamples


@pytest.fixture(params=["mu-law", "logistics"])
def samples(request: pytest.FixtureRequest) -> MuLawSamples | LogisticSamples:
    torch.manual_seed(0)
    return MuLawSamples(5) if request.param == "mu-law" else LogisticSamples(5, 3)


def test_levels_and_samples_belong_together() -> None:
    mu_law = MuLawSamples(2)
    levels = torch.arange(256)
    assert torch.equal(mu_law.levels(torch.from_numpy(mu_law.samples(levels.numpy()))), levels)
    assert mu_law.levels(torch.tensor([-1.5, -1.0, 0.0, 1.0, 1.5])).tolist() == [0, 0, 128, 255, 255]
    # Of G.711's curve: half of the levels lie below ln(1 + 255 x) / ln 256 = 1/2, x = 15/255.
    assert int(mu_law.levels(torch.tensor(15 / 255))) == 191


def test_mu_law_is_a_choice_of_levels() -> None:
    mu_law, outputs = MuLawSamples(2), torch.randn(1, 256, 256)
    every = torch.from_numpy(mu_law.samples(np.arange(256))[None])
    expected = torch.log_softmax(outputs, 1)[0].diagonal()
    torch.testing.assert_close(mu_law.log_prob(outputs, every)[0], expected)


@pytest.mark.parametrize("scale", [-12.0, -6.0, 0.0])
def test_logistics_sum_to_one_over_all_steps(scale: float) -> None:
    """Far off means and narrow scales included: nothing overflows, nothing is lost at the edges."""
    logistics = LogisticSamples(2, 3)
    outputs = torch.tensor([0.3, -0.2, 0.1, -0.4, 0.9999, 1.7, scale, scale, scale])[None, :, None]
    every = torch.arange(-32768, 32768)[None] / 32768
    log_probs = logistics.log_prob(outputs.expand(1, 9, 65536), every)
    assert log_probs.isfinite().all()
    assert float(log_probs.double().exp().sum()) == pytest.approx(1, abs=2e-3)


def test_logistics_equal_the_difference_of_sigmoids() -> None:
    outputs = torch.tensor([0.5, -0.5, 0.1, -0.2, -3.0, -4.0]).double()
    found = LogisticSamples(2, 2).log_prob(outputs.float()[None, :, None], torch.tensor([[0.125]]))
    shares = torch.softmax(outputs[:2], 0)
    expected = 0.0
    for share, mean, log_scale in zip(shares, outputs[2:4], outputs[4:], strict=True):
        above, below = (torch.sigmoid((0.125 + side / 65536 - mean) / log_scale.exp()) for side in (1, -1))
        expected += float(share * (above - below))
    assert float(found) == pytest.approx(np.log(expected), abs=1e-3)


def test_the_loop_sees_what_training_sees(samples: MuLawSamples | LogisticSamples) -> None:
    wave = torch.linspace(-1, 1, 41)[:-1] + 0.003
    with torch.no_grad():
        expected = samples.embed(wave[None])[0].T
    np.testing.assert_allclose(samples.embedding()(wave.numpy()), expected.numpy(), atol=1e-6)


def test_draws_are_as_frequent_as_they_are_probable(samples: MuLawSamples | LogisticSamples) -> None:
    n = 20000
    outputs = 0.7 * np.random.default_rng(0).normal(size=(1, samples.n_outputs)) - 0.5
    drawn = samples.draw(outputs.repeat(n, 0), np.random.default_rng(1).random((n, 2)), 1.0)
    assert drawn.shape == (n,)
    assert np.abs(drawn).max() <= 1
    every = samples.samples(np.arange(256)) if isinstance(samples, MuLawSamples) else np.arange(-32768, 32768) / 32768
    given = torch.from_numpy(outputs).float()[:, :, None].expand(-1, -1, len(every))
    probabilities = samples.log_prob(given, torch.from_numpy(every).float()[None])[0].double().exp().numpy()
    for edge in (-0.9, -0.1, 0.0, 0.2, 0.8):
        assert (drawn < edge).mean() == pytest.approx(probabilities[every < edge].sum(), abs=0.012)


def test_a_low_temperature_stays_at_the_peak(samples: MuLawSamples | LogisticSamples) -> None:
    outputs = np.random.default_rng(2).normal(size=(1, samples.n_outputs)).repeat(50, 0)
    drawn = samples.draw(outputs, np.random.default_rng(3).random((50, 2)), 1e-6)
    np.testing.assert_allclose(drawn, drawn[0], atol=1e-4)
