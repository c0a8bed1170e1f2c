"""Shards handed out by Ray Data, to the processes of one machine or of a cluster."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from optophone.cli.shard_work import Counts, ShardWork
from optophone.cli.worker_pool import Failure
from optophone.core.errors import ConfigurationError, OptophoneError

_N_RETRIES = 3  # of a shard whose worker dies


class RayShards:
    """A worker of Ray Data: loads once, then takes shard after shard."""

    def __init__(self, work: ShardWork) -> None:
        self.do = work()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """{"shard"} → {"shard", "n_done", "n_failed", "error"}."""
        try:
            counts, error = self.do(row["shard"]), ""
        except OptophoneError as raised:
            counts, error = Counts(0, 0), " ".join(str(raised).split())
        return {"shard": row["shard"], "n_done": counts.n_done, "n_failed": counts.n_failed, "error": error}


def run_on_ray(
    work: ShardWork, shards: Sequence[str], n_workers: int, address: str | None
) -> Iterator[tuple[str, Counts | Failure]]:
    """Each shard with what became of it, as they become ready: in no order. Workers that die are replaced.

    Args:
        work: what to do; the paths in it are the same on all machines.
        shards: files that all machines can read.
        n_workers: at most so many at a time.
        address: of a running cluster, or "auto"; None starts Ray on this machine.

    Raises:
        ConfigurationError: no cluster there, or a shard's worker died again and again.
        ModuleNotFoundError: Ray is not installed.
    """
    import ray
    import ray.data

    logging.getLogger("ray").setLevel(logging.ERROR)
    cores = {} if address else {"num_cpus": n_workers, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **cores)
    except (ConnectionError, ValueError) as error:
        raise ConfigurationError(f"{address}: no Ray cluster ({' '.join(str(error).split())[:200]}).") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        done = rows.map(
            RayShards,
            fn_constructor_args=(work,),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(n_workers, len(shards))),
            num_cpus=1,
            max_restarts=_N_RETRIES,
            max_task_retries=_N_RETRIES,
        )
        for row in done.iter_rows():
            failure = Failure(row["error"]) if row["error"] else None
            yield row["shard"], failure or Counts(int(row["n_done"]), int(row["n_failed"]))
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[-200:]
        raise ConfigurationError(f"Ray gave up: {reason}; what is done is kept, give the command again.") from None
    finally:
        with contextlib.suppress(Exception):  # a cluster that is gone cannot be left in good order
            ray.shutdown()
