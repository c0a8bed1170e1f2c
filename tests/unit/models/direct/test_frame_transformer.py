"""The transformer over codes of frames: its distribution, its end, and speaking freely."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.direct import FrameTransformer, FrameTransformerConfig, TrueSpeech
from optophone.training.frame_objective import frame_losses
from tiny_direct import ENDS, OPTIONS, REGION_DIM


def build(**options: Any) -> FrameTransformer:
    torch.manual_seed(2)
    model = FrameTransformer(from_mapping(FrameTransformerConfig, {**OPTIONS["transformer"], **options}), ENDS)
    model.codes.set_centres(np.random.default_rng(0).normal(-5, 2, model.codes.centres.shape))
    return model.eval()


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(2, 6, REGION_DIM, generator=torch.Generator().manual_seed(0))


def speech(*lengths: int) -> TrueSpeech:
    torch.manual_seed(1)
    return TrueSpeech(torch.randn(len(lengths), 16, max(lengths)) - 5, torch.tensor(lengths))


def test_probabilities_of_a_step_sum_to_one(regions: Tensor) -> None:
    model = build()
    memory, state = model.begin(regions, None)
    step = model.step(torch.full((2, 3), model.start), memory, state)
    torch.testing.assert_close(step.log_probs.exp().sum(1), torch.ones(2))
    assert float(step.log_probs[:, model.start].exp().max()) == 0, "the start never comes again"
    further = model.further_log_probs(step.hidden, torch.tensor([[1, 2], [3, 4]]))
    torch.testing.assert_close(further.exp().sum(2), torch.ones(2, 2))


def test_a_level_follows_from_those_above_it_alone(regions: Tensor) -> None:
    model = build()
    hidden = torch.randn(1, 16)
    one, other = (model.further_log_probs(hidden, torch.tensor([[1, code]])) for code in (2, 5))
    torch.testing.assert_close(one[:, 0], other[:, 0])
    assert not torch.allclose(one[:, 1], other[:, 1])
    changed = model.further_log_probs(hidden, torch.tensor([[3, 2]]))
    assert not torch.allclose(one[:, 0], changed[:, 0])


def test_every_level_of_the_step_before_is_read(regions: Tensor) -> None:
    model = build()
    memory, state = model.begin(regions[:1], None)
    _, _, _, state = model.step(torch.full((1, 3), model.start), memory, state)
    base = torch.tensor([[1, 2, 3]])
    expected = model.step(base, memory, state).log_probs
    for level in range(3):
        changed = base.clone()
        changed[0, level] = 7
        assert not torch.allclose(model.step(changed, memory, state).log_probs, expected)


def test_before_the_first_step_only_the_start_counts(regions: Tensor) -> None:
    model = build()
    memory, state = model.begin(regions[:1], None)
    one, other = (model.step(torch.tensor([[model.start, a, a]]), memory, state).log_probs for a in (0, 6))
    torch.testing.assert_close(one, other)


def test_targets_are_the_codes_and_then_the_end(regions: Tensor) -> None:
    model = build()
    output = model(regions, None, speech(9, 4))
    assert output.targets[0, :3].tolist() == output.codes[0, :, 0].tolist()
    assert output.targets[0, 3] == output.targets[1, 2] == model.end
    assert output.targets[1, 3] == -1
    assert output.mask.sum(1).tolist() == [3, 2]


def test_losses_are_means_over_valid_steps(regions: Tensor) -> None:
    model = build()
    output = model(regions, None, speech(9, 4))
    n = model.config.n_codes
    even = output._replace(first=torch.zeros(2, 4, n + 2), further=torch.zeros(2, 3, 2, n), refined=output.groups + 0.5)
    found = {name: float(value) for name, value in frame_losses(even).items()}
    assert found == pytest.approx({"first": np.log(n + 2), "further": np.log(n), "refined": 0.5}, abs=1e-5)
    worse = even._replace(refined=torch.where(output.mask[:, :, None], even.refined, 1e3))
    assert float(frame_losses(worse)["refined"]) == pytest.approx(0.5, abs=1e-5)


def test_the_refiner_learns_from_its_own_loss_alone(regions: Tensor) -> None:
    model = build().train()
    frame_losses(model(regions, None, speech(9, 4)))["refined"].backward()
    assert model.refiner.write.weight.grad is not None
    assert all(parameter.grad is None for parameter in model.trunk.parameters())


def test_it_speaks_until_its_end(regions: Tensor) -> None:
    model = build()
    with torch.no_grad():
        model.trunk.output.bias[model.end] = 30.0
    assert [len(codes) for codes in model.infer(regions)] == [0, 0]
    with torch.no_grad():
        model.trunk.output.bias[model.end] = -30.0
    said = model.infer(regions)
    assert [len(codes) for codes in said] == [40, 40]
    assert model.speak(said[0][None]).shape == (1, 16, 120)
    assert int(said[0].max()) < model.config.n_codes


def test_one_level_is_enough(regions: Tensor) -> None:
    model = build(n_levels=1)
    output = model(regions, None, speech(9, 4))
    assert output.further.shape[2] == 0
    assert float(frame_losses(output)["further"]) == 0
    assert model.infer(regions)[0].shape[1] == 1


def test_too_long_utterances_are_named(regions: Tensor) -> None:
    with pytest.raises(ConfigurationError, match="need max_length 4, not 3"):
        build(max_length=3)(regions, None, speech(9, 4))
    with pytest.raises(ConfigurationError, match="refiner_kernel_size"):
        build(refiner_kernel_size=4)
