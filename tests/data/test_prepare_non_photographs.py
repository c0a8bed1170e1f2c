"""`optophone prepare non-photographs`: drawn, split by family, continued, never mixed."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from optophone.cli.main import run
from optophone.cli.prepare import prepare
from optophone.core.errors import DataError
from optophone.data import non_photographs
from optophone.data.drawn import patterns, plain, symbols
from optophone.data.manifest import read_dataset
from optophone.data.non_photographs import Family
from optophone.data.prepare import non_photographs as preparation
from optophone.data.prepare.non_photographs import prepare_non_photographs


@pytest.fixture(autouse=True)
def few_families(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = (("stripes", plain.stripes, "train"), ("face", symbols.face, "train"), ("tiles", patterns.tiles, "test"))
    few = {name: Family(name, draw, split) for name, draw, split in drawn}  # type: ignore[arg-type]
    monkeypatch.setattr(non_photographs, "FAMILIES", few)
    monkeypatch.setattr(non_photographs, "LARGEST", 120)


def test_rows_name_their_family_and_their_file(tmp_path: Path) -> None:
    dataset = prepare_non_photographs(tmp_path / "out", count=3)
    rows = dataset.rows("train")
    assert [row["family"] for row in rows] == ["stripes"] * 3 + ["face"] * 3
    assert {row["family"] for row in dataset.rows("test")} == {"tiles"}
    for row in rows:
        assert Image.open(dataset.path("picture", row)).mode == "RGB"
    assert read_dataset(tmp_path / "out").options["count"] == 3


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare_non_photographs(tmp_path / "whole", count=3)
    draw, n_drawn = preparation.draw_non_photograph, []

    def stop_at_five(family: Family, index: int, seed: int) -> Image.Image:
        n_drawn.append(family.name)
        if len(n_drawn) == 5:
            raise KeyboardInterrupt
        return draw(family, index, seed)

    monkeypatch.setattr(preparation, "draw_non_photograph", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        prepare_non_photographs(tmp_path / "out", count=3)
    assert prepare_non_photographs(tmp_path / "out", count=3).hash() == whole.hash()
    assert len(n_drawn) == 5 + 9 - 4
    for row in whole.rows("train"):
        kept = tmp_path / "out/pictures" / row["picture"]
        assert kept.read_bytes() == whole.path("picture", row).read_bytes()


def test_as_a_user_types_it(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    out = str(tmp_path / "out")
    assert run(["prepare", "non-photographs", out, "--count", "1", "--seed", "4"]) == 0
    assert run(["prepare", "non-photographs", out, "--count", "1", "--seed", "4"]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert "non-photographs is ready (2 train, 1 test)" in first
    assert "nothing to do" in second
    with pytest.raises(DataError, match="seed 4 there, 0 asked for"):
        prepare_non_photographs(out, count=1)


def test_nothing_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--count 0"):
        prepare_non_photographs(tmp_path / "out", count=0)


@pytest.mark.parametrize("arguments", [["non-photographs", "a", "b"], ["flickr8k", "a"]])
def test_folders_are_given_where_they_are_needed(arguments: list[str]) -> None:
    result = CliRunner().invoke(prepare, arguments)
    assert result.exit_code == 2
    assert "OUT" in result.output
