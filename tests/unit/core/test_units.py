"""Runs of units."""

from itertools import groupby

import numpy as np

from optophone.core.units import collapse, expand


def test_expand_undoes_collapse() -> None:
    random = np.random.default_rng(0)
    for size in [0, 1, 2, *random.integers(3, 200, 60)]:
        units = random.integers(0, 3, size)
        runs = collapse(units)
        assert runs.lengths.sum() == size
        assert (runs.lengths > 0).all()
        assert (runs.units[1:] != runs.units[:-1]).all()
        assert runs.units.tolist() == [unit for unit, _ in groupby(units.tolist())]
        assert np.array_equal(expand(*runs), units)
        assert expand(*runs).dtype == np.int64


def test_units_alone_are_each_one_frame_or_as_many_as_said() -> None:
    runs = collapse([4, 4, 1, 4])
    assert expand(runs.units).tolist() == [4, 1, 4]
    assert expand(runs.units, 2).tolist() == [4, 4, 1, 1, 4, 4]
    assert expand([7, 8], [0, 3]).tolist() == [8, 8, 8]
