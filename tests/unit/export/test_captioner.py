"""The search that an exported captioner comes with."""

from dataclasses import replace

import pytest

from optophone.core.search import SearchConfig
from optophone.core.unit_origin import UnitOrigin
from tiny_models import tiny_captioner

COLLAPSED = UnitOrigin("units", "0" * 64, None, 0.04, "collapsed")


@pytest.mark.parametrize(
    ("origin", "said", "expected"),
    [
        (COLLAPSED, None, True),
        (COLLAPSED, False, False),
        (replace(COLLAPSED, run_length="off"), None, None),
        (None, None, None),
        (None, True, True),
    ],
)
def test_collapsed_units_are_never_repeated_unless_it_is_said(
    origin: UnitOrigin | None, said: bool | None, expected: bool | None
) -> None:
    trained = tiny_captioner("show-attend-tell")
    trained = replace(trained, units=origin, search=SearchConfig(forbid_repeats=said))
    assert trained.exported_search().forbid_repeats is expected
