"""Which items belong to which training step, as a function of the seed and the step alone.

A run that is killed and resumed must go on exactly as if nothing had happened. So nothing about the order of the data
lives in memory only: the batches of pass p over the data are planned from (seed, p), and a step's random numbers are
drawn from (seed, step). Any step can be recomputed from the checkpoint before it.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from optophone.core.errors import ConfigurationError

Plan = Callable[[int], list[list[int]]]

MIXED_STEPS = 1000  # a mixture's shares are kept exactly in every so many steps


@dataclass(frozen=True)
class Portion:
    """What one of several processes takes of each step's items: the `number`th, from 0, of `count` equal runs."""

    number: int = 0
    count: int = 1

    def of(self, n_items: int) -> slice:
        """Its places among `n_items`; the portions of all processes are the whole, and differ by one item at most."""
        return slice(n_items * self.number // self.count, n_items * (self.number + 1) // self.count)


@dataclass(frozen=True)
class StepItems:
    """The items of one training step.

    Args:
        seed: of the run.
        step: counted from 0 over the whole run.
        indices: rows of the data set.
        portion: which of them are read. Random numbers are drawn for all, so that a step is the same however many
            processes share it.
    """

    seed: int
    step: int
    indices: Sequence[int]
    portion: Portion = Portion()

    @property
    def mine(self) -> slice:
        """The places in `indices` of the items that are read."""
        return self.portion.of(len(self.indices))

    def generator(self) -> np.random.Generator:
        """Random numbers that belong to this step, for augmentation."""
        return np.random.default_rng((self.seed, 1, self.step))


def shuffled_plan(n_items: int, batch_size: int, seed: int) -> Plan:
    """Batches of `batch_size` in random order, another order each pass; the incomplete last batch is left out.

    Raises:
        ConfigurationError: a batch of nothing, or of more items than there are.
    """
    _check_batch_size(batch_size, n_items)

    def plan(epoch: int) -> list[list[int]]:
        order = np.random.default_rng((seed, 0, epoch)).permutation(n_items)
        usable = n_items - n_items % batch_size
        return order[:usable].reshape(-1, batch_size).tolist()

    return plan


def sharded_plan(shards: Sequence[int], batch_size: int, shards_at_once: int, seed: int) -> Plan:
    """Batches of items that lie in shards, some shards after the other, so that none is read from twice in a pass.

    Each pass takes the shards in another order, some at a time, and the items of those in random order. Every item has
    its turn in every pass: the last batch of one is filled with the first items of the next. Within a batch the items
    stand shard by shard, so that each of several processes reads mostly from some of the shards.

    Args:
        shards: number of the shard that each item lies in.
        batch_size: items of a batch.
        shards_at_once: how many shards are mixed; about as many at the end of a pass.
        seed: of the run.

    Raises:
        ConfigurationError: a batch of nothing, or of more items than there are.
    """
    _check_batch_size(batch_size, len(shards))
    assert shards_at_once > 0
    of_item = np.asarray(shards)
    counts = np.unique(of_item, return_counts=True)[1]
    items = np.split(np.argsort(of_item, kind="stable"), np.cumsum(counts)[:-1])

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng((seed, 0, epoch))
        windows = np.array_split(rng.permutation(len(items)), -(-len(items) // shards_at_once))
        return np.concatenate([rng.permutation(np.concatenate([items[i] for i in window])) for window in windows])

    def plan(epoch: int) -> list[list[int]]:
        flat = np.concatenate([order(epoch), order(epoch + 1)[: batch_size - 1]])
        first = -epoch * len(shards) % batch_size  # what the batch before took of this pass
        batches = [flat[i : i + batch_size] for i in range(first, len(shards), batch_size)]
        return [batch[np.lexsort((batch, of_item[batch]))].tolist() for batch in batches]

    return plan


def length_plan(lengths: Sequence[int], frames_per_batch: int, max_batch: int, seed: int) -> Plan:
    """Batches of items of similar length, each with about `frames_per_batch` padded frames.

    Lengths are jittered by up to a tenth before sorting, so that batches differ from pass to pass; then the batches are
    shuffled.
    """
    assert len(lengths) > 0, "no items"
    true_lengths = np.asarray(lengths, dtype=np.float64)

    def plan(epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((seed, 0, epoch))
        order = np.argsort(true_lengths * rng.uniform(0.9, 1.1, len(true_lengths)), kind="stable")
        batches: list[list[int]] = []
        batch: list[int] = []
        longest = 0.0
        for index in order.tolist():
            longest = max(longest, true_lengths[index])
            if batch and (longest * (len(batch) + 1) > frames_per_batch or len(batch) == max_batch):
                batches.append(batch)
                batch, longest = [], true_lengths[index]
            batch.append(index)
        batches.append(batch)
        return [batches[i] for i in rng.permutation(len(batches))]

    return plan


def mixed_plan(plans: Sequence[Plan], sizes: Sequence[int], shares: Sequence[float], seed: int) -> Plan:
    """Batches of several data sets in turn, each batch from one of them, in random order.

    Each data set has its share of every `MIXED_STEPS` batches, rounded to whole batches; the first takes the rest. So
    how far a data set has come at any step follows from the step.

    Args:
        plans: of each data set by itself.
        sizes: items of each; item i of the second data set is sizes[0] + i, and so on.
        shares: of the batches, adding up to 1.
        seed: of the run.
    """
    assert len(plans) == len(sizes) == len(shares)
    counts = [round(share * MIXED_STEPS) for share in shares]
    counts[0] += MIXED_STEPS - sum(counts)
    first = np.cumsum([0, *sizes[:-1]]).tolist()
    turns = np.repeat(np.arange(len(plans)), counts)

    @functools.cache
    def plan(epoch: int) -> list[list[int]]:
        batches = [batches_from(one, epoch * count) for one, count in zip(plans, counts, strict=True)]
        order = np.random.default_rng((seed, 2, epoch)).permutation(turns)
        return [[first[turn] + index for index in next(batches[turn])] for turn in order.tolist()]

    return plan


def batches_from(plan: Plan, step: int) -> Iterator[list[int]]:
    """The batches of `plan` from `step` of the run on, without end; passes may differ in their number of batches."""
    epoch = 0
    batches = plan(epoch)
    while step >= len(batches):
        step -= len(batches)
        epoch += 1
        batches = plan(epoch)
    while True:
        yield from batches[step:]
        step = 0
        epoch += 1
        batches = plan(epoch)


def _check_batch_size(batch_size: int, n_items: int) -> None:
    if not 0 < batch_size <= n_items:
        raise ConfigurationError(f"data.batch_size is {batch_size}; give 1 to {n_items}, the items of the data set.")


class SegmentSampler(Sampler[StepItems]):
    """Yields the steps of one segment of the run; a segment is what the trainer counts as an epoch.

    Checkpoints are written between segments, so a resumed run starts at the first step of one.

    Args:
        plan: pass over the data → its batches.
        segment_steps: optimizer steps in a segment.
        seed: of the run.
        max_steps: the length of the run; the last segment may be shorter.
        portion: what this process takes of every step.
    """

    def __init__(
        self, plan: Plan, segment_steps: int, seed: int, max_steps: int, portion: Portion | None = None
    ) -> None:
        self.plan = plan
        self.portion = portion or Portion()
        self.segment_steps = segment_steps
        self.seed = seed
        self.max_steps = max_steps
        self.segment = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each segment."""
        self.segment = epoch

    def __len__(self) -> int:
        return min(self.segment_steps, max(self.max_steps - self.segment * self.segment_steps, 0))

    def __iter__(self) -> Iterator[StepItems]:
        first = self.segment * self.segment_steps
        batches = batches_from(self.plan, first)
        for step in range(first, first + len(self)):
            yield StepItems(self.seed, step, next(batches), self.portion)
