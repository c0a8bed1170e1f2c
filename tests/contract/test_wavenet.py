"""WaveNet-VQ with either output: causal, sample by sample as at once, alone as in a batch, able to learn."""

from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import VocabularyError
from optophone.models.units.fast_wavenet import FastWaveNet
from optophone.models.units.unit_voice import UnitVoice
from optophone.models.units.wavenet import WaveNet, WaveNetConfig
from optophone.models.units.wavenet_vq import SOMEBODY, WaveNetVQ
from optophone.training.weights import load_weights, save_weights
from tiny_wavenets import tiny_levels, tiny_wavenet_vq

OUTPUTS = ("mu-law", "logistics")
N_UNITS, HOP = 9, 7


@pytest.fixture(params=OUTPUTS)
def output(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def wavenet(output: str) -> WaveNet:
    """Dilations 1, 2, 4, 8 twice over: a reach of 31 of the 63 samples, and blocks that end inside conditions."""
    torch.manual_seed(1)
    return WaveNet(WaveNetConfig(6, 5, 2, 4, output, 3), 4, HOP).double().eval()  # type: ignore[arg-type]


def conditions(n_waves: int = 2) -> torch.Tensor:
    return torch.randn(n_waves, 4, N_UNITS, generator=torch.Generator().manual_seed(2)).double()


def waves(n_waves: int = 2, n_samples: int = N_UNITS * HOP) -> torch.Tensor:
    return torch.rand(n_waves, n_samples, generator=torch.Generator().manual_seed(3)).double() * 1.6 - 0.8


def step_by_step(fast: FastWaveNet, wave: torch.Tensor, told: torch.Tensor) -> np.ndarray:
    stream, previous, found = fast.begin(told), np.zeros(len(wave)), []
    for n in range(wave.shape[1]):
        found.append(stream.step(previous))
        previous = wave[:, n].numpy()
    return np.stack(found, axis=2)


@torch.no_grad()
def test_sample_by_sample_is_as_at_once(wavenet: WaveNet) -> None:
    found = step_by_step(FastWaveNet(wavenet), waves(), conditions())
    np.testing.assert_allclose(found, wavenet(waves(), conditions()).numpy(), rtol=0, atol=1e-12)
    single = wavenet.float()
    found = step_by_step(FastWaveNet(single), waves().float(), conditions().float())
    np.testing.assert_allclose(found, single(waves().float(), conditions().float()).numpy(), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_future_does_not_change_the_past(wavenet: WaveNet) -> None:
    """Output n sees the samples before n and, in these sizes, 31 of them; no later one, nor itself."""
    at, before = 20, wavenet(waves(), conditions())
    changed = waves()
    changed[:, at] += 0.1
    difference = (wavenet(changed, conditions()) - before).abs().amax((0, 1))
    assert not difference[: at + 1].any()
    assert difference[at + 1] > 0
    reach = wavenet.config.reach
    assert difference[at + reach] > 0
    assert not difference[at + reach + 1 :].any()
    later = conditions()
    later[:, :, 5] += 1
    difference = (wavenet(waves(), later) - before).abs().amax((0, 1))
    assert not difference[: 5 * HOP].any()
    assert difference[5 * HOP] > 0


def test_what_is_drawn_follows_the_seed_and_the_distribution(wavenet: WaveNet) -> None:
    fast = FastWaveNet(wavenet)
    first, again, other = (fast.draw(conditions(), seed) for seed in (4, 4, 5))
    assert first.shape == (2, N_UNITS * HOP)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() <= 1


def units(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, 15, n)


def test_a_voice_says_the_same_alone_and_beside_a_longer_one(output: str) -> None:
    voice = UnitVoice(tiny_wavenet_vq(output))
    short, long = units(4, 0), units(7, 1)
    model = voice.network
    alone = model.conditions_of(torch.from_numpy(short - 3)[None], None, torch.tensor([1]))
    padded = torch.nn.functional.pad(torch.from_numpy(short - 3), (0, 3))
    both = torch.stack((padded, torch.from_numpy(long - 3)))
    mask = torch.tensor([[1] * 4 + [0] * 3, [1] * 7]).bool()
    beside = model.conditions_of(both, mask, torch.tensor([1, SOMEBODY]))
    torch.testing.assert_close(beside[:1, :, :4], alone)
    found = voice.waves([short, long], [1, SOMEBODY], seed=3)
    assert [len(wave) for wave in found] == [4 * 20, 7 * 20]
    np.testing.assert_allclose(found[0], voice.wave(short, 1, seed=3), atol=1e-3)  # rounding may move a step of 16 bits
    assert np.array_equal(voice.wave(long, seed=3), voice.wave(long, seed=3))
    assert not np.array_equal(voice.wave(long, 0), voice.wave(long, 1))


@pytest.mark.parametrize(("given", "speaker"), [([], 0), ([2], 0), ([15], 0), ([3], 3), ([3], -2)])
def test_a_voice_refuses_what_it_cannot_say(given: list[int], speaker: int) -> None:
    with pytest.raises(VocabularyError, match="give"):
        UnitVoice(tiny_wavenet_vq()).wave(np.array(given, np.int64), speaker)


def test_units_are_the_same_alone_and_in_a_batch() -> None:
    for features in ("mfcc", "log-mel"):
        model = tiny_wavenet_vq(features=features)
        utterances = [tiny_levels(n, seed=n) for n in (48, 31, 5, 2, 17)]
        together = model.units_of(utterances)
        assert [len(found) for found in together] == [12, 7, 1, 1, 4]
        assert len(torch.cat(together).unique()) > 4
        for levels, found in zip(utterances, together, strict=True):
            assert torch.equal(model.units(levels), found)


def segment() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two segments of 3 units of 20 samples, with frames of context: the first ends early, the second does not."""
    context = tiny_wavenet_vq().config.context_units
    levels = torch.stack([tiny_levels((3 + 2 * context) * 4, seed=seed) for seed in (1, 2)])
    frames_mask = torch.ones(2, levels.shape[2], dtype=torch.bool)
    frames_mask[0, (context + 2) * 4 + 1 :] = False
    return levels, frames_mask, waves(2, 60).float(), torch.tensor([2, SOMEBODY])


def test_samples_beyond_the_end_count_for_nothing(output: str) -> None:
    model, (levels, frames_mask, wave, speakers) = tiny_wavenet_vq(output), segment()
    before = model(levels, frames_mask, wave, speakers)
    assert before.samples_mask.sum(1).tolist() == [40, 60]
    assert len(before.units) == len(before.frames) == 5
    wave[0, 40:] = 0.5
    levels = torch.where(frames_mask[:, None], levels, -3.0)
    after = model(levels, frames_mask, wave, speakers)
    for first, second in zip(model.losses(before), model.losses(after), strict=True):
        torch.testing.assert_close(first, second)


def test_a_batch_is_learned_by_heart(output: str) -> None:
    model, (levels, frames_mask, wave, speakers) = tiny_wavenet_vq(output).train(), segment()
    wave = 0.3 * torch.sin(torch.arange(60) * torch.tensor([[0.3], [0.7]]))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses_so_far = []
    for _ in range(60):
        found = model(levels, frames_mask, wave, speakers, torch.ones(levels.shape[2] // 4, dtype=torch.long))
        losses = model.losses(found)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        model.update_codebook(found)
        losses_so_far.append(float(losses.reconstruction.detach()))
    assert losses_so_far[-1] < losses_so_far[0] - 2  # nats a sample


def test_every_parameter_learns(output: str) -> None:
    model, batch = tiny_wavenet_vq(output).train(), segment()
    model.losses(model(*batch)).total.backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert still == []


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(output: str, tmp_path: Path) -> None:
    model, batch = tiny_wavenet_vq(output), segment()
    save_weights(model, tmp_path / "units.safetensors")
    loaded = WaveNetVQ(model.config).eval()
    load_weights(loaded, tmp_path / "units.safetensors")
    assert torch.equal(loaded(*batch).outputs, model(*batch).outputs)
    assert torch.equal(loaded.units(tiny_levels(40)), model.units(tiny_levels(40)))
