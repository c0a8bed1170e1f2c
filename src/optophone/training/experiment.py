"""What every training has in common: trainer options, checkpoints, resumption."""

import contextlib
import io
import logging
import os
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.utils.data import DataLoader, Dataset

from optophone.core.errors import ConfigurationError
from optophone.core.whole_file import errors_naming, write_whole
from optophone.data.steps import Plan, SegmentSampler
from optophone.training import processes
from optophone.training.averaging import AveragedModel
from optophone.training.half_precision import Precision, precision_here
from optophone.training.optimization import OptimizerConfig, build_optimizer, learning_rate_factor
from optophone.training.shared_batch_norm import share_batch_norms

CHECKPOINT = "last.ckpt"
CURVES = "curves"


@dataclass(frozen=True)
class TrainerConfig:
    """How long, how precisely and on what a run goes.

    Args:
        max_steps: optimizer steps of the whole run.
        segment_steps: steps between points at which the run can be resumed and validated.
        validate_every: segments between validations.
        save_every_s: seconds between checkpoints, which are written at the end of a segment.
        precision: "bf16-mixed" computes products in bfloat16; a processor that has no instructions for it does so in
            float32.
        threads: of PyTorch; one thread a process is what two trainings on two cores want.
        gradient_clip: largest gradient; 0 for none.
        gradient_clip_by: whether that is the norm of all of it ("norm") or the size of every value ("value").
        average_decay: of the moving average of the weights that is validated and exported; 0 for none.
    """

    max_steps: int = 1000
    segment_steps: int = 50
    validate_every: int = 10
    save_every_s: float = 180.0
    precision: Precision = "32-true"
    accelerator: str = "cpu"
    devices: int = 1
    threads: int = 1
    gradient_clip: float = 0.0
    gradient_clip_by: Literal["norm", "value"] = "norm"
    average_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse runs of no length."""
        for name in ("max_steps", "segment_steps", "validate_every", "threads"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"trainer: {name} is {getattr(self, name)}; give at least 1.")
        if not 0 <= self.average_decay < 1:
            raise ConfigurationError(f"trainer: average_decay is {self.average_decay}; give 0 or more, under 1.")


class Objective(Protocol):
    """The losses and measures of a kind of part."""

    def training_loss(self, model: Any, batch: Any, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss to go down, and its terms by name."""
        ...

    def validate(self, model: Any, batch: Any) -> None:
        """Collect what is needed for `measures`."""
        ...

    def measures(self) -> dict[str, float]:
        """The measures since the last call, by name."""
        ...

    def show(self, model: Any, writer: Any, step: int) -> None:
        """Write samples to TensorBoard, where there is something to see or hear."""
        ...


class Means:
    """Means of an objective's measures over the validation batches; `taken` is its `measures`."""

    def __init__(self) -> None:
        self.found: list[dict[str, float]] = []

    def add(self, measures: dict[str, float]) -> None:
        """Those of one batch."""
        self.found.append(measures)

    def taken(self) -> dict[str, float]:
        """Of the batches since the last call."""
        found, self.found = self.found, []
        return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


