"""From WebDataset shards to captions, as users type it: prepare, train, export, evaluate."""

import json
from pathlib import Path

import pytest

from optophone.cli.main import run
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_configuration
from tiny_shards import put_into_shards


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shards, their index "data", and a finished run over it."""
    put_into_shards(write_captioned_pictures(tmp_path / "packed"), tmp_path / "shards", tmp_path / "by-hand")
    monkeypatch.chdir(tmp_path)
    assert run(["prepare", "shards", "shards", "data", "--jobs", "1"]) == 0
    mapping = captioner_experiment(Path("data"))
    mapping["search"]["min_length"] = 3
    assert run(["train", str(write_configuration(tmp_path / "tiny.yaml", mapping)), "--out", "run"]) == 0
    return tmp_path


def test_it_becomes_a_bundle_and_is_evaluated(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "run", "-o", "bundle", "--precision", "int8"]) == 0
    command = ["evaluate", "captions", "bundle", "data", "--no-java", "-q", "--split", "dev", "--report", "page"]
    assert run([*command, "-o", "scores.json"]) == 0
    found = json.loads(Path("scores.json").read_text())
    assert list(found["captions"]) == [f"dev{i}" for i in range(4)]
    assert all(len(caption.split()) >= 3 for caption in found["captions"].values())
    capfd.readouterr()
    Path("shards/dev-00000.tar").unlink()
    assert run(command) == 2
    assert capfd.readouterr().err.startswith("optophone: data/../shards/dev-00000.tar: cannot read the shard (No such")


def test_what_does_not_read_shards_says_so(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mapping = {"kind": "encoder", "name": "x", "data": {"folder": "data"}, "model": {"widths": [4], "depths": [1]}}
    assert run(["train", str(write_configuration(trained / "x.yaml", mapping)), "--out", "x"]) == 2
    assert "data: its pictures lie in shards, which captioners train on" in capfd.readouterr().err
