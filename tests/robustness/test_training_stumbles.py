"""`optophone train`, killed or out of disk at its steps: the last checkpoint stays, and the weights come out the same.

Every step of a voice's training, and some of the others', spread over all of it; OPTOPHONE_EVERY_STEP=1 tries all.
"""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from optophone.cli.main import run
from optophone.training import experiment
from robustness.stumble import reports
from tiny_datasets import (
    acoustic_experiment,
    captioner_experiment,
    units_experiment,
    vocoder_experiment,
    write_captioned_pictures,
    write_configuration,
    write_speech,
    write_spoken_captions,
)

MODULES = {"captioner": "captioning", "acoustic": "synthesis", "vocoder": "vocoding", "units": "unit_learning"}
STEPS = 2
EVERY = 10_000
CASES = [
    ("acoustic", "kill", 6),
    ("acoustic", "torn", EVERY),
    ("acoustic", "short", EVERY),
    ("captioner", "kill", 4),
    ("vocoder", "full", 4),
    ("units", "kill", 4),
]
if "OPTOPHONE_EVERY_STEP" in os.environ:
    CASES = [(kind, fault, EVERY) for kind in MODULES for fault in ("kill", "torn", "short", "full")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data to train on, and a configuration of each kind."""
    folder = tmp_path_factory.mktemp("place")
    pictures, speech, spoken = Path("pictures"), Path("speech"), Path("spoken")
    write_spoken_captions(folder / spoken, write_captioned_pictures(folder / pictures))
    write_speech(folder / speech)
    experiments = {
        "captioner": captioner_experiment(pictures),
        "acoustic": acoustic_experiment(speech),
        "vocoder": vocoder_experiment(speech),
        "units": units_experiment(pictures, spoken),
    }
    for kind, mapping in experiments.items():
        mapping["trainer"] |= {"max_steps": STEPS, "validate_every": STEPS}
        write_configuration(folder / f"{kind}.yaml", mapping)
    return folder


def lasting(files: dict[str, str]) -> dict[str, str]:
    """What a run leaves, hidden files included, without the curves, whose names hold the time."""
    return {name: value for name, value in files.items() if name.startswith("run/") and "/curves/" not in name}


def resumed_at(report: dict[str, Any]) -> int:
    """The step of the checkpoint that the second run found; 0 for none."""
    found = re.search(r"resuming at step (\d+)", report["second"])
    return int(found[1]) if found else 0


def check_fault(report: dict[str, Any], fault: str) -> None:
    """A kill is one; of a full disk a line tells the file and the way out, and nothing half-written stays."""
    said = report["stderr"]
    if fault == "kill":
        assert report["status"] == -9, said
    elif fault == "torn":
        assert report["status"] in (-signal.SIGXFSZ, 0), said  # 0: nothing was left to write
    elif report["status"]:
        assert report["status"] == 2, said
        assert "Traceback" not in said
        assert re.findall(r"^optophone: run(?:/[\w.]+)?: .*make room or choose another place.*$", said, re.M), said
        assert len(re.findall("^optophone: ", said, re.M)) == 1, said
        assert not [name for name in report["files"] if name.endswith(".part")]


@pytest.mark.parametrize(("kind", "fault", "steps"), CASES)
def test_a_fault_at_a_step_of_training(place: Path, kind: str, fault: str, steps: int) -> None:
    modules = f"optophone.cli.train,lightning,optophone.training.{MODULES[kind]}"
    whole, *faulty = reports(place, modules, fault, steps, ["train", f"{kind}.yaml", "--out", "run"])
    weights = next(name for name in whole["files"] if name.endswith(".safetensors"))
    resumed = [resumed_at(report) for report in faulty]
    for report in faulty:
        check_fault(report, fault)
        assert report["again"] == 0, report["second"]
        assert ("run/last.ckpt" in report["files"]) == (resumed_at(report) > 0)
        assert report["files"].get(weights, whole["files"][weights]) == whole["files"][weights]
        assert lasting(report["afterwards"]).keys() == lasting(whole["files"]).keys()
        assert report["afterwards"][weights] == whole["files"][weights], (report["step"], report["stderr"])
    assert resumed == sorted(resumed), "a later fault lost what an earlier one left"
    assert (resumed[0], resumed[-1]) == (0, STEPS)


@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten"])
def test_a_damaged_checkpoint_is_a_line(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, damage: str
) -> None:
    monkeypatch.chdir(place)
    folder = tmp_path / "run"
    assert run(["train", "acoustic.yaml", "--out", str(folder)]) == 0
    content = (folder / "last.ckpt").read_bytes()
    broken = {"cut": content[: len(content) // 2], "emptied": b"", "overwritten": bytes(len(content))}
    (folder / "last.ckpt").write_bytes(broken[damage])
    capfd.readouterr()
    assert run(["train", "acoustic.yaml", "--out", str(folder)]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"optophone: {folder / 'last.ckpt'}: damaged")
    assert error.count("\n") == 1


def test_a_checkpoint_needs_no_folder_for_temporary_files(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written beside the one that it replaces, on the disk that has the room."""
    monkeypatch.chdir(place)
    made: list[str] = []
    for name in ("mkstemp", "mkdtemp", "NamedTemporaryFile"):
        monkeypatch.setattr(f"tempfile.{name}", lambda *options, name=name, **more: made.append(name))
    experiment.WholeCheckpoints().save_checkpoint({"step": torch.ones(2)}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=False)["step"].tolist() == [1, 1]
    assert not made
