"""From the public ResDAVEnet-VQ's checkpoint to units, as users type it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.checkpoints import load_reference
from optophone.checkpoints.resdavenet_vq import resdavenet_vq_state_dicts
from optophone.cli.main import run
from optophone.core.audio import write_wave
from optophone.core.bundle import open_bundle
from optophone.models.units.resdavenet_units import ResDAVEnetUnits
from optophone.models.units.resdavenet_vq import ResDAVEnetVQ, ResDAVEnetVQConfig
from optophone.runtime.load import load_unit_encoder
from tiny_units import RATE, speech, tiny_network


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The audio model of a tiny network, with the original's keys."""
    network = tiny_network()
    model = ResDAVEnetVQ(ResDAVEnetVQConfig(network.config))
    model.audio.load_state_dict(network.state_dict())
    return resdavenet_vq_state_dicts(model)["audio_model"]


LAYOUTS = {
    "the audio model alone": lambda state: state,
    "as trained on several processors": lambda state: {f"module.{name}": value for name, value in state.items()},
    "both models": lambda state: {"audio_model": state, "image_model": {"conv1.weight": torch.zeros(1)}},
    "both models, flat": lambda state: {
        **{f"audio_model.module.{name}": value for name, value in state.items()},
        "image_model.conv1.weight": torch.zeros(1),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_units_are_those_of_the_checkpoint(layout: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    checkpoint, bundle = tmp_path / "best_audio_model.pth", tmp_path / "units"
    torch.save(LAYOUTS[layout](state), checkpoint)
    assert run(["import", "resdavenet-vq", str(checkpoint), "-o", str(bundle)]) == 0
    network = load_reference("resdavenet-vq", state).audio
    for position in (2, 3):
        wave = speech(1.5, 11)
        expected = ResDAVEnetUnits(network, position).units(wave)
        np.testing.assert_array_equal(load_unit_encoder(bundle, quantizer=position).units(wave), expected)
    card = (bundle / "CARD.md").read_text()
    assert "imported from a checkpoint of ResDAVEnet-VQ (wnhsu/ResDAVEnet-VQ)" in card
    assert "quantizer 2: 12 units of 20 ms" in card


def test_options_and_examples_are_taken(state: dict[str, Tensor], tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    torch.save(state, tmp_path / "a.pth")
    (tmp_path / "sounds").mkdir()
    write_wave(tmp_path / "sounds/a.flac", speech(1.0, 1, 22050), 22050)
    (tmp_path / "args.json").write_text(json.dumps({"jitter": 0.12, "VQ_turnon": "0,1,1,0,0"}))
    options = ["--config", str(tmp_path / "args.json"), "--examples", str(tmp_path / "sounds"), "--name", "places"]
    assert run(["import", "resdavenet-vq", str(tmp_path / "a.pth"), "-o", str(tmp_path / "units"), *options]) == 0
    assert "same_units 1" in capfd.readouterr().out
    manifest = open_bundle(tmp_path / "units").manifest
    assert (manifest.name, manifest.kind, manifest.cls) == ("places", "units", "resdavenet-vq")
    assert manifest.configuration["imported"]["examples"] == "examples given by the user"
    assert manifest.configuration["export"]["n_compared_units"] == 50 + 25


@pytest.mark.parametrize(("change", "arguments", "says"), [
    ({"quant2._embedding.weight": None}, [], "missing quant2._embedding.weight"),
    ({"conv9.weight": torch.zeros(1)}, [], "unexpected conv9.weight"),
    ({name: None for q in "23" for name in (f"quant{q}._embedding.weight", f"quant{q}._ema_w",
      f"quant{q}._ema_cluster_size")}, [], "has no quantizer"),
    ({}, ["--config", "wrong.json"], "vqs_enabled is [1, 1, 1, 0, 0], the checkpoint's tensors say"),
    ({}, ["--precision", "int8"], "--precision has no meaning for resdavenet-vq"),
    ({}, ["--examples", "."], "holds no examples"),
])  # fmt: skip
def test_mistakes_are_one_line_and_nothing_is_written(
    change: dict[str, Tensor | None],
    arguments: list[str],
    says: str,
    state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.json").write_text(json.dumps({"vqs_enabled": [1, 1, 1, 0, 0]}))
    torch.save({name: value for name, value in {**state, **change}.items() if value is not None}, "a.pth")
    assert run(["import", "resdavenet-vq", "a.pth", "-o", "units", *arguments]) == 2
    error = capfd.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not Path("units").exists()


def test_the_rate_of_the_front_end_is_that_of_the_original(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "a.pth")
    assert run(["import", "resdavenet-vq", str(tmp_path / "a.pth"), "-o", str(tmp_path / "units")]) == 0
    assert load_unit_encoder(tmp_path / "units").sample_rate == RATE
