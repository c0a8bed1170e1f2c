"""Show, Attend and Tell against frozen outputs of the original implementation, whatever its sizes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.checkpoints.sat import load_sat, sat_state_dict
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellState
from optophone.training.caption_loss import caption_cross_entropy, doubly_stochastic_penalty

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def facts(parity_fixtures: Path) -> dict[str, Any]:
    return json.loads((parity_fixtures / "sat.json").read_text())


@pytest.fixture(scope="module")
def arrays(parity_fixtures: Path) -> dict[str, Tensor]:
    with np.load(parity_fixtures / "sat.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture(scope="module")
def original(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("weight/"): x for name, x in arrays.items() if name.startswith("weight/")}


@pytest.fixture(scope="module")
def model(facts: dict[str, Any], original: dict[str, Tensor]) -> ShowAttendTell:
    return load_sat(original, facts["config"])


@pytest.fixture(scope="module")
def regions(arrays: dict[str, Tensor]) -> Tensor:
    return arrays["input/encoder_out"].flatten(1, 2)


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_teacher_forced_scores_and_attention(model, arrays, regions):
    order, lengths = arrays["output/sort_ind"], arrays["output/decode_lengths"]
    inputs = arrays["input/encoded_captions"][order][:, : int(lengths.max())]
    with torch.no_grad():
        output = model(regions[order], None, inputs)
    valid = (torch.arange(inputs.shape[1]) < lengths[:, None]).unsqueeze(-1)
    assert_near(output.logits * valid, arrays["output/predictions"])
    assert_near(output.attention * valid, arrays["output/alphas"])


def test_loss_with_the_doubly_stochastic_penalty(facts, model, arrays, regions):
    captions, pad = arrays["input/encoded_captions"], facts["config"]["pad_id"]
    with torch.no_grad():
        output = model(regions, None, captions[:, :-1])
    targets = captions[:, 1:]
    cross_entropy = caption_cross_entropy(output.logits, targets, pad)
    penalty = doubly_stochastic_penalty(output.attention, targets != pad)
    assert_near(cross_entropy, arrays["output/cross_entropy"])
    assert_near(cross_entropy + facts["config"]["alpha_c"] * penalty, arrays["output/loss"])


def test_first_state(model, arrays, regions):
    with torch.no_grad():
        _, state = model.begin(regions, None)
    assert_near(state.hidden, arrays["output/init_h"])
    assert_near(state.cell, arrays["output/init_c"])


def test_one_step_from_a_given_state(model, arrays, regions):
    with torch.no_grad():
        memory, _ = model.begin(regions, None)
        state = ShowAttendTellState(arrays["input/step_h"], arrays["input/step_c"])
        log_probs, attention, following = model.step(arrays["input/step_prev_words"], memory, state)
    assert_near(log_probs, arrays["output/step_logprobs"])
    assert_near(attention, arrays["output/step_alpha"])
    assert_near(following.hidden, arrays["output/step_h"])
    assert_near(following.cell, arrays["output/step_c"])


def test_greedy_roll_out(facts, model, arrays, regions):
    expected_ids, expected_log_probs = arrays["output/greedy_ids"], arrays["output/greedy_logprobs"]
    ids = torch.full((regions.shape[0],), facts["config"]["start_id"])
    with torch.no_grad():
        memory, state = model.begin(regions, None)
        for s in range(expected_ids.shape[1]):
            log_probs, _, state = model.step(ids, memory, state)
            best, ids = log_probs.max(-1)
            assert ids.tolist() == expected_ids[:, s].tolist()
            assert_near(best, expected_log_probs[:, s])


def test_the_way_back_to_the_original(model, original):
    again = sat_state_dict(model)
    assert set(again) == set(original)
    biases = ("decode_step.bias_ih", "decode_step.bias_hh")
    assert_near(again[biases[0]] + again[biases[1]], original[biases[0]] + original[biases[1]])
    for name in set(original) - {*biases, "attention.full_att.bias"}:
        assert torch.equal(again[name], original[name]), name
