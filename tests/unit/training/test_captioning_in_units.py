"""Training of captioners whose captions are units of speech."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import build_vocabulary
from optophone.data.prepare.region_features import prepare_region_features
from optophone.training.captioning import CaptioningExperiment, CaptioningObjective, read_units, run_captioning
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_spoken_captions
from tiny_textless import N_UNITS, unit_captioner_experiment, write_unit_column


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pictures, and the units of what is said about them."""
    folder = tmp_path_factory.mktemp("data")
    speech = write_spoken_captions(folder / "speech", write_captioned_pictures(folder / "pictures", 16))
    write_unit_column(folder / "units", speech)
    return folder / "pictures", folder / "units"


def mapping_of(folders: tuple[Path, Path], **data: Any) -> dict[str, Any]:
    mapping = unit_captioner_experiment(*folders)
    mapping["data"] |= data
    return mapping


def test_the_vocabulary_is_the_columns(folders: tuple[Path, Path]) -> None:
    experiment = from_mapping(CaptioningExperiment, mapping_of(folders))
    vocabulary = build_vocabulary([], experiment.data)
    assert vocabulary == Vocabulary.load(folders[1] / "vocabulary.json")
    assert (vocabulary.kind, len(vocabulary)) == ("units", N_UNITS + 3)


@pytest.mark.parametrize(
    ("run_length", "said", "expected"),
    [("collapsed", None, True), ("collapsed", False, False), ("off", None, None), ("off", True, True)],
)
def test_collapsed_units_are_searched_for_without_repeats(
    folders: tuple[Path, Path], run_length: str, said: bool | None, expected: bool | None
) -> None:
    mapping = mapping_of(folders, max_symbols=150)
    mapping["data"]["run_length"] = run_length
    mapping["search"] = {"forbid_repeats": said}
    assert from_mapping(CaptioningExperiment, mapping).search_in_symbols().forbid_repeats is expected


def test_units_are_counted_one_by_one_and_have_places(folders: tuple[Path, Path]) -> None:
    mapping = mapping_of(folders, max_symbols=150)
    mapping["search"] = {"max_length": 140, "block_ngram": 3}
    experiment = from_mapping(CaptioningExperiment, mapping)
    assert experiment.data.longest == 150
    assert experiment.search_in_symbols() == replace(experiment.search, forbid_repeats=True)
    assert experiment.decoder_in_symbols().options["max_length"] == 150


@pytest.mark.parametrize("data", [{"units": None}, {"symbols": "words"}])
def test_units_and_their_column_need_each_other(data: dict[str, Any], folders: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigurationError, match="need each other"):
        from_mapping(CaptioningExperiment, mapping_of(folders, **data))


def test_measures_count_units(folders: tuple[Path, Path]) -> None:
    experiment = from_mapping(CaptioningExperiment, mapping_of(folders))
    units = read_units(experiment.data)
    assert units is not None
    said = units.captions("dev")
    rows = [{"id": name, "captions": captions} for name, captions in said.items()]
    objective = CaptioningObjective(experiment, units.vocabulary, rows, None)
    objective.captions = [captions[0] for captions in said.values()]
    perfect = objective.measures()
    assert perfect["bleu_4"] == pytest.approx(100, abs=0.1)
    assert (perfect["unit_error_rate"], perfect["unfinished"]) == (0, 0)
    assert perfect["mean_length"] > 5, "units are counted, not texts"
    objective.captions = [caption + " 0" for captions in said.values() for caption in captions[:1]]
    objective.n_unfinished = 1
    wrong = objective.measures()
    assert 0 < wrong["unit_error_rate"] < 0.2
    assert wrong["unfinished"] == 1 / len(rows)
    assert objective.n_unfinished == 0


@pytest.mark.parametrize("self_critical", [False, True])
def test_a_run_over_units(
    self_critical: bool, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    mapping = mapping_of(folders, max_symbols=10, run_length="off")
    mapping["trainer"] |= {"max_steps": 2, "validate_every": 2}
    run_captioning(from_mapping(CaptioningExperiment, mapping), tmp_path)
    out = capsys.readouterr().out
    assert "of the captions are longer than 10 symbols and lose their end" in out
    assert "unit_error_rate" in out
    if self_critical:
        mapping |= {"self_critical": {"n_samples": 2}, "captioner_weights": str(tmp_path / "captioner.safetensors")}
        again = tmp_path / "again"
        again.mkdir()
        run_captioning(from_mapping(CaptioningExperiment, mapping), again)
        assert (again / "captioner.safetensors").is_file()


@pytest.mark.parametrize("eyes", ["frozen encoder", "region features"])
def test_pictures_may_be_seen_beforehand(eyes: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    mapping = mapping_of(folders)
    mapping["trainer"] |= {"max_steps": 1, "validate_every": 1}
    if eyes == "frozen encoder":
        mapping["frozen_views"] = 1
    else:
        (tmp_path / "features").mkdir()
        for split, n in (("train", 12), ("dev", 4)):
            for i in range(n):
                np.savez(tmp_path / "features" / f"{split}{i}.npz", feat=np.ones((i % 3 + 1, 6), np.float32))
        prepare_region_features(tmp_path / "features", tmp_path / "packed")
        mapping["data"]["regions"], mapping["encoder"] = str(tmp_path / "packed"), {"n_features": 6}
    run = tmp_path / "run"
    run.mkdir()
    run_captioning(from_mapping(CaptioningExperiment, mapping), run)
    assert (run / "captioner.safetensors").is_file()
    assert (tmp_path / "regions").exists() == (eyes == "frozen encoder")


def test_a_captioner_learns_to_write_units(folders: tuple[Path, Path], tmp_path: Path) -> None:
    mapping = mapping_of(folders, batch_size=6)
    mapping["optimizer"] = {"learning_rate": 1e-2, "warmup_steps": 10}
    mapping["trainer"] |= {"max_steps": 70, "segment_steps": 70, "validate_every": 2}
    experiment = from_mapping(CaptioningExperiment, mapping)
    measured: list[dict[str, float]] = []

    class Listening(CaptioningObjective):
        def measures(self) -> dict[str, float]:
            measured.append(super().measures())
            return measured[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optophone.training.captioning.CaptioningObjective", Listening)
        trainer = replace(experiment.trainer, validate_every=1)
        run_captioning(replace(experiment, trainer=trainer), tmp_path)
    assert measured[-1]["bleu_4"] > 70
    assert measured[-1]["unit_error_rate"] < 0.25
    assert measured[-1]["unfinished"] == 0


def test_captions_in_words_are_told_of_no_units(tmp_path: Path) -> None:
    experiment = from_mapping(CaptioningExperiment, captioner_experiment(tmp_path))
    assert read_units(experiment.data) is None
