"""A module for `stumble` to import: the shards of `bulk` are worked through in the process that is watched."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from optophone.cli import bulk_run
from optophone.cli.worker_pool import Failure
from optophone.core.errors import OptophoneError


class InProcess:
    """A `WorkerPool` without workers."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], n_workers: int) -> None:
        self.work = make()

    def __class_getitem__(cls, kinds: Any) -> type["InProcess"]:
        return cls

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def run(self, items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Each item with what became of it."""
        for item in items:
            try:
                yield item, self.work(item)
            except OptophoneError as error:
                yield item, Failure(str(error))


bulk_run.WorkerPool = InProcess  # type: ignore[assignment,misc]
