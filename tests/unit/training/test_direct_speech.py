"""Training of direct models: whole runs, resumption, what they start from, what does not go together."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary, build_units
from optophone.training import direct_speech
from optophone.training.direct_speech import DirectExperiment, build_model, read_units
from optophone.training.run import train
from tiny_datasets import write_captioned_pictures, write_configuration, write_spoken_captions
from tiny_direct import N_UNITS, OPTIONS, direct_experiment
from tiny_textless import unit_captioner_experiment, unit_to_mel_experiment, write_unit_column

MEMBERS = tuple(OPTIONS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("direct")
    pictures = write_captioned_pictures(folder / "pictures", 16)
    speech = write_spoken_captions(folder / "speech", pictures)
    write_unit_column(folder / "units", speech)
    return folder


def mapping_of(member: str, data: Path, **more: Any) -> dict[str, Any]:
    return {**direct_experiment(member, data / "pictures", data / "speech", data / "units"), **more}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_whole_run_and_again_after_every_stop(member: str, data: Path, tmp_path: Path) -> None:
    mapping = mapping_of(member, data)
    mapping["optimizer"]["schedule"] = "constant"
    if member == "show-and-speak":
        mapping["scheduled_sampling"] = {"first_step": 0, "increase_every": 1, "increase": 0.4}
    path = write_configuration(tmp_path / "tiny.yaml", mapping)
    whole = train(path, out=tmp_path / "whole")
    for n in ("1", "2", "3"):
        train(path, [("trainer.max_steps", n)], tmp_path / "stopped")
    expected, found = (load_file(run / direct_speech.WEIGHTS) for run in (whole, tmp_path / "stopped"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    if member == "joint":
        assert Vocabulary.load(whole / "vocabulary.json") == build_units(N_UNITS)


@pytest.mark.parametrize("member", MEMBERS)
def test_over_a_frozen_encoder(member: str, data: Path, tmp_path: Path) -> None:
    path = write_configuration(tmp_path / "tiny.yaml", mapping_of(member, data, frozen_views=2))
    weights = load_file(train(path, out=tmp_path / "run") / direct_speech.WEIGHTS)
    fresh = build_model(experiment_of(member, data), build_units(N_UNITS) if member == "joint" else None)
    seen = [name for name in weights if name.startswith("encoder.")]
    assert seen
    assert all(torch.equal(weights[name], fresh.state_dict()[name]) for name in seen)
    assert len(list((tmp_path / "regions").iterdir())) == 1


def experiment_of(member: str, data: Path, **more: Any) -> DirectExperiment:
    return from_mapping(DirectExperiment, mapping_of(member, data, **more))


def test_codes_are_found_once_and_kept_in_the_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_configuration(tmp_path / "tiny.yaml", mapping_of("transformer", data))
    train(path, [("trainer.max_steps", "1")], tmp_path / "run")
    state = torch.load(tmp_path / "run/last.ckpt", weights_only=False)["state_dict"]
    centres = state["model.speaker.codes.centres"]
    assert float(centres.std()) > 0.5
    monkeypatch.setattr(direct_speech, "fit_codes", lambda *_: pytest.fail("found again"))
    weights = load_file(train(path, out=tmp_path / "run") / direct_speech.WEIGHTS)
    assert torch.equal(weights["speaker.codes.centres"], centres)
    monkeypatch.undo()
    other = load_file(train(path, out=tmp_path / "other") / direct_speech.WEIGHTS)
    assert torch.equal(other["speaker.codes.centres"], centres), "the same speech gives the same codes"


def test_the_joint_model_starts_from_its_halves(data: Path, tmp_path: Path) -> None:
    captioner, voice = halves(data, tmp_path)
    mapping = mapping_of("joint", data)
    mapping["model"]["options"]["captioner"]["options"]["max_length"] = 64
    starts = {
        "captioner_weights": str(captioner / "captioner.safetensors"),
        "voice_weights": str(voice / "acoustic.safetensors"),
    }
    model = build_model(from_mapping(DirectExperiment, {**mapping, **starts}), build_units(N_UNITS))
    whole = load_file(captioner / "captioner.safetensors")
    for name, value in whole.items():
        half, _, rest = name.partition(".")
        place = f"encoder.{rest}" if half == "encoder" else f"speaker.captioner.{rest}"
        assert torch.equal(model.state_dict()[place], value)
    for name, value in load_file(voice / "acoustic.safetensors").items():
        assert torch.equal(model.state_dict()[f"speaker.voice.{name}"], value)
    path = write_configuration(tmp_path / "joint.yaml", {**mapping, **starts})
    train(path, out=tmp_path / "joint")


def halves(data: Path, folder: Path) -> tuple[Path, Path]:
    """Runs of a captioner over units and of a voice over the same."""
    captioner = unit_captioner_experiment(data / "pictures", data / "units")
    voice = unit_to_mel_experiment(data / "speech", data / "units")
    voice["model"]["dropout"] = 0.0
    found = []
    for name, mapping in (("captioner", captioner), ("voice", voice)):
        mapping["trainer"]["max_steps"] = 1
        found.append(train(write_configuration(folder / f"{name}.yaml", mapping), out=folder / name))
    return found[0], found[1]


def test_halves_over_other_units_are_refused(data: Path, tmp_path: Path) -> None:
    captioner, _ = halves(data, tmp_path)
    column = tmp_path / "others"
    speech = direct_speech.read_dataset(data / "speech")
    write_unit_column(column, speech, encoder="other-units")
    mapping = mapping_of("joint", data, captioner_weights=str(captioner / "captioner.safetensors"))
    mapping["data"]["units"] = str(column)
    path = write_configuration(tmp_path / "joint.yaml", mapping)
    with pytest.raises(ConfigurationError, match=r"over units of tiny-units .*holds those of other-units"):
        train(path, out=tmp_path / "joint")
    dataset = json.loads((data / "units/dataset.json").read_text())
    assert dataset["options"]["encoder"] == "tiny-units"


def test_an_encoder_can_be_taken_from_a_captioner(data: Path, tmp_path: Path) -> None:
    encoder = build_model(experiment_of("transformer", data), None).encoder.state_dict()
    changed = {f"encoder.{name}": (value + 1).contiguous() for name, value in encoder.items()}
    save_file({**changed, "decoder.x": torch.zeros(1)}, tmp_path / "captioner.safetensors")
    taken = experiment_of("transformer", data, encoder_from=str(tmp_path / "captioner.safetensors"))
    for name, value in build_model(taken, None).encoder.state_dict().items():
        assert torch.equal(value, changed[f"encoder.{name}"])


def test_what_does_not_go_together_is_refused(data: Path) -> None:
    sampling = {"first_step": 0, "increase_every": 1}
    for member, more, words in (
        ("joint", {"data": mapping_of("transformer", data)["data"]}, "goes by way of units"),
        ("transformer", {"data": mapping_of("joint", data)["data"]}, "goes without units"),
        ("transformer", {"scheduled_sampling": sampling}, "only show-and-speak"),
        ("show-and-speak", {"voice_weights": "x"}, "only the model joint"),
        ("joint", {"captioner_weights": "x", "encoder_from": "y"}, "give one of the two"),
        ("joint", {"loss": {"misspelt": 1}}, "misspelt"),
        ("transformer", {"loss": {"mel": 1.0}}, "mel"),
        ("joint", {"model": {"name": "none"}}, "is not one of joint, show-and-speak, transformer"),
        ("joint", {"model": {"name": "joint", "options": {"misspelt": 1}}}, "misspelt"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            from_mapping(DirectExperiment, {**mapping_of(member, data), **more})


def test_units_are_read_where_there_are_any(data: Path) -> None:
    assert read_units(experiment_of("transformer", data).data) is None
    units = read_units(experiment_of("joint", data).data)
    assert units is not None
    assert units.origin.encoder == "tiny-units"
