"""Units to mel at once: padding, durations, learning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.parallel import frames_of
from optophone.models.acoustic.unit_to_mel import UnitToMel, UnitToMelConfig

TINY = UnitToMelConfig(
    n_symbols=12, n_mels=5, dim=16, hidden_dim=24, n_unit_layers=1, n_duration_layers=1, n_frame_layers=2, dropout=0.0
)
DURATIONS = [np.array([2, 3, 0, 4]), np.array([1, 5])]
IDS = torch.tensor([[3, 7, 4, 9], [5, 11, 0, 0]])
MASK = torch.tensor([[True] * 4, [True, True, False, False]])


@pytest.fixture
def model() -> UnitToMel:
    torch.manual_seed(0)
    return UnitToMel(TINY).eval()


@torch.no_grad()
def test_padded_batch_equals_single_items(model: UnitToMel) -> None:
    batch = model(IDS, MASK, frames_of(DURATIONS))
    assert batch.mel.shape == (2, 5, 9)
    for i, durations in enumerate(DURATIONS):
        n, total = len(durations), int(durations.sum())
        alone = model(IDS[i : i + 1, :n], MASK[i : i + 1, :n], frames_of([durations]))
        torch.testing.assert_close(batch.mel[i, :, :total], alone.mel[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(batch.log_durations[i, :n], alone.log_durations[0], atol=1e-5, rtol=1e-4)
        assert batch.mel[i, :, total:].abs().sum() == 0


def test_it_speaks_by_itself_as_long_as_it_says(model: UnitToMel) -> None:
    torch.nn.init.zeros_(model.duration.weight)
    torch.nn.init.constant_(model.duration.bias, float(np.log1p(3.4)))
    mel, durations = model.infer(IDS[0])
    assert durations.tolist() == [3, 4, 3, 4], "ends are rounded: 3.4, 6.8, 10.2, 13.6"
    assert mel.shape == (5, 14)
    with torch.no_grad():
        same = model(IDS[:1], MASK[:1], frames_of([durations.numpy()])).mel[0]
    torch.testing.assert_close(mel, same, atol=1e-5, rtol=1e-4)


def test_it_learns_durations_and_mels_of_units() -> None:
    torch.manual_seed(0)
    model = UnitToMel(TINY)
    table = torch.randn(12, 5)
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


def test_durations_teach_the_units_nothing(model: UnitToMel) -> None:
    model(IDS, MASK, frames_of(DURATIONS)).log_durations.sum().backward()
    assert model.embedding.weight.grad is None
    assert model.duration.weight.grad is not None


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unit_kernel_size is 4"):
        replace(TINY, unit_kernel_size=4)
