"""A run that is killed and started again ends with the weights of a run that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from optophone.core.errors import ConfigurationError
from optophone.data.manifest import write_dataset, write_manifest
from optophone.training.run import train


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """An encoder experiment on 24 random pictures of 3 classes."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    for split, n in (("train", 24), ("dev", 6)):
        np.save(data / f"{split}.pictures.npy", rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8))
        np.save(data / f"{split}.labels.npy", np.arange(n) % 3)
        write_manifest(
            data / f"{split}.jsonl", [{"id": str(i), "picture": f"{i}.png", "label": i % 3} for i in range(n)]
        )
    write_dataset(
        data, "tiny", splits=["train", "dev"], options={}, source="made here", layout="made here", licence="none"
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "kind": "encoder",
                "name": "tiny",
                "data": {"folder": str(data), "batch_size": 5, "sizes": [[0, 16]], "dev_size": 16},
                "model": {"widths": [4, 8], "depths": [1, 1]},
                "dropout": 0.3,
                "optimizer": {"name": "adamw", "learning_rate": 0.01, "warmup_steps": 3},
                "trainer": {
                    "max_steps": 21,
                    "segment_steps": 4,
                    "validate_every": 2,
                    "save_every_s": 0.0,
                    "average_decay": 0.9,
                },
            }
        )
    )
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder.safetensors")


def assert_equal_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0, msg=name)


def test_two_halves_equal_the_whole(configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(configuration, out=tmp_path / "whole")
    # Stop after the third segment as a kill would: the checkpoint of step 12 is what is left.
    from optophone.training import experiment as module

    save = module.SegmentCheckpoint.on_train_epoch_end

    def save_then_die(self, trainer, pl_module):
        save(self, trainer, pl_module)
        if trainer.global_step == 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.SegmentCheckpoint, "on_train_epoch_end", save_then_die)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(configuration, out=tmp_path / "halves")
    assert not (tmp_path / "halves/encoder.safetensors").exists()
    halves = train(configuration, out=tmp_path / "halves")
    assert torch.load(halves / "last.ckpt", weights_only=False)["global_step"] == 21
    assert_equal_weights(whole, halves)


def test_every_step_comes_once_and_in_order(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optophone.training.classification import LabelledPictures

    steps: list[int] = []
    get = LabelledPictures.__getitem__

    def get_and_note(self, items):
        steps.append(items.step)
        return get(self, items)

    monkeypatch.setattr(LabelledPictures, "__getitem__", get_and_note)
    train(configuration, out=tmp_path / "run")
    assert steps == list(range(21))


def test_killed_at_any_moment(configuration: Path, tmp_path: Path) -> None:
    """A real SIGKILL, after the first checkpoint has appeared."""
    whole = train(configuration, out=tmp_path / "whole")
    folder = tmp_path / "killed"
    script = f"from optophone.training.run import train; train({str(configuration)!r}, out={str(folder)!r})"
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (folder / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "last.ckpt").is_file()
    train(configuration, out=folder)
    assert_equal_weights(whole, folder)


def test_a_finished_run_is_left_alone(configuration: Path, tmp_path: Path) -> None:
    folder = train(configuration, out=tmp_path / "run")
    before, trained = (folder / "last.ckpt").stat().st_mtime_ns, weights(folder)
    train(configuration, out=folder)
    assert (folder / "last.ckpt").stat().st_mtime_ns == before
    for name, value in weights(folder).items():
        torch.testing.assert_close(value, trained[name], rtol=0, atol=0, msg=name)


def test_weights_lost_after_the_end_are_written_again(configuration: Path, tmp_path: Path) -> None:
    """A kill between the last checkpoint and the weights."""
    folder = train(configuration, out=tmp_path / "run")
    trained = weights(folder)
    (folder / "encoder.safetensors").unlink()
    train(configuration, out=folder)
    for name, value in weights(folder).items():
        torch.testing.assert_close(value, trained[name], rtol=0, atol=0, msg=name)


def test_a_checkpoint_of_another_model_is_refused(configuration: Path, tmp_path: Path) -> None:
    folder = train(configuration, out=tmp_path / "run")
    for other in ("[4, 6]", "[4, 8, 8]"):
        with pytest.raises(ConfigurationError, match="another model"):
            train(configuration, [("model.widths", other), ("model.depths", str([1] * other.count(",") + [1]))], folder)


def test_a_longer_checkpoint_is_refused(configuration: Path, tmp_path: Path) -> None:
    folder = train(configuration, out=tmp_path / "run")
    with pytest.raises(ConfigurationError, match="21 steps"):
        train(configuration, [("trainer.max_steps", "8")], out=folder)
