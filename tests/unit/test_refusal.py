"""What is no photograph is refused in words, aloud too, and described only on demand."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optophone.cli.main import run
from optophone.pipelines import BLANK, NO_PHOTOGRAPH, Describer, Hedge, TokenPipeline
from optophone.runtime.load import load
from tiny_bundles import BRIGHT, DARK, flat, grainy, picture, write_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system(tmp_path_factory.mktemp("bundles") / "system", refuses_flat=True)


@pytest.fixture(scope="module")
def describe(system: Path) -> TokenPipeline:
    return load(system, threads=1)


def test_a_photograph_is_described(describe: TokenPipeline) -> None:
    spoken = describe(grainy())
    assert spoken.text == BRIGHT
    assert not spoken.refused
    assert spoken.photograph is not None
    assert spoken.photograph > 0.9


def test_what_is_no_photograph_is_refused_aloud(describe: TokenPipeline) -> None:
    spoken = describe(flat(), variants=3)
    assert spoken.refused
    assert spoken.text == spoken.said == NO_PHOTOGRAPH
    assert spoken.confidence == 0
    assert spoken.photograph is not None
    assert spoken.photograph < 0.5
    assert len(spoken.variants) == 1
    np.testing.assert_array_equal(spoken.wave, describe.say(NO_PHOTOGRAPH).wave)
    assert sum(map(len, describe.stream(flat()))) == len(spoken.wave)


def test_a_blank_picture_is_called_blank(describe: TokenPipeline) -> None:
    assert describe(picture()).text == BLANK


def test_nothing_is_searched_for_what_is_refused(describe: TokenPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe.describer.captioner, "caption", lambda *_: pytest.fail("searched"))
    assert describe.caption(flat())[0].refused


def test_force_gives_the_guess_with_little_confidence(describe: TokenPipeline) -> None:
    plain = Describer(describe.describer.captioner, describe.search).caption(flat(False))[0]
    hedged = Describer(
        describe.describer.captioner, describe.search, [Hedge(0.3, "perhaps ")], detector=describe.describer.detector
    )
    (guess,) = hedged.caption(flat(False), force=True)
    assert guess.text == plain.text == DARK
    assert not guess.refused
    assert guess.photograph is not None
    assert guess.confidence == pytest.approx(plain.confidence * guess.photograph)
    assert guess.said == "perhaps " + DARK
    assert describe(flat(False), force=True).text == DARK


def test_without_a_detector_everything_is_described(describe: TokenPipeline) -> None:
    (found,) = Describer(describe.describer.captioner, describe.search).caption(flat())
    assert (found.text, found.photograph, found.refused) == (BRIGHT, None, False)


def test_who_writes_no_words_refuses_nothing(tmp_path: Path) -> None:
    units = load(write_system(tmp_path / "units", units=True, refuses_flat=True), threads=1)
    (found,) = units.caption(flat())
    assert found.ids
    assert found.photograph is not None
    assert not found.refused


@pytest.fixture
def drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(flat()).save("drawing.png")
    Image.fromarray(grainy()).save("photo.png")
    return "drawing.png"


def test_caption_says_so_and_all_is_well(drawing: str, system: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(["caption", drawing, "photo.png", "-m", str(system)]) == 0
    refused, described = capfd.readouterr().out.splitlines()
    assert refused == f"drawing.png: {NO_PHOTOGRAPH}"
    assert described.startswith(f"photo.png: {BRIGHT}  (confidence ")


def test_caption_for_programs(drawing: str, system: Path, capfd: pytest.CaptureFixture) -> None:
    for options in ([], ["--force"]):
        assert run(["caption", drawing, "-m", str(system), "--json", *options]) == 0
    refused, forced = map(json.loads, capfd.readouterr().out.splitlines())
    assert (refused["refused"], refused["text"], refused["confidence"]) == (True, NO_PHOTOGRAPH, 0)
    assert (forced["refused"], forced["text"]) == (False, BRIGHT)
    assert refused["photograph"] == forced["photograph"] < 0.5


@pytest.mark.parametrize("options", [[], ["-o", "-"]])
def test_speak_for_programs(
    options: list[str], drawing: str, system: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["speak", drawing, "-m", str(system), "--json", *options]) == 0
    out, err = capfdbinary.readouterr()
    record = json.loads(err if options else out)
    assert record["refused"] is True
    assert record["text"] == NO_PHOTOGRAPH
    assert record["duration_s"] > 0
    assert run(["speak", drawing, "-m", str(system), "--json", "--force", *options]) == 0
    out, err = capfdbinary.readouterr()
    assert json.loads(err if options else out)["text"] == BRIGHT
