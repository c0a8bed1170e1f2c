"""The items of a step follow from the seed and the step alone; every item has its turn."""

from itertools import islice, pairwise

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError
from optophone.data.steps import (
    MIXED_STEPS,
    Plan,
    Portion,
    SegmentSampler,
    StepItems,
    length_plan,
    mixed_plan,
    sharded_plan,
    shuffled_plan,
)

SHARDS = [0] * 7 + [1] * 3 + [2] * 9 + [3] * 5 + [4] * 7
LENGTHS = [int(length) for length in np.random.default_rng(4).integers(5, 120, 57)]
PLANS: dict[str, Plan] = {
    "shuffled": shuffled_plan(23, 5, seed=7),
    "by shards": sharded_plan(SHARDS, 5, shards_at_once=2, seed=7),
    "by length": length_plan(LENGTHS, frames_per_batch=300, max_batch=6, seed=7),
    "mixed": mixed_plan([shuffled_plan(23, 5, 7), length_plan(LENGTHS, 300, 6, 7)], [23, 57], [0.6, 0.4], seed=7),
}


def steps_of(plan: Plan, segment: int, segment_steps: int = 4, max_steps: int = 50) -> list[StepItems]:
    sampler = SegmentSampler(plan, segment_steps, seed=7, max_steps=max_steps)
    sampler.set_epoch(segment)
    return list(sampler)


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return PLANS[request.param]


def test_batches_are_a_function_of_seed_and_step(plan: Plan) -> None:
    """Whatever the segments: a run in segments of 4, resumed at any of them, and a run in one piece."""
    whole = steps_of(plan, 0, segment_steps=50)
    assert [items.step for items in whole] == list(range(50))
    parts = [items for segment in reversed(range(13)) for items in steps_of(plan, segment)]
    assert sorted(parts, key=lambda items: items.step) == whole


def test_another_pass_and_another_seed_are_in_another_order() -> None:
    for make in (
        lambda seed: shuffled_plan(23, 5, seed),
        lambda seed: length_plan(LENGTHS, 300, 6, seed),
        lambda seed: sharded_plan(SHARDS, 5, 2, seed),
        lambda seed: mixed_plan([lambda epoch: [[0]], lambda epoch: [[0]]], [1, 1], [0.5, 0.5], seed),
    ):
        assert make(1)(0) == make(1)(0)
        assert make(1)(0) != make(1)(1)
        assert make(1)(0) != make(2)(0)


def test_shuffled_batches_repeat_nothing_within_a_pass() -> None:
    for epoch in range(5):
        batches = PLANS["shuffled"](epoch)
        assert [len(batch) for batch in batches] == [5] * 4
        flat = [index for batch in batches for index in batch]
        assert len(set(flat)) == 20
        assert set(flat) <= set(range(23))


def test_what_one_pass_leaves_out_comes_in_another() -> None:
    seen = {index for epoch in range(6) for batch in PLANS["shuffled"](epoch) for index in batch}
    assert seen == set(range(23))


def test_every_length_comes_once_a_pass_within_the_limits() -> None:
    for epoch in range(5):
        batches = PLANS["by length"](epoch)
        assert sorted(index for batch in batches for index in batch) == list(range(len(LENGTHS)))
        for batch in batches:
            assert 1 <= len(batch) <= 6
            assert len(batch) * max(LENGTHS[index] for index in batch) <= 300


def test_what_is_longer_than_a_batch_comes_alone() -> None:
    batches = length_plan([10, 1000, 10, 10], frames_per_batch=100, max_batch=8, seed=0)(0)
    assert sorted(map(sorted, batches)) == [[0, 2, 3], [1]]


def test_batches_by_length_pad_little() -> None:
    padded = sum(len(batch) * max(LENGTHS[index] for index in batch) for batch in PLANS["by length"](0))
    assert padded < 1.35 * sum(LENGTHS)


def test_the_last_segment_ends_with_the_run(plan: Plan) -> None:
    sampler = SegmentSampler(plan, 4, seed=7, max_steps=10)
    for segment, n in ((0, 4), (1, 4), (2, 2), (3, 0)):
        sampler.set_epoch(segment)
        assert len(sampler) == n
        assert len(list(sampler)) == n


def test_random_numbers_of_a_step() -> None:
    draws = {(seed, step): StepItems(seed, step, []).generator().random() for seed in (0, 1) for step in (0, 1, 2)}
    assert len(set(draws.values())) == 6
    assert StepItems(1, 2, [5]).generator().random() == draws[1, 2]


def test_passes_follow_each_other_without_a_gap(plan: Plan) -> None:
    expected = [batch for epoch in range(20) for batch in plan(epoch)]
    found = [list(items.indices) for items in islice(SegmentSampler(plan, 50, 7, 50), 50)]
    assert found == expected[:50]


