"""Several processes that train one model: which of them this is, and means over what all of them hold.

`torchrun` starts the processes and tells each its number in the environment. Every one of them holds the whole model,
takes its portion of each step's items (`data.steps.Portion`), and their gradients are averaged (Li et al. 2020, PyTorch
Distributed). A mean over a step is not the mean of the portions' means, because portions differ in what they count:
captions in length, for one. So each process weighs its means by `weight_of_mean`; the average is then exact.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous

from optophone.core.errors import ConfigurationError
from optophone.data.steps import Portion


def count() -> int:
    """How many processes train together: 1 unless `torchrun` started more."""
    return int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1


def number() -> int:
    """Which of them this is, from 0."""
    return int(os.environ["RANK"]) if distributed.is_torchelastic_launched() else 0


def count_here() -> int:
    """How many of them run on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1


def is_first() -> bool:
    """Whether this process is the one that writes files and messages for all."""
    return number() == 0


def own_portion() -> Portion:
    """What this process takes of each step's items."""
    return Portion(number(), count())


@contextmanager
def joined_processes(accelerator: str) -> Iterator[None]:
    """While this lasts, the processes that `torchrun` started can talk to each other; nothing for a single one, or
    where they can already.

    Raises:
        ConfigurationError: they do not find each other.
    """
    if count() == 1 or distributed.is_initialized():
        yield
        return
    try:
        # Processes that torchrun starts again find the addresses of those that died, unless each attempt has its own.
        store, rank, world_size = next(rendezvous("env://"))
        attempt = distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        backend = "nccl" if accelerator in ("gpu", "cuda") else "gloo"
        distributed.init_process_group(backend, store=attempt, rank=rank, world_size=world_size)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"trainer: {count()} processes do not find each other ({reason}).") from None
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process does what this lasts for while the others wait; then they do it, and find its files."""
    if count() > 1 and not is_first():
        distributed.barrier()
    yield
    if count() > 1 and is_first():
        distributed.barrier()


def weight_of_mean(n_counted: Tensor | int) -> Tensor | float:
    """What to multiply a mean over `n_counted` values of this process by, so that the mean of that over the processes
    is the mean over the values of all; 1 for a single process. It must be called by all, in the same order."""
    if count() == 1:
        return 1.0
    mine = torch.as_tensor(n_counted, dtype=torch.float64)
    total = mine.clone()
    distributed.all_reduce(total)
    return (count() * mine / total).float()
