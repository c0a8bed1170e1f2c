"""What the server counts, in the text form that Prometheus reads.

Source: Prometheus text exposition format 0.0.4.
"""

import bisect
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping

BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "optophone_requests_total": ("counter", "Requests answered, by address and status."),
    "optophone_request_seconds": ("histogram", "From the request to the last byte of the answer."),
    "optophone_first_byte_seconds": ("histogram", "From the request to the first byte of the answer's body."),
    "optophone_pictures_total": ("counter", "Pictures described, or refused as no photograph."),
    "optophone_sound_seconds_total": ("counter", "Seconds of sound made."),
    "optophone_requests_working": ("gauge", "Requests that are worked on now."),
    "optophone_requests_waiting": ("gauge", "Requests that wait for a worker now."),
    "process_resident_memory_bytes": ("gauge", "Memory of this process."),
    "process_start_time_seconds": ("gauge", "When this process began, in seconds since 1970."),
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts and durations; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, float]] = {}
        self._durations: dict[str, dict[Labels, list[float]]] = {}  # counts per bucket, then the sum
        self._began = time.time()

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter of `_HELP`."""
        assert name in _HELP, name
        key = tuple(sorted(labels.items()))
        with self._lock:
            of_name = self._counts.setdefault(name, {})
            of_name[key] = of_name.get(key, 0.0) + amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add a duration to a histogram of `_HELP`."""
        assert name in _HELP, name
        key = tuple(sorted(labels.items()))
        with self._lock:
            buckets = self._durations.setdefault(name, {}).setdefault(key, [0.0] * (len(BUCKETS_S) + 2))
            buckets[bisect.bisect_left(BUCKETS_S, seconds)] += 1
            buckets[-1] += seconds

    def text(self, gauges: Mapping[str, float]) -> str:
        """Everything, beside `gauges` that others know."""
        with self._lock:
            counts = {name: dict(rows) for name, rows in self._counts.items()}
            durations = {name: {key: list(row) for key, row in rows.items()} for name, rows in self._durations.items()}
        memory = resident_bytes()
        own = {"process_start_time_seconds": self._began} | ({} if memory is None else {_MEMORY: float(memory)})
        lines: list[str] = []
        for name, (kind, text) in _HELP.items():
            rows = list(_rows_of(name, counts.get(name, {}), durations.get(name, {}), {**gauges, **own}))
            if rows:
                lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *rows]
        return "\n".join(lines) + "\n"


_MEMORY = "process_resident_memory_bytes"


def _rows_of(
    name: str,
    counts: Mapping[Labels, float],
    durations: Mapping[Labels, list[float]],
    gauges: Mapping[str, float],
) -> Iterable[str]:
    for labels, value in sorted(counts.items()):
        yield f"{name}{_labels(labels)} {value:.12g}"
    for labels, row in sorted(durations.items()):
        total = 0.0
        for bound, n in zip((*map(str, BUCKETS_S), "+Inf"), row, strict=False):
            total += n
            yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {total:g}"
        yield f"{name}_sum{_labels(labels)} {row[-1]:.6f}"
        yield f"{name}_count{_labels(labels)} {total:g}"
    if name in gauges:
        yield f"{name} {gauges[name]:.15g}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def resident_bytes() -> int | None:
    """Memory that this process has in use; None where the system does not say."""
    if not sys.platform.startswith("linux"):
        return None
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
