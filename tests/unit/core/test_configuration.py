"""Strict configuration: what is misspelt is refused, what is right comes back equal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError


@dataclass(frozen=True)
class Inner:
    size: int
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner(3)
    method: Literal["beam", "greedy"] = "beam"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, str] = (1.0, "a")
    limit: int | None = None
    either: int | str = 0
    on: bool = False
    free: Any = None
    table: Mapping[str, Inner] = field(default_factory=dict)


FULL = {
    "name": "n",
    "inner": {"size": 4, "rate": 1},
    "method": "greedy",
    "sizes": [5, 6, 7],
    "pair": [2, "b"],
    "limit": 9,
    "either": "x",
    "on": True,
    "free": {"anything": [1]},
    "table": {"a": {"size": 1}},
}


def test_builds_nested_dataclasses() -> None:
    built = from_mapping(Outer, FULL)
    assert built == Outer(
        "n", Inner(4, 1.0), "greedy", (5, 6, 7), (2.0, "b"), 9, "x", True, {"anything": [1]}, {"a": Inner(1)}
    )
    assert isinstance(built.inner.rate, float)


def test_defaults_stand_where_nothing_is_said() -> None:
    assert from_mapping(Outer, {"name": "n"}) == Outer("n")


def test_round_trip_through_json() -> None:
    outer = from_mapping(Outer, FULL)
    assert from_mapping(Outer, json.loads(json.dumps(to_mapping(outer)))) == outer


def test_a_ready_dataclass_is_taken_as_it_is() -> None:
    assert from_mapping(Outer, {"name": "n", "inner": Inner(8)}).inner == Inner(8)


def test_yaml_writes_small_numbers_as_text() -> None:
    assert from_mapping(Inner, {"size": 1, "rate": "1e-4"}).rate == 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": "x"}, "unknown option 'nmae'"),
        ({"inner": {"sise": 1}}, "inner: unknown option 'sise'"),
        ({"inner": {}}, "'size' of Inner is missing"),
        ({"inner": 3}, "inner"),
        ({"inner": {"size": "4"}}, r"inner\.size: expected int"),
        ({"inner": {"size": 4.0}}, "expected int"),
        ({"inner": {"size": True}}, "expected int"),
        ({"inner": {"size": 1, "rate": "fast"}}, "'fast' is not a number"),
        ({"inner": {"size": 1, "rate": True}}, "expected float"),
        ({"inner": {"size": 1, "rate": None}}, "expected float"),
        ({"method": "magic"}, "'magic' is not one of beam, greedy"),
        ({"sizes": 5}, "expected a list"),
        ({"sizes": "56"}, "expected a list"),
        ({"sizes": [1, "x"]}, r"sizes\[1\]"),
        ({"pair": [1.0]}, "expected 2 values, found 1"),
        ({"limit": "many"}, "limit"),
        ({"either": 1.5}, "either"),
        ({"on": 1}, "expected bool"),
        ({"name": None}, "expected str"),
        ({"table": []}, "expected a mapping"),
        ({"table": {"a": {"size": "x"}}}, r"table\.a\.size"),
    ],
)
def test_refuses_and_names_the_key(changes: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        from_mapping(Outer, {**FULL, **changes}, where="run.yaml")
    assert str(caught.value).startswith("run.yaml")
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Other:
    length: int
    rate: float = 0.1


@dataclass(frozen=True)
class Choice:
    one: Inner | Other | None = None


def test_of_several_kinds_the_one_that_knows_the_options_is_built() -> None:
    assert from_mapping(Choice, {"one": {"size": 1}}) == Choice(Inner(1))
    assert from_mapping(Choice, {"one": {"length": 2, "rate": 1}}) == Choice(Other(2, 1.0))
    assert from_mapping(Choice, {"one": None}) == Choice()


@pytest.mark.parametrize("known", ["size", "length"])
def test_an_error_speaks_of_the_kind_that_was_meant(known: str) -> None:
    kind = "Inner" if known == "size" else "Other"
    with pytest.raises(ConfigurationError, match=f"'misspelt'; {kind} knows: {known}, rate"):
        from_mapping(Choice, {"one": {known: 1, "misspelt": 2}})


def test_refuses_a_missing_option_and_what_is_no_mapping() -> None:
    with pytest.raises(ConfigurationError, match="'name' of Outer is missing"):
        from_mapping(Outer, {})
    with pytest.raises(ConfigurationError, match="expected options for Outer"):
        from_mapping(Outer, [1, 2])  # type: ignore[arg-type]