class Training(lightning.LightningModule):
    """One training step and one validation of a kind of part.

    Args:
        model: what is trained.
        objective: the kind's losses and metrics.
        optimizer: how.
        trainer: how long.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, optimizer: OptimizerConfig, trainer: TrainerConfig
    ) -> None:
        super().__init__()
        if processes.count() > 1:
            share_batch_norms(model)
        self.model = model
        self.averaged = AveragedModel(model, trainer.average_decay) if trainer.average_decay else None
        self.objective = objective
        self.optimizer_config = optimizer
        self.trainer_config = trainer

    @property
    def best_model(self) -> nn.Module:
        """The averaged weights where there are any."""
        return self.averaged.model if self.averaged is not None else self.model

    def configure_optimizers(self) -> Any:
        """The optimizer, and its schedule by step."""
        optimizer = build_optimizer(self.model.named_parameters(), self.optimizer_config)
        max_steps = self.trainer_config.max_steps
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, max_steps, self.optimizer_config)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Dropout draws from (seed, step), so that a resumed run draws what an uninterrupted one would; and every
        process draws something else."""
        torch.manual_seed(self.trainer_config.seed * 1_000_003 + self.global_step + 7_368_787 * processes.number())

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """The loss of one batch; every term is logged."""
        loss, terms = self.objective.training_loss(self.model, batch, self.global_step)
        several = processes.count() > 1
        found = {f"train/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(found, prog_bar=True, sync_dist=several)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the average follow."""
        if self.averaged is not None:
            self.averaged.update(self.model, self.global_step)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collects what the objective measures on one batch."""
        self.objective.validate(self.best_model, batch)

    def on_validation_epoch_end(self) -> None:
        """Logs the measures of the whole validation set, and samples to look at and listen to."""
        measures = self.objective.measures()
        several = processes.count() > 1  # each has validated by itself, and all found the same
        self.log_dict({f"dev/{name}": value for name, value in measures.items()}, prog_bar=True, sync_dist=several)
        if not self.trainer.sanity_checking and processes.is_first():
            line = "  ".join(f"{name} {value:.4f}" for name, value in measures.items())
            print(f"step {self.global_step}: {line}", flush=True)
            if isinstance(self.logger, TensorBoardLogger):
                self.objective.show(self.best_model, self.logger.experiment, self.global_step)


class SegmentCheckpoint(Callback):
    """Writes `last.ckpt` between segments, so that a kill at any moment loses no more than the time since the last."""

    def __init__(self, folder: Path, every_s: float) -> None:
        self.path = folder / CHECKPOINT
        self.every_s = every_s
        self.last_save = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """At the end of a segment, when it is time or the run is over."""
        over = trainer.current_epoch + 1 == trainer.max_epochs
        # Clocks differ, and all processes take part in a checkpoint: the first one decides.
        due = trainer.strategy.broadcast(over or time.monotonic() - self.last_save >= self.every_s)
        if due:
            trainer.save_checkpoint(self.path)
            self.last_save = time.monotonic()


class WholeCheckpoints(TorchCheckpointIO):
    """Puts a checkpoint in the place of the older one when all of it is on the disk.

    Lightning's own way writes it under the system's folder for temporary files first, which may be small or missing,
    and into which a kill leaves it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`; OSError names it where it cannot be written."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(path, content.getbuffer())


def training_loader(dataset: Dataset, plan: Plan, config: TrainerConfig) -> DataLoader:
    """Whole batches of `dataset`, which takes a `StepItems` and returns a collated batch."""
    portion = processes.own_portion()
    sampler = SegmentSampler(plan, config.segment_steps, config.seed, config.max_steps, portion)
    return DataLoader(dataset, sampler=sampler, batch_size=None)


def fit(
    training: Training,
    train: DataLoader,
    dev: Any,
    folder: Path,
    config: TrainerConfig,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Run the training to its end, resuming from `folder` where a checkpoint lies.

    A run that is over only gets its weights back. The states of `callbacks`, which act between steps, are in the
    checkpoint too.

    Raises:
        ConfigurationError: the checkpoint is damaged, or belongs to a longer run or to another model than configured.
        OSError: the disk is full, say; the error names the file.
    """
    torch.set_num_threads(config.threads)
    checkpoint = folder / CHECKPOINT
    resume = checkpoint if checkpoint.is_file() else None
    if resume and _restore_finished(training, resume, config.max_steps):
        return
    trainer = _build_trainer(folder, config, callbacks)
    with _quiet_threads(), errors_naming(folder / CURVES, folder / CURVES):
        trainer.fit(training, train, dev, ckpt_path=resume, weights_only=False)


@contextlib.contextmanager
def _quiet_threads() -> Iterator[None]:
    """TensorBoard's thread keeps what it could not write for whoever logs next; it need not print it as well."""
    print_it = threading.excepthook

    def hook(told: threading.ExceptHookArgs) -> None:
        if not issubclass(told.exc_type, OSError):
            print_it(told)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = print_it


def _build_trainer(folder: Path, config: TrainerConfig, callbacks: Sequence[Callback]) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it recommends products
    several = processes.count() > 1
    if config.devices > 1 and not several:
        raise ConfigurationError(
            f"trainer: devices is {config.devices}; start as many processes with torchrun --nproc_per_node instead."
        )
    try:
        return lightning.Trainer(
            max_epochs=-(-config.max_steps // config.segment_steps),
            accelerator=config.accelerator,
            devices=processes.count_here() if several else config.devices,
            num_nodes=processes.count() // processes.count_here(),
            strategy="ddp" if several else "auto",
            plugins=[WholeCheckpoints()],
            precision=precision_here(config.precision, config.accelerator),
            gradient_clip_val=config.gradient_clip or None,
            gradient_clip_algorithm=config.gradient_clip_by,
            logger=TensorBoardLogger(folder, name="", version=CURVES),
            callbacks=[*callbacks, SegmentCheckpoint(folder, config.save_every_s)],
            check_val_every_n_epoch=config.validate_every,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=os.isatty(2) and processes.is_first(),
            log_every_n_steps=min(20, config.segment_steps),
        )
    except (MisconfigurationException, ValueError) as error:  # no such accelerator, or not in this machine
        raise ConfigurationError(f"trainer: {' '.join(str(error).split())}") from None


def _restore_finished(training: Training, checkpoint: Path, max_steps: int) -> bool:
    """Whether `checkpoint` is the end of the run; its weights are then put into `training`."""
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=False, mmap=True)
        steps, state = saved["global_step"], saved["state_dict"]
    except (RuntimeError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        told = str(error).partition("\n")[0][:100]
        raise ConfigurationError(f"{checkpoint}: damaged ({told}); delete it to begin the run again.") from None
    own = training.state_dict()
    if steps > max_steps:
        raise ConfigurationError(f"{checkpoint}: has {steps} steps, the configuration {max_steps}.")
    different = sorted(set(state) ^ set(own)) or [name for name in own if own[name].shape != state[name].shape]
    if different:
        raise ConfigurationError(
            f"{checkpoint}: belongs to another model (differs in {different[0]}); give --out another folder."
        )
    if processes.is_first():
        print(f"resuming at step {steps}", flush=True)
    if steps == max_steps:
        training.load_state_dict(state)
    return steps == max_steps
