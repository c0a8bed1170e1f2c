"""A run of `optophone bulk`: which shards are left, who does them, and what is said in the end."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from optophone.cli.interrupts import interruptible
from optophone.cli.messages import printable, report_failure
from optophone.cli.output_folder import claim_folder
from optophone.cli.progress import Progress
from optophone.cli.shard_work import Counts, SampleWork, ShardWork, result_paths
from optophone.cli.worker_pool import Failure, WorkerPool, count_cores
from optophone.core.errors import ConfigurationError, DataError, OptophoneError
from optophone.core.whole_file import collect_unfinished
from optophone.data.shards import list_shards


class BulkRun:
    """The shards that are given, and the folder of their results.

    Args:
        work: what is done with a sample.
        request: what changes the results; a folder takes no others.
        places: shards, and folders of shards.
        folder: of the results.
        n_workers: processes; None for as many as there are cores.
        quiet: say nothing but failures.
        ray: hand the shards out by Ray Data.
        address: of a Ray cluster; None for this machine.

    Raises:
        OptophoneError: no shards, two of the same name, or the folder is another run's.
    """

    def __init__(
        self,
        work: SampleWork,
        request: dict[str, Any],
        places: Sequence[str],
        folder: Path,
        n_workers: int | None,
        quiet: bool,
        ray: bool,
        address: str | None,
    ) -> None:
        self.shards = find_shards(places)
        self.folder, self.quiet, self.ray, self.address = folder.absolute(), quiet, ray, address
        self.n_workers = n_workers or count_cores()
        if any(os.path.dirname(shard) == str(self.folder) for shard in self.shards):
            raise ConfigurationError(f"{folder}: the shards lie there themselves; give another folder with -o.")
        claim_folder(folder, request)
        self.work = ShardWork(work, str(self.folder))

    def run(self) -> int:
        """Do what is left; 0, or 2 where a shard or a sample failed."""
        left = [shard for shard in self.shards if not self._is_done(shard)]
        began, failed = time.perf_counter(), 0
        with Progress(len(left), self.quiet) as progress:
            for shard, result in interruptible(self._results(left) if left else ()):
                progress.clear()
                if isinstance(result, Failure):
                    failed += 1
                    report_failure(shard, OptophoneError(result.message))
                progress.advance()
        collect_unfinished(self.folder)
        counts = [self._counts(shard) for shard in self.shards if self._is_done(shard)]
        n_done, n_bad = sum(one.n_done for one in counts), sum(one.n_failed for one in counts)
        if not self.quiet:
            speed = f"{len(left) - failed} now in {time.perf_counter() - began:.1f} s" if left else "nothing was left"
            bad = f"; failed: {n_bad} samples, {failed} shards" if n_bad or failed else ""
            done = f"{len(counts)} of {len(self.shards)} shards are done in {self.folder.name} ({n_done} samples)"
            click.echo(f"{printable(done)}, {speed}{bad}", err=True)
        return 2 if n_bad or failed else 0

    def _results(self, shards: Sequence[str]) -> Iterator[tuple[str, Counts | Failure]]:
        if self.ray:
            from optophone.cli.ray_shards import run_on_ray

            yield from run_on_ray(self.work, shards, self.n_workers, self.address)
            return
        with WorkerPool[str, Counts](self.work, min(self.n_workers, len(shards))) as pool:
            yield from pool.run(shards)

    def _is_done(self, shard: str) -> bool:
        return result_paths(self.folder, shard)[1].is_file()

    def _counts(self, shard: str) -> Counts:
        lines = result_paths(self.folder, shard)[1].read_bytes().splitlines()
        n_failed = sum("error" in json.loads(line) for line in lines)
        return Counts(len(lines) - n_failed, n_failed)


def find_shards(places: Sequence[str]) -> list[str]:
    """The shards of `places`, absolute; of a folder those that lie in it, in the order of their names.

    Raises:
        DataError: one is not there, a folder without any, or two of the same name.
    """
    names: dict[str, str] = {}
    for shard in list_shards(places):
        other = names.setdefault(result_paths(Path(), shard)[1].name, shard)
        if other != shard:
            raise DataError(f"{printable(shard)}: has the name of {printable(other)}; their results would meet.")
    return list(names.values())
