"""What each process of `tests/system/test_training_together.py` runs under torchrun: two trainings, the second of which
loses a process by SIGKILL in the middle, whereupon torchrun starts all of them again."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from optophone.training import experiment
from optophone.training.processes import joined_processes
from optophone.training.run import train

KILLED_AT = 4


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with joined_processes("cpu"):
        train(folder / "tiny.yaml", out=folder / "whole")
        _train_and_die(folder)


def _train_and_die(folder: Path) -> None:
    save = experiment.SegmentCheckpoint.on_train_epoch_end
    marker = folder / "killed-once"

    def save_then_die(self: Any, trainer: Any, pl_module: Any) -> None:
        save(self, trainer, pl_module)
        if trainer.global_step == KILLED_AT and os.environ["RANK"] == "1" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    experiment.SegmentCheckpoint.on_train_epoch_end = save_then_die  # type: ignore[method-assign]
    train(folder / "tiny.yaml", out=folder / "killed")


if __name__ == "__main__":
    main()
