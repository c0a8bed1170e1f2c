"""X-LAN against frozen outputs of the original implementation, whatever its sizes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.checkpoints.xlan import XLAN_SEARCH, load_xlan, xlan_state_dict
from optophone.core.search import Hypothesis, SearchConfig, search
from optophone.models.captioners.xlan import XLan
from optophone.training.caption_loss import caption_cross_entropy

TOLERANCE = 1e-4
END = 0  # start, end and padding alike
IGNORED = -1


@pytest.fixture(scope="module")
def facts(parity_fixtures: Path) -> dict[str, Any]:
    return json.loads((parity_fixtures / "xlan.json").read_text())


@pytest.fixture(scope="module")
def arrays(parity_fixtures: Path) -> dict[str, Tensor]:
    with np.load(parity_fixtures / "xlan.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture(scope="module")
def original(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("weight/"): x for name, x in arrays.items() if name.startswith("weight/")}


@pytest.fixture(scope="module")
def model(facts: dict[str, Any], original: dict[str, Tensor]) -> XLan:
    return load_xlan(original, facts["config"])


@pytest.fixture(scope="module")
def regions(arrays: dict[str, Tensor]) -> Tensor:
    return arrays["input/att_feats"]


@pytest.fixture(scope="module")
def mask(arrays: dict[str, Tensor]) -> Tensor:
    return arrays["input/att_mask"] > 0


@pytest.fixture(scope="module")
def max_length(facts: dict[str, Any]) -> int:
    return facts["config"]["cfg"]["MODEL"]["SEQ_LEN"]


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


@torch.no_grad()
def found_by(model: XLan, regions: Tensor, mask: Tensor, config: SearchConfig) -> list[list[Hypothesis]]:
    memory, first = model.begin(regions, mask)

    def step(ids: np.ndarray, parts: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray, tuple[Tensor, ...]]:
        kept, moving = parts[: len(memory)], parts[len(memory) :]
        log_probs, attention, following = model.step(torch.from_numpy(ids), kept, moving)
        return log_probs.numpy(), attention.numpy(), (*kept, *following)

    return search(step, (*memory, *first), END, END, config, len(regions), len(memory))


def with_end(hypothesis: Hypothesis, length: int) -> list[int]:
    """Its symbols as the original gives them: filled with the end."""
    return [*hypothesis.ids, *[END] * (length - len(hypothesis.ids))]


def test_encoder(model, arrays, regions, mask):
    with torch.no_grad():
        whole, encoded = model.encode(regions, mask)
    assert_near(whole, arrays["output/gv_feat"])
    assert_near(encoded[mask], arrays["output/att_feats"][mask])


def test_keys_and_second_values_of_the_decoder(model, arrays, regions, mask):
    """The original lays them out by head: the keys of all blocks, then the second values of all blocks."""
    with torch.no_grad():
        memory, _ = model.begin(regions, mask)
    found = memory.keys_values.permute(0, 3, 4, 2, 1, 5).flatten(3)  # (B, H, R, 2 · blocks · D / H)
    by_region = arrays["output/p_att_feats"].transpose(1, 2)[mask]
    assert_near(found.transpose(1, 2)[mask], by_region)


def test_what_padding_holds_does_not_matter(model, arrays, regions, mask):
    other = torch.where(mask.unsqueeze(-1), regions, torch.full_like(regions, 9.0))
    with torch.no_grad():
        whole, encoded = model.encode(other, mask)
    assert_near(whole, arrays["output/gv_feat"])
    assert_near(encoded[mask], arrays["output/att_feats"][mask])


def test_teacher_forced_scores_and_loss(model, arrays, regions, mask):
    ids, targets = arrays["input/input_seq"], arrays["input/target_seq"]
    with torch.no_grad():
        output = model(regions, mask, ids, captions_per_picture=len(ids) // len(regions))
    assert_near(output.logits, arrays["output/logits"])
    assert_near(output.logits.log_softmax(-1), arrays["output/logprobs"])
    assert_near(caption_cross_entropy(output.logits, targets, IGNORED), arrays["output/xe_loss"])


def test_first_step(model, arrays, regions, mask):
    with torch.no_grad():
        memory, state = model.begin(regions, mask)
        log_probs, _, _ = model.step(torch.full((len(regions),), END), memory, state)
    assert_near(log_probs, arrays["output/greedy_step_logprobs"])


def test_greedy_search(model, arrays, regions, mask, max_length):
    config = SearchConfig(method="greedy", max_length=max_length)
    for i, (best,) in enumerate(found_by(model, regions, mask, config)):
        n = int(arrays["output/greedy_len"][i])
        assert with_end(best, max_length) == arrays["output/greedy_ids"][i].tolist()
        assert_near(torch.tensor(best.token_log_probs), arrays["output/greedy_logprobs"][i, :n])
        assert best.log_prob == pytest.approx(float(arrays["output/greedy_score"][i]), abs=TOLERANCE)


def test_beam_search(facts, model, arrays, regions, mask, max_length):
    """All beams, best first, by the preset of the published figures."""
    for size in facts["config"]["beam_sizes"]:
        config = replace(XLAN_SEARCH, beam_size=size, n_results=size, max_length=max_length)
        for i, beams in enumerate(found_by(model, regions, mask, config)):
            assert len(beams) == size
            found = [with_end(beam, max_length) for beam in beams]
            assert found == arrays[f"output/beam{size}_all_ids"][i].tolist()
            assert_near(torch.tensor([beam.log_prob for beam in beams]), arrays[f"output/beam{size}_all_score"][i])
            scores = torch.tensor(beams[0].token_log_probs)
            assert found[0] == arrays[f"output/beam{size}_ids"][i].tolist()
            assert_near(scores, arrays[f"output/beam{size}_logprobs"][i, : len(scores)])


def test_the_published_search_takes_three_beams_and_seventeen_steps():
    assert (XLAN_SEARCH.beam_size, XLAN_SEARCH.max_length, XLAN_SEARCH.length_penalty) == (3, 17, 0.0)


def test_the_way_back_to_the_original(model, original):
    again = xlan_state_dict(model)
    assert set(again) == set(original)
    biases = ("att_lstm.bias_ih", "att_lstm.bias_hh")
    assert_near(again[biases[0]] + again[biases[1]], original[biases[0]] + original[biases[1]])
    unseen = {name for name in original if name.endswith("attention_last.bias")}
    for name in set(original) - {*biases} - unseen:
        assert torch.equal(again[name], original[name]), name
