"""Mel frames as codes and back, and what smooths them."""

import math

import numpy as np
import pytest
import torch

from optophone.core.k_means import KMeansConfig
from optophone.core.residual_k_means import fit_residual_k_means
from optophone.models.direct.frame_codes import FrameCodes
from optophone.models.direct.frame_refiner import FrameRefiner
from tiny_direct import SPEC


@pytest.fixture
def codes() -> FrameCodes:
    made = FrameCodes(SPEC, 3, 2, 4)
    made.set_centres(np.random.default_rng(0).normal(size=(2, 4, 48)) * np.array([8.0, 1.0])[:, None, None])
    return made


def test_groups_are_frames_in_their_order(codes: FrameCodes) -> None:
    mel = torch.arange(16 * 7.0).reshape(1, 16, 7)
    groups = codes.groups(mel, torch.tensor([7]))
    assert groups.shape == (1, 3, 48)
    torch.testing.assert_close(groups[0, 1, 16:32], mel[0, :, 4])
    torch.testing.assert_close(codes.ungroup(groups)[:, :, :7], mel)
    assert codes.steps(torch.tensor([6, 7, 1])).tolist() == [2, 3, 1]


def test_beyond_an_utterance_is_silence(codes: FrameCodes) -> None:
    silence = math.log(SPEC.floor)
    groups = codes.groups(torch.zeros(2, 16, 6), torch.tensor([6, 2]))
    assert torch.equal(groups[0], torch.zeros(2, 48))
    assert torch.equal(groups[1, 0, :32], torch.zeros(32))
    torch.testing.assert_close(groups[1, 0, 32:], torch.full((16,), silence))
    torch.testing.assert_close(groups[1, 1], torch.full((48,), silence))


def test_sums_of_centres_come_back(codes: FrameCodes) -> None:
    chosen = torch.tensor([[[0, 3], [2, 1], [3, 0]]])
    assert torch.equal(codes.encode(codes.decode(chosen)), chosen)


def test_codes_are_those_of_the_fit() -> None:
    """The nearest centre of what is left, as NumPy finds it."""
    groups = np.random.default_rng(0).normal(size=(60, 48)).astype(np.float32)
    made = FrameCodes(SPEC, 3, 3, 6)
    levels = fit_residual_k_means(groups, 3, KMeansConfig(n_codes=6, n_steps=5, n_passes=2))
    made.set_centres(levels)
    left = groups
    codes = made.encode(torch.from_numpy(groups)[None])
    for level, centres in enumerate(levels):
        nearest = np.square(left[:, None] - centres[None]).sum(2).argmin(1)
        np.testing.assert_array_equal(codes[0, :, level], nearest)
        left = left - centres[nearest]


def test_codes_travel_with_the_weights(codes: FrameCodes) -> None:
    other = FrameCodes(SPEC, 3, 2, 4)
    other.load_state_dict(codes.state_dict())
    assert torch.equal(other.centres, codes.centres)


def test_the_refiner_sees_so_far_and_no_further() -> None:
    torch.manual_seed(0)
    refiner = FrameRefiner(6, 8, 12, 2, 5).eval()
    assert refiner.context == 4
    torch.nn.init.normal_(refiner.write.weight)
    x = torch.randn(1, 20, 6)
    changed = x.clone()
    changed[0, 10] += 1
    different = (refiner(x) != refiner(changed)).any(2)[0].nonzero()[:, 0].tolist()
    assert different == list(range(6, 15))


def test_the_refiner_begins_with_what_it_is_given() -> None:
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(FrameRefiner(6, 8, 12, 2, 3)(x), x)
