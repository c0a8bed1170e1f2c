"""The runs that a run began with, as its card tells them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from optophone.cli.run_facts import earlier_runs
from optophone.core.bundle import BundleManifest, open_bundle
from optophone.export.card import write_card
from optophone.export.results import content_hash
from optophone.export.training_facts import EarlierRun, TrainingFacts
from tiny_bundles import write_captioner, write_system


def write_run(folder: Path, name: str, steps: int, **options: Any) -> str:
    folder.mkdir()
    (folder / "configuration.yaml").write_text(
        yaml.safe_dump({"name": name, "trainer": {"max_steps": steps}, **options})
    )
    return str(folder / "voice.safetensors")


def test_weights_and_alignments_are_followed_to_their_beginning(tmp_path: Path) -> None:
    eyes = write_run(tmp_path / "eyes", "eyes", 5)
    first = write_run(tmp_path / "first", "first", 10, model={"encoder": {"encoder_weights": eyes}})
    write_run(tmp_path / "aligner", "aligner", 20, weights=first)
    configuration = {"weights": first, "aligner_from": str(tmp_path / "aligner"), "data": {"folder": str(tmp_path)}}
    assert earlier_runs(configuration) == (EarlierRun("first", 10), EarlierRun("aligner", 20), EarlierRun("eyes", 5))
    assert earlier_runs({"weights": None, "other": first}) == ()


def test_a_bundle_tells_of_its_own_run(tmp_path: Path) -> None:
    training = {"training": {"steps": 7, "earlier": [{"name": "first", "steps": 3}]}}
    write_captioner(tmp_path / "bundle", **training)
    configuration = {"encoder_from": str(tmp_path / "bundle")}
    assert earlier_runs(configuration) == (EarlierRun("tiny-captioner", 7), EarlierRun("first", 3))
    write_system(tmp_path / "system")
    assert earlier_runs({"encoder_from": str(tmp_path / "system")}) == (EarlierRun("tiny-captioner", 0),)


def test_what_is_gone_or_goes_in_a_circle_stops_nothing(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", "one", 1, weights=str(tmp_path / "two" / "w.safetensors"))
    write_run(tmp_path / "two", "two", 2, weights=one)
    assert earlier_runs({"weights": one}) == (EarlierRun("one", 1), EarlierRun("two", 2))
    assert earlier_runs({"weights": str(tmp_path / "gone" / "w.safetensors")}) == ()


@pytest.fixture
def manifest(tmp_path: Path) -> BundleManifest:
    return open_bundle(write_system(tmp_path / "system") / "captioner").manifest


def test_the_card_names_them_and_results_stay_valid(manifest: BundleManifest) -> None:
    facts = TrainingFacts("voice", "speech", "0" * 64, "none", steps=7)
    told = replace(facts, earlier=(EarlierRun("first", 10),))
    before, after = (
        replace(manifest, configuration={**manifest.configuration, "training": one.to_mapping()})
        for one in (facts, told)
    )
    assert "- before it first, 10 optimizer steps" in write_card(after)
    assert "before it" not in write_card(before)
    assert content_hash(after) == content_hash(before)