@pytest.mark.parametrize("batch_size", [0, 24])
def test_an_impossible_batch_size_is_refused(batch_size: int) -> None:
    for make in (
        lambda: shuffled_plan(23, batch_size, seed=0),
        lambda: sharded_plan([0, 1, 2] * 7 + [0, 1], batch_size, 2, 0),
    ):
        with pytest.raises(ConfigurationError, match=r"batch_size is .*1 to 23"):
            make()


def test_a_mixture_keeps_its_shares() -> None:
    sizes = [10, 20, 30]
    plan = mixed_plan([shuffled_plan(n, 5, 3) for n in sizes], sizes, [0.5, 0.3, 0.2], seed=3)
    batches = [batch for epoch in range(3) for batch in plan(epoch)]
    assert len(batches) == 3 * MIXED_STEPS
    corpora = [np.searchsorted([10, 30, 60], batch, side="right") for batch in batches]
    assert all(len(set(corpus)) == 1 for corpus in corpora), "a step is of one data set"
    turns = np.array([corpus[0] for corpus in corpora])
    assert np.bincount(turns).tolist() == [1500, 900, 600]
    assert np.abs(np.bincount(turns[:200]) - [100, 60, 40]).max() < 30, "in random order"


def test_a_mixture_goes_through_each_data_set_as_if_alone() -> None:
    """Also over the end of a block: nothing comes twice, nothing is skipped."""
    alone = length_plan(LENGTHS, 300, 6, seed=7)
    found = [batch for epoch in range(3) for batch in PLANS["mixed"](epoch) if batch[0] >= 23]
    expected = [[23 + index for index in batch] for epoch in range(200) for batch in alone(epoch)]
    assert len(found) == 1200
    assert found == expected[:1200]


def test_shares_that_are_no_whole_steps_are_rounded() -> None:
    plan = mixed_plan([lambda epoch: [[0]]] * 3, [1] * 3, [1 / 3] * 3, seed=0)
    assert np.bincount(np.array(plan(0))[:, 0]).tolist() == [334, 333, 333]


@pytest.mark.parametrize(("n_items", "count"), [(5, 2), (4, 4), (7, 3), (2, 3), (20, 1)])
def test_portions_are_even_and_complete(n_items: int, count: int) -> None:
    portions = [list(range(n_items))[Portion(number, count).of(n_items)] for number in range(count)]
    assert [item for portion in portions for item in portion] == list(range(n_items))
    assert max(map(len, portions)) - min(map(len, portions)) <= 1


def test_every_item_in_shards_comes_once_a_pass() -> None:
    """Batches go on from pass to pass, so that nothing is left out where the last would be too small."""
    flat = [index for epoch in range(5) for batch in PLANS["by shards"](epoch) for index in sorted(batch)]
    assert len(flat) == 5 * len(SHARDS), "five passes are whole batches"
    batches = [batch for epoch in range(5) for batch in PLANS["by shards"](epoch)]
    assert [len(batch) for batch in batches] == [5] * len(SHARDS)
    assert np.bincount(flat).tolist() == [5] * len(SHARDS)


def test_shards_are_read_one_after_the_other() -> None:
    """The shards of a window are done before the next begins; none comes back within a pass."""
    plan = sharded_plan(SHARDS, 1, shards_at_once=2, seed=7)
    for epoch in range(5):
        shards = [SHARDS[index] for [index] in plan(epoch)]
        places = {shard: [i for i, other in enumerate(shards) if other == shard] for shard in set(shards)}
        open_at = [{shard for shard, at in places.items() if at[0] <= i <= at[-1]} for i in range(len(shards))]
        assert max(map(len, open_at)) == 2
        assert sorted(shards) == sorted(SHARDS)


def test_a_window_over_all_shards_is_a_plain_shuffle() -> None:
    plan = sharded_plan(SHARDS, 1, shards_at_once=99, seed=7)
    order = [index for epoch in range(40) for [index] in plan(epoch)]
    neighbours = np.mean([SHARDS[one] == SHARDS[other] for one, other in pairwise(order)])
    expected = sum((SHARDS.count(shard) / len(SHARDS)) ** 2 for shard in set(SHARDS))
    assert neighbours == pytest.approx(expected, abs=0.05)


def test_within_a_step_items_stand_shard_by_shard() -> None:
    """So each of two processes reads mostly from its own shards."""
    for batch in sharded_plan(SHARDS, 9, 3, seed=1)(0):
        assert [(SHARDS[index], index) for index in batch] == sorted((SHARDS[index], index) for index in batch)
