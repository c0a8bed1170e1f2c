"""Two processes under torchrun train a captioner as one does, and a process that is killed changes nothing.

Over packed pictures as over pictures in shards.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from optophone.core.errors import ConfigurationError
from optophone.training import processes
from optophone.training.run import train
from tiny_datasets import captioner_experiment, encoder_experiment, write_captioned_pictures
from tiny_shards import put_into_shards

WORKER = Path(__file__).parents[1] / "shared_training.py"


def write_experiment(folder: Path, in_shards: bool = False) -> Path:
    """Five pictures a step, so that the portions differ, with captions of unequal lengths and a batch norm."""
    dataset = write_captioned_pictures(folder / "data")
    if in_shards:
        dataset = put_into_shards(dataset, folder / "shards", folder / "indexed")
    experiment: dict[str, Any] = captioner_experiment(dataset.folder)
    experiment["data"]["shards_at_once"] = 2
    experiment["data"]["batch_size"] = 5
    experiment["data"]["captions_per_picture"] = 2
    experiment["attention_penalty"] = 0.5
    experiment["label_smoothing"] = 0.1
    # Plain gradient descent: Adam would turn a difference in rounding into one in sign.
    experiment["optimizer"] = {"name": "sgd", "learning_rate": 0.05, "betas": [0.9, 0.9]}
    experiment["trainer"] = {
        "max_steps": 8,
        "segment_steps": 2,
        "validate_every": 4,
        "save_every_s": 0.0,
        "gradient_clip": 1.0,
        "average_decay": 0.9,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(experiment))
    return path


def torchrun(*arguments: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["--max_restarts", str(restarts), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(WORKER.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module", params=["packed", "in shards"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the same configuration: "one" in one process, "whole" in two, "killed" in two of which one is killed."""
    folder = tmp_path_factory.mktemp("together")
    path = write_experiment(folder, request.param == "in shards")
    done = torchrun(str(WORKER), str(folder), restarts=1)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (folder / "killed-once").exists()
    assert done.stdout.count("resuming at step 4") == 1, "one process speaks for both"
    train(path, out=folder / "one")
    return folder


def losses(run: Path) -> list[float]:
    events = EventAccumulator(str(run / "curves"))
    events.Reload()
    return [event.value for event in events.Scalars("train/loss")]


@pytest.mark.slow
def test_two_processes_have_the_loss_of_one(trained: Path) -> None:
    assert len(losses(trained / "one")) >= 3
    assert losses(trained / "whole") == pytest.approx(losses(trained / "one"), rel=1e-4)


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one(trained: Path) -> None:
    one, two = (load_file(trained / run / "captioner.safetensors") for run in ("one", "whole"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.slow
def test_a_killed_run_ends_with_identical_weights(trained: Path) -> None:
    whole, killed = (load_file(trained / run / "captioner.safetensors") for run in ("whole", "killed"))
    for name, value in whole.items():
        assert torch.equal(killed[name], value), name


def test_what_cannot_be_shared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_experiment(tmp_path)
    monkeypatch.setattr(processes.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(processes.distributed, "is_initialized", lambda: True)
    for overrides, says in (
        ([("decoder.name", "semantic-attention"), ("decoder.options", "{}")], "losses of its own"),
        ([("data.batch_size", "1")], "cannot share"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            train(path, overrides, tmp_path / "run")
    path.write_text(yaml.safe_dump(encoder_experiment(tmp_path)))
    with pytest.raises(ConfigurationError, match="'encoder' trains in one process"):
        train(path, out=tmp_path / "run")


def test_devices_are_started_by_torchrun(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="torchrun"):
        train(write_experiment(tmp_path), [("trainer.devices", "2")], tmp_path / "run")
