"""Work on samples for tests of `optophone bulk`, which its processes must find by import."""

import os
from dataclasses import dataclass
from pathlib import Path

from optophone.cli.shard_work import Made, Transform


@dataclass(frozen=True)
class DyingOnce:
    """Counts the bytes of samples; where `marker` is named and not there yet, its process dies over the second one."""

    marker: str
    signal: int = 9
    suffixes: tuple[str, ...] = (".png", ".jpg")
    max_bytes: int = 1 << 20

    def begin(self) -> Transform:
        seen: list[int] = []

        def count(content: bytes) -> Made:
            seen.append(len(content))
            if self.marker and len(seen) == 2 and not Path(self.marker).exists():
                Path(self.marker).touch()
                os.kill(os.getpid(), self.signal)
            return Made({"n_bytes": len(content)}, content[:8], ".head")

        return count
