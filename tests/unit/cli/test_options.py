"""What the options of the search make of a bundle's own search."""

from dataclasses import replace

import click
import pytest

from optophone.cli.options import SearchOptions
from optophone.core.errors import ConfigurationError
from optophone.core.search import SearchConfig

OWN = SearchConfig(beam_size=5, max_length=17, n_results=3, length_penalty=0.7, finished="in_beam")


def test_nothing_said_leaves_the_search_as_it_is() -> None:
    assert SearchOptions().apply(OWN) == replace(OWN, n_results=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"beam": 2}, {"beam_size": 2}),
        ({"diverse": 3}, {"beam_size": 6, "groups": 3, "finished": "aside"}),
        ({"diverse": 3, "beam": 8, "diversity": 1.5}, {"beam_size": 9, "groups": 3, "diversity": 1.5}),
        ({"diverse": 1}, {"beam_size": 5, "groups": 1, "finished": "in_beam"}),
        ({"length_penalty": 0.0, "block_ngram": 3}, {"length_penalty": 0.0, "block_ngram": 3, "method": "beam"}),
        ({"forbid_repeats": False}, {"forbid_repeats": False, "method": "beam"}),
        ({"top_k": 4}, {"method": "sample", "top_k": 4}),
        ({"sample": True, "seed": 7}, {"method": "sample", "seed": 7}),
    ],
)
def test_options_change_what_they_name(options: dict, expected: dict) -> None:
    found = SearchOptions(**options).apply(OWN)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.n_results == 1


def test_sampling_takes_a_bundle_of_groups_too() -> None:
    grouped = SearchConfig(beam_size=4, groups=2)
    assert SearchOptions(sample=True).apply(grouped).groups == 1
    assert SearchOptions(beam=5).apply(grouped).beam_size == 6


@pytest.mark.parametrize("options", [{"beam": 2}, {"diverse": 2}, {"diversity": 1.0}])
def test_searching_and_drawing_exclude_each_other(options: dict) -> None:
    with pytest.raises(click.UsageError, match="choose one"):
        SearchOptions(sample=True, **options).apply(OWN)


def test_impossible_values_are_told() -> None:
    with pytest.raises(ConfigurationError, match="diversity"):
        SearchOptions(diverse=2, diversity=-1.0).apply(OWN)
