"""From YAML to a typed experiment: overrides, and mistakes said in one line."""

from pathlib import Path

import pytest
import yaml

from optophone.core.configuration import to_mapping
from optophone.core.errors import ConfigurationError, DataError
from optophone.training.captioning import CaptioningExperiment, run_captioning
from optophone.training.classification import ClassificationExperiment, run_classification
from optophone.training.configuration_file import read_configuration
from optophone.training.run import build_experiment, train
from optophone.training.synthesis import SynthesisExperiment, run_synthesis
from optophone.training.vocoding import VocoderExperiment, run_vocoding
from optophone.training.vocos_training import VocosExperiment, run_vocos_training
from tiny_datasets import (
    acoustic_experiment,
    captioner_experiment,
    encoder_experiment,
    vocoder_experiment,
    vocos_experiment,
    write_configuration,
    write_labelled_pictures,
)

KINDS = {
    "encoder": (encoder_experiment, ClassificationExperiment, run_classification),
    "captioner": (captioner_experiment, CaptioningExperiment, run_captioning),
    "acoustic": (acoustic_experiment, SynthesisExperiment, run_synthesis),
    "vocoder": (vocoder_experiment, VocoderExperiment, run_vocoding),
    "vocos": (vocos_experiment, VocosExperiment, run_vocos_training),
}


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return write_configuration(tmp_path / "tiny.yaml", encoder_experiment(tmp_path / "data"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_experiment_and_its_runner(kind: str, tmp_path: Path) -> None:
    mapping, cls, runner = KINDS[kind]
    experiment, run = build_experiment(mapping(tmp_path), "here")
    assert type(experiment) is cls
    assert run is runner
    assert build_experiment(to_mapping(experiment), "again")[0] == experiment


@pytest.mark.parametrize("kind", ["vocoders", None, ["encoder"]])
def test_other_kinds_are_refused(kind: object) -> None:
    with pytest.raises(ConfigurationError, match=r"here: kind .* is not one of encoder, captioner, acoustic"):
        build_experiment({"kind": kind}, "here")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("section", [None, "data", "optimizer", "trainer"])
def test_unknown_options_are_named_with_the_file(kind: str, section: str | None, tmp_path: Path) -> None:
    mapping = KINDS[kind][0](tmp_path)
    (mapping[section] if section else mapping)["learning_rat"] = 1
    with pytest.raises(ConfigurationError, match=r"tiny\.yaml.*'learning_rat'"):
        build_experiment(mapping, "tiny.yaml")


def test_overrides_are_yaml_values(configuration: Path) -> None:
    overrides = [
        ("trainer.max_steps", "7"),
        ("optimizer.learning_rate", "1e-3"),
        ("data.sizes", "[[0, 8], [3, 16]]"),
        ("optimizer.scales", "{encoder.stem.: 0}"),
        ("name", "other"),
    ]
    experiment, _ = build_experiment(read_configuration(configuration, overrides), "here")
    assert (experiment.trainer.max_steps, experiment.trainer.segment_steps) == (7, 1)
    assert experiment.optimizer.learning_rate == 1e-3
    assert experiment.data.sizes == ((0, 8), (3, 16))
    assert experiment.optimizer.scales == {"encoder.stem.": 0.0}
    assert experiment.name == "other"


def test_overrides_make_the_sections_they_need(tmp_path: Path) -> None:
    path = write_configuration(tmp_path / "tiny.yaml", captioner_experiment(tmp_path))
    experiment, _ = build_experiment(read_configuration(path, [("self_critical.n_samples", "3")]), "here")
    assert experiment.self_critical.n_samples == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name.part", "1", "--name.part: 'name' is a value"),
        ("trainer.max_steps", "[1", "--trainer.max_steps: .* no YAML value"),
    ],
)
def test_overrides_that_cannot_be(configuration: Path, key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(configuration, [(key, value)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kind: [", "not YAML"),
        (b"\xff\xfe\x00kind", "not YAML"),
        (b"- a list", "as a YAML mapping"),
        (b"", "as a YAML mapping"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"bad.yaml: .*{message}") as caught:
        read_configuration(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["missing.yaml", "."])
def test_what_cannot_be_read_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the configuration"):
        read_configuration(tmp_path / path)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_steps", 0), ("segment_steps", 0), ("validate_every", 0), ("threads", 0), ("average_decay", 1.0)],
)
def test_runs_of_no_length_are_refused(tmp_path: Path, option: str, value: float) -> None:
    mapping = encoder_experiment(tmp_path)
    mapping["trainer"][option] = value
    with pytest.raises(ConfigurationError, match=f"trainer: {option} is"):
        build_experiment(mapping, "here")


def test_the_resolved_configuration_lies_beside_the_weights(configuration: Path, tmp_path: Path) -> None:
    write_labelled_pictures(tmp_path / "data")
    folder = train(configuration, [("trainer.max_steps", "1")], tmp_path / "run")
    assert folder == tmp_path / "run"
    resolved = yaml.safe_load((folder / "configuration.yaml").read_text())
    expected, _ = build_experiment(read_configuration(configuration, [("trainer.max_steps", "1")]), "here")
    assert resolved == to_mapping(expected)
    assert resolved["data"]["augmentation"]["min_area"] == 0.35, "defaults are written out"
    assert (folder / "encoder.safetensors").is_file()


def test_a_run_goes_to_work_by_its_name(configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no finished data set"):
        train(configuration)
    assert (tmp_path / "work/tiny-encoder/configuration.yaml").is_file()


def test_an_impossible_folder_is_named(configuration: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file: cannot make the run's folder"):
        train(configuration, out=tmp_path / "file")
