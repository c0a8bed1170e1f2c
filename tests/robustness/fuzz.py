"""Damaged files by the thousand, read in a process that is watched.

    PYTHONPATH=tests python -m robustness.fuzz pictures 20000

reads 20,000 damaged pictures and prints what came of them; `make fuzz` does so for every kind of `corpus.KINDS`. The
items are numbered, and the same number always means the same damage: `--first 1234 1` repeats one.

What is read either gives a value or an `OptophoneError` of one short line. Anything else is a *fault*: another
exception, the death of the process, no answer within `LIMIT_S`, more memory than `MOST_MEMORY`, and a traceback on
stderr.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from robustness.corpus import KINDS, write_corpus

LIMIT_S = 30.0  # of the processor, for one item
MOST_MEMORY = 3 << 30  # bytes of addresses: pictures of the 64 million pixels that are allowed need a third of that
MOST_GROWTH = 48 << 20  # bytes that stay after the first tenth
_START_S = 120.0
_TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Findings:
    """What came of the items.

    Attributes:
        outcomes: "read", or the name of the error, to how often.
        faults: item number to what went wrong.
        growth: bytes that the reading process grew by after its first tenth, the most of all processes.
        peak: bytes of memory that were in use at most.
        slowest_s: seconds of the slowest item.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    growth: int = 0
    peak: int = 0
    slowest_s: float = 0.0

    def summary(self) -> str:
        """One line, and one more for each fault."""
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        sizes = f"growth {self.growth / 2**20:.0f} MiB, peak {self.peak / 2**20:.0f} MiB"
        lines = [f"{outcomes}; {len(self.faults)} faults; {sizes}, slowest {self.slowest_s:.2f} s"]
        return "\n".join(lines + [f"  {number}: {fault}" for number, fault in sorted(self.faults.items())])


def fuzz(kind: str, count: int, first: int = 0, limit_s: float = LIMIT_S) -> Findings:
    """Read the items `first` to `first + count` of a kind, in a process that is started again where it dies."""
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        corpus = write_corpus(kind, Path(place) / "corpus")
        end = first + count
        while first < end:
            first = _watch(kind, corpus, Path(place) / "work", (first, end), limit_s, findings)
    return findings


def _watch(kind: str, corpus: Path, work: Path, numbers: tuple[int, int], limit_s: float, findings: Findings) -> int:
    """Run one process as far as it comes; returns the number of the item to go on with."""
    at, end = numbers
    arguments = [sys.executable, "-m", "robustness.reader", kind, str(corpus), str(work), str(at), str(end)]
    environment = {**os.environ, "PYTHONPATH": str(_TESTS), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=noise, env=environment)
        assert process.stdout is not None
        try:
            for line in _lines(process.stdout, process.pid, limit_s):
                if line is None:
                    findings.faults[at] = f"no answer within {limit_s:g} s"
                    return at + 1
                if not line:
                    break
                at = _take(json.loads(line), findings) + 1
        finally:
            process.kill()
            status = process.wait()
            process.stdout.close()
        if at < end:
            noise.seek(0)
            last = noise.read().decode("utf-8", "replace").strip()[-300:]
            findings.faults[at] = f"the process ended with status {status}: {last}"
            return at + 1
    return at


def _lines(stream: IO[bytes], process: int, limit_s: float) -> Iterator[bytes | None]:
    """Lines as they come, b"" at the end, None where the next is not there in time.

    A process that works must have had the seconds of the processor, which others may use; one that sleeps, ten times as
    long.
    """
    waiting, begun, used, allowed = b"", time.monotonic(), 0.0, _START_S
    while True:
        ready, _, _ = select.select([stream], [], [], 0.5)
        if not ready:
            if processor_seconds(process) - used > allowed or time.monotonic() - begun > 10 * allowed:
                yield None
                return
            continue
        content = os.read(stream.fileno(), 65536)
        if not content:
            yield b""
            return
        *whole, waiting = (waiting + content).split(b"\n")
        yield from whole
        begun, used, allowed = time.monotonic(), processor_seconds(process), limit_s


def processor_seconds(process: int) -> float:
    """Seconds of the processor that a process has had."""
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _take(report: dict, findings: Findings) -> int:
    findings.outcomes[report["outcome"]] += 1
    if report["fault"]:
        findings.faults[report["number"]] = report["fault"]
    findings.growth = max(findings.growth, report["growth"])
    findings.peak = max(findings.peak, report["peak"])
    findings.slowest_s = max(findings.slowest_s, report["seconds"])
    return report["number"]


def main() -> None:
    """Fuzz one kind from the command line; exit status 1 where there are faults."""
    parser = argparse.ArgumentParser(description="Read damaged files in a watched process.")
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for one item")
    chosen = parser.parse_args()
    findings = fuzz(chosen.kind, chosen.count, chosen.first, chosen.limit)
    print(f"{chosen.kind} {chosen.first}..{chosen.first + chosen.count - 1}: {findings.summary()}")
    sys.exit(bool(findings.faults) or findings.growth > MOST_GROWTH)


if __name__ == "__main__":
    main()
