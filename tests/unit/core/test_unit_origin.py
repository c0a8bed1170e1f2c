"""Whose units a part is over, and that parts over other units are refused."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from optophone.core.bundle import check_composition, open_bundle
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.unit_origin import UnitOrigin, unit_origin
from optophone.core.vocabulary import build_units
from tiny_bundles import write_captioner, write_voice

OURS = UnitOrigin("our-units", "a" * 64, 3, 0.04, "collapsed")
UNITS = build_units(9)


def test_a_configuration_may_state_it() -> None:
    assert unit_origin({}, "here") is None
    assert unit_origin({"units": asdict(OURS)}, "here") == OURS
    with pytest.raises(ConfigurationError, match="here"):
        unit_origin({"units": {"encoder": "x"}}, "here")


def test_names_do_not_matter_but_content_quantizer_and_runs_do() -> None:
    assert OURS.agrees_with(replace(OURS, encoder="copied"))
    others = (replace(OURS, content="b" * 64), replace(OURS, quantizer=2), replace(OURS, run_length="off"))
    assert not any(OURS.agrees_with(other) for other in others)
    assert "our-units" in str(OURS)
    assert "quantizer 3" in str(OURS)


@pytest.mark.parametrize(
    ("theirs", "fits"),
    [
        (OURS, True),
        (replace(OURS, encoder="their-units", content="b" * 64), False),
        (replace(OURS, run_length="off"), False),
        (None, True),
    ],
)
def test_only_parts_over_the_same_units_go_together(theirs: UnitOrigin | None, fits: bool, tmp_path: Path) -> None:
    captioner = open_bundle(write_captioner(tmp_path / "captioner", UNITS, ("1 2", "3 4"), units=asdict(OURS)))
    read = {} if theirs is None else {"units": asdict(theirs)}
    voice = open_bundle(write_voice(tmp_path / "voice", UNITS, **read))
    if fits:
        check_composition(captioner, voice, None)
        return
    with pytest.raises(BundleError) as refused:
        check_composition(captioner, voice, None)
    message = str(refused.value)
    assert "\n" not in message
    assert {"tiny-captioner", "tiny-voice", "our-units", theirs.encoder} <= {
        word.strip("(),;") for word in message.split()
    }
