"""Pretending that only some pictures have captions: nested shares of them, and pairs whose pictures are exchanged."""

import hashlib
from collections.abc import Sequence

from optophone.data.manifest import Row
from optophone.data.steps import Plan

Captions = list[list[list[int]]]


def paired_rows(rows: Sequence[Row], share: float, seed: int) -> list[int]:
    """Places of the rows whose captions belong to their pictures, in the order of `rows`.

    A picture keeps all of its captions or none, so that speech alone is never about a picture of a pair. Which ones
    keep them is decided by a hash of seed and id: a smaller share is part of every larger one with the same seed.

    Args:
        rows: of a split.
        share: of them, over 0 and at most 1; at least one picture keeps its captions.
        seed: another number chooses others.
    """
    n_paired = max(1, round(share * len(rows)))
    return sorted(_drawn(rows, range(len(rows)), seed)[:n_paired])


def alone(n_rows: int, paired: Sequence[int]) -> list[int]:
    """Places of the other rows."""
    kept = set(paired)
    return [place for place in range(n_rows) if place not in kept]


def exchange_captions(captions: Captions, rows: Sequence[Row], paired: Sequence[int], seed: int) -> Captions:
    """`captions` with those of the pairs exchanged among each other: a control that pictures can teach nothing.

    Every picture gets all captions of another one, as long as there are two.
    """
    order = _drawn(rows, paired, seed)
    exchanged = list(captions)
    for place, other in zip(order, [*order[1:], *order[:1]], strict=True):
        exchanged[place] = captions[other]
    return exchanged


def plan_over(plan: Plan, places: Sequence[int]) -> Plan:
    """`plan`, which counts from 0, over the items at `places`."""

    def chosen(epoch: int) -> list[list[int]]:
        return [[places[index] for index in batch] for batch in plan(epoch)]

    return chosen


def _drawn(rows: Sequence[Row], places: Sequence[int], seed: int) -> list[int]:
    """`places` of `rows` in an order that looks like chance and depends on nothing but seed and ids."""
    return sorted(places, key=lambda place: hashlib.sha256(f"{seed} {rows[place]['id']}".encode()).digest())
