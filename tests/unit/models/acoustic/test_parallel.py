"""A parallel acoustic model: padding, what depends on what, learning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.parallel import ParallelAcoustic, ParallelConfig, ParallelOutput, Prosody, frames_of
from tiny_parallel import SPEC, TINY_PARALLEL, tiny_parallel

DURATIONS = [np.array([3, 0, 4, 2]), np.array([5, 1])]
WITHOUT_PROSODY = replace(TINY_PARALLEL, prosody=False)
IDS = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])


def output(rows: list[int], voices: Tensor | None = None, config: ParallelConfig = TINY_PARALLEL) -> ParallelOutput:
    """Of some of the two utterances in one batch, without what pads them all."""
    model = tiny_parallel(config)
    durations = [DURATIONS[row] for row in rows]
    n_symbols = torch.tensor([len(one) for one in durations])
    ids = IDS[rows, : int(n_symbols.max())]
    frames = frames_of(durations)
    generator = torch.Generator().manual_seed(2)
    pitch = torch.rand(2, 9, generator=generator)[rows, : frames.mask.shape[1]]
    mask = torch.arange(ids.shape[1])[None] < n_symbols[:, None]
    with torch.no_grad():
        return model(ids, mask, frames, Prosody(pitch, (pitch > 0.3).float()), voices)


@pytest.mark.parametrize("config", [TINY_PARALLEL, WITHOUT_PROSODY], ids=["prosody", "none"])
def test_padding_is_not_seen(config: ParallelConfig) -> None:
    both = output([0, 1], config=config)
    for row, (n_symbols, n_frames) in enumerate([(4, 9), (2, 6)]):
        alone = output([row], config=config)
        torch.testing.assert_close(both.mel[row, :, :n_frames], alone.mel[0, :, :n_frames], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(both.log_durations[row, :n_symbols], alone.log_durations[0], atol=1e-5, rtol=1e-5)
        assert (both.prosody is None) == (alone.prosody is None) == (not config.prosody)
        for own, other in zip(both.prosody or (), alone.prosody or (), strict=True):
            torch.testing.assert_close(own[row, :n_frames], other[0, :n_frames], atol=1e-5, rtol=1e-5)
    assert not both.mel[1, :, 6:].any()


def test_voices_differ() -> None:
    config = replace(TINY_PARALLEL, n_speakers=2)
    first, second = (output([0], torch.tensor([voice]), config) for voice in (0, 1))
    assert (first.mel - second.mel).abs().max() > 0.05
    assert (first.log_durations - second.log_durations).abs().max() > 0.01


def test_unvoiced_frames_have_no_pitch() -> None:
    model, frames = tiny_parallel(), frames_of([DURATIONS[0]])
    with torch.no_grad():
        laid_out = model.lay_out(model.encode(IDS[:1], None)[0], frames)
        one, other = (
            model.draw(laid_out, Prosody(torch.full((1, 9), pitch), torch.zeros(1, 9)), None) for pitch in (0.2, 0.8)
        )
        voiced = model.draw(laid_out, Prosody(torch.full((1, 9), 0.8), torch.ones(1, 9)), None)
    assert torch.equal(one, other)
    assert not torch.equal(other, voiced)


def test_durations_do_not_teach_what_symbols_are() -> None:
    model = tiny_parallel()
    model.encode(IDS[:1], None)[1].sum().backward()
    assert model.embedding.weight.grad is None
    assert model.duration.weight.grad is not None


@pytest.mark.parametrize("config", [TINY_PARALLEL, WITHOUT_PROSODY], ids=["prosody", "none"])
def test_it_speaks_by_itself_as_it_was_told(config: ParallelConfig) -> None:
    model = tiny_parallel(config)
    mel, durations = model.infer(IDS[0])
    assert mel.shape == (SPEC.n_mels, durations.sum())
    assert durations.min() >= 0
    frames = frames_of([durations])
    with torch.no_grad():
        encoded, log_durations = model.encode(IDS[:1], None)
        laid_out = model.lay_out(encoded, frames)
        found = model.find_prosody(laid_out, None)
        expected = model.draw(laid_out, found and Prosody(found.pitch, (found.voiced_logits > 0).float()), None)[0]
    torch.testing.assert_close(mel, expected)
    assert abs(durations.sum() - float(log_durations.expm1().clamp(min=0).sum())) <= 0.5


def test_durations_are_rounded_at_their_ends() -> None:
    model = tiny_parallel()
    torch.nn.init.zeros_(model.duration.weight)
    torch.nn.init.constant_(model.duration.bias, float(np.log1p(3.4)))
    assert model.infer(IDS[0])[1].tolist() == [3, 4, 3, 4], "3.4, 6.8, 10.2, 13.6"


def test_prosody_is_a_part_that_may_be_missing() -> None:
    """What is left has the same names; what trained models have is fixed, since their weights are kept by name."""
    own, smaller = (set(dict(tiny_parallel(config).named_parameters())) for config in (TINY_PARALLEL, WITHOUT_PROSODY))
    assert smaller < own
    assert {name.split(".")[0] for name in own - smaller} == {"pitch_layers", "pitch", "shown_pitch"}
    kept = {"embedding", "symbol_layers", "symbol_norm", "duration_layers", "duration", "place", "frame_layers"}
    assert {name.split(".")[0] for name in smaller} == {*kept, "frame_norm", "mel"}


def test_it_learns_durations_and_mels_of_units() -> None:
    torch.manual_seed(0)
    sizes = replace(WITHOUT_PROSODY, dim=16, hidden_dim=24, symbol_kernel_size=5, frame_kernel_size=7, dropout=0.0)
    model = ParallelAcoustic(sizes, SPEC)
    table = torch.randn(12, SPEC.n_mels)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def losses(ids: Tensor) -> tuple[Tensor, Tensor]:
        durations = [(1 + row.numpy() % 3) for row in ids]
        frames = frames_of(durations)
        output = model(ids, torch.ones_like(ids, dtype=torch.bool), frames)
        mel = table[ids.gather(1, frames.symbols)].transpose(1, 2) * frames.mask[:, None]
        true = torch.from_numpy(np.stack(durations)).float().log1p()
        return (output.mel - mel).abs().mean(), (output.log_durations - true).square().mean()

    for step in range(150):
        generator = torch.Generator().manual_seed(step)
        mel, durations = losses(torch.randint(0, 12, (4, 6), generator=generator))
        optimizer.zero_grad()
        (mel + durations).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        mel, durations = losses(torch.randint(0, 12, (8, 6), generator=torch.Generator().manual_seed(-1)))
    assert mel < 0.2
    assert durations < 0.01


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="frame_kernel_size"):
        ParallelConfig(frame_kernel_size=4)
