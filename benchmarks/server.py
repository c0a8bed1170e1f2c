"""How the server holds up under many clients at once, beside one that takes one request at a time.

    python benchmarks/server.py                                   16 clients for 10 seconds, each server
    python benchmarks/server.py --seconds 60 -o result.json       what is reported
    python benchmarks/server.py --requests 10000 -o memory.json   memory alone, over so many requests

Both servers are processes of their own (`optophone serve`) with the same threads for the networks, asked over their
sockets. First one client alone: the first byte of the sound of a photograph, warm. Then all clients at once; each asks
for a photograph's sound as soon as its last one is there (after a refusal, a tenth of a second later). Peak memory is
the server's alone. Then, whether joining pictures would pay: the captioner's encoder on several pictures at once.

With `--requests`, instead of all that, memory over so many requests: the clients ask on, the server's memory is noted
twenty times on the way, and a line is put through the second half of them, once it has warmed up. What leaks shows as
bytes per request there; its exit status is 1 where that would come to more than `--allowed` megabytes over all of them.

The foreign load, in cores, is what other processes took meanwhile; figures taken beside more than .1 say little. The
clients run on the same cores as the server, and their part is stated too.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from main_job import foreign_seconds, machine

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "/v1/describe?response_format=wav"
PAUSE_S = 0.1  # after a refusal
WARM_UP = 3
NOTES = 20  # of memory, over all requests


Seen = list[tuple[int, float, float]]
"""What clients saw: of each request the status (0: the connection broke), seconds to the first byte and to the last."""


def figures(seen: Seen) -> dict[str, Any]:
    """Percentiles of what was answered, and the statuses of all."""
    answered = [one for one in seen if one[0] == 200]
    statuses = Counter(one[0] for one in seen)
    result: dict[str, Any] = {"statuses": {str(status): n for status, n in sorted(statuses.items())}}
    for column, name in ((1, "first_byte"), (2, "whole")):
        seconds = [one[column] for one in answered]
        result[name] = {"p50_s": percentile(seconds, 0.5), "p95_s": percentile(seconds, 0.95)}
    return result


def percentile(values: list[float], share: float) -> float | None:
    """By nearest rank; None of nothing."""
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 4) if values else None


def ask(port: int, photo: bytes, seen: Seen) -> int:
    """One request on a connection of its own; its status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    try:
        connection.request("POST", ADDRESS, photo)
        answer = connection.getresponse()
        answer.read(1)
        first = time.perf_counter() - began
        answer.read()
        seen.append((answer.status, first, time.perf_counter() - began))
        return answer.status
    except (OSError, http.client.HTTPException):
        seen.append((0, 0.0, 0.0))
        return 0
    finally:
        connection.close()


@contextmanager
def server(options: list[str]) -> Iterator[tuple[int, int]]:
    """A server's port and process."""
    command = [sys.executable, "-m", "optophone.cli.main", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+) ", process.stdout.readline())
        if not found:
            raise SystemExit("the server did not start")
        try:
            yield int(found[1]), process.pid
        finally:
            process.terminate()


def memory_mb(process: int) -> tuple[float, float]:
    """Memory now and at its peak, in 10^6 bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    kibibytes = {name: int(value) for name, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+)", status)}
    return round(kibibytes["VmRSS"] * 1.024e-3, 1), round(kibibytes["VmHWM"] * 1.024e-3, 1)


def processor_seconds(process: int) -> float:
    """Processor time that a process took since it began."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def under_load(port: int, process: int, photos: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """All clients at once for so many seconds."""
    seen: Seen = []
    others, served, own = foreign_seconds(), processor_seconds(process), time.process_time()
    began = time.perf_counter()

    def work(number: int) -> None:
        turn = number
        while time.perf_counter() < began + seconds:
            if ask(port, photos[turn % len(photos)], seen) != 200:
                time.sleep(PAUSE_S)
            turn += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    served, own = processor_seconds(process) - served, time.process_time() - own
    return {
        "seconds": round(took, 1),
        "answered_per_s": round(sum(one[0] == 200 for one in seen) / took, 2),
        **figures(seen),
        "server_cores": round(served / took, 2),
        "clients_cores": round(own / took, 2),
        "foreign_cores": round(max(0.0, foreign_seconds() - others - served) / took, 2),
    }


def over_requests(port: int, process: int, photos: list[bytes], clients: int, requests: int) -> dict[str, Any]:
    """Memory of the server over so many requests."""
    seen: Seen = []
    turns = iter(range(requests))
    lock = threading.Lock()
    noted: list[tuple[int, float]] = []

    def next_turn() -> int | None:
        with lock:
            turn = next(turns, None)
            if turn is not None and turn % max(1, requests // NOTES) == 0:
                note(turn)
            return turn

    def note(turn: int) -> None:
        noted.append((turn, memory_mb(process)[0]))
        print(f"  after {turn:6} requests {noted[-1][1]:7.1f} MB", flush=True)

    def work() -> None:
        while (turn := next_turn()) is not None:
            while ask(port, photos[turn % len(photos)], seen) not in (200, 0):
                time.sleep(PAUSE_S)

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    note(requests)
    return {
        "requests": requests,
        "seconds": round(time.perf_counter() - began, 1),
        **figures(seen),
        "memory_mb_by_requests": noted,
        "bytes_per_request": round(1e6 * slope(noted[len(noted) // 2 :]), 1),
        "peak_mb": memory_mb(process)[1],
    }


def slope(points: list[tuple[int, float]]) -> float:
    """Of the line with the least squares; 0 of fewer than two points."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else 0.0


def measure_memory(options: argparse.Namespace) -> bool:
    """Memory of one server over `options.requests`; whether it stayed."""
    photos = [path.read_bytes() for path in options.photos]
    with serving(options, options.workers, options.threads) as (port, process):
        result = over_requests(port, process, photos, options.clients, options.requests)
    grown = result["bytes_per_request"] * options.requests / 1e6
    result |= {"machine": machine(options.threads), "clients": options.clients, "workers": options.workers}
    print(f"{options.requests} requests of {options.clients} clients in {result['seconds']} s: {result['statuses']}")
    print(f"  {result['bytes_per_request']} bytes a request in the second half: {grown:.1f} MB over all")
    write(options.output, result)
    return grown <= options.allowed and set(result["statuses"]) <= {"200", "429", "503"}


@contextmanager
def serving(options: argparse.Namespace, workers: int, threads: int) -> Iterator[tuple[int, int]]:
    """A server with the chosen model, which has answered its first requests: its port and process."""
    model = ["-m", options.model] if options.model else []
    with server([*model, "--workers", str(workers), "--threads", str(threads)]) as (port, process):
        for turn in range(WARM_UP):
            ask(port, options.photos[turn % len(options.photos)].read_bytes(), [])
        yield port, process


def measure(options: argparse.Namespace, workers: int, threads: int) -> dict[str, Any]:
    """One server: one client alone, then all."""
    photos = [path.read_bytes() for path in options.photos]
    with serving(options, workers, threads) as (port, process):
        before, _ = memory_mb(process)
        alone: Seen = []
        for turn in range(options.repeats):
            ask(port, photos[turn % len(photos)], alone)
        loaded = under_load(port, process, photos, options.clients, options.seconds)
        after, peak = memory_mb(process)
    memory = {"before_mb": before, "after_mb": after, "peak_mb": peak}
    return {"workers": workers, "one_client": figures(alone), "load": loaded, "memory": memory}


def measure_joining(options: argparse.Namespace, threads: int) -> dict[str, float]:
    """Seconds per picture of the captioner's encoder, by how many pictures it takes at once."""
    from optophone.core.picture import load_picture
    from optophone.pipelines import TokenPipeline
    from optophone.runtime.load import load
    from optophone.runtime.onnx_captioner import OnnxCaptioner

    pipeline = load(options.model, threads=threads)
    if not (isinstance(pipeline, TokenPipeline) and isinstance(pipeline.describer.captioner, OnnxCaptioner)):
        return {}
    captioner = pipeline.describer.captioner
    pictures = [load_picture(photo) for photo in options.photos]
    result = {}
    for size in (1, 2, 4, 8):
        prepared = captioner.prepare([pictures[i % len(pictures)] for i in range(size)])
        captioner.begin(prepared)
        took = []
        for _ in range(options.repeats):
            began = time.perf_counter()
            captioner.begin(prepared)
            took.append((time.perf_counter() - began) / size)
        result[str(size)] = round(statistics.median(took), 5)
    return result


def print_server(name: str, row: dict[str, Any], clients: int) -> None:
    """One server's figures, for people."""
    alone, load, memory = row["one_client"], row["load"], row["memory"]
    print(f"{name}, {row['workers']} at a time")
    print(f"  one client: first byte {alone['first_byte']['p50_s']} s, whole {alone['whole']['p50_s']} s")
    print(f"  {clients} clients for {load['seconds']} s: {load['answered_per_s']} a second, answers {load['statuses']}")
    print(f"    whole p50 {load['whole']['p50_s']} s, p95 {load['whole']['p95_s']} s")
    print(f"    first byte p50 {load['first_byte']['p50_s']} s, p95 {load['first_byte']['p95_s']} s")
    print(f"    cores: server {load['server_cores']}, clients {load['clients_cores']}, others {load['foreign_cores']}")
    print(f"  memory {memory['before_mb']} MB, then {memory['after_mb']} MB, at most {memory['peak_mb']} MB")


def main() -> None:
    """Measure both servers and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="a bundle; the embedded default where none is given")
    parser.add_argument("--photos", type=Path, nargs="+", default=sorted((ROOT / "examples").glob("*.jpg")))
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=9, help="requests of the client that is alone")
    parser.add_argument("--workers", type=int, default=2, help="of the server that takes several at a time")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of the larger graphs")
    parser.add_argument("--requests", type=int, help="measure memory alone, over so many requests")
    parser.add_argument("--allowed", type=float, default=20.0, help="MB that it may grow by")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    options = parser.parse_args()
    if options.requests:
        raise SystemExit(0 if measure_memory(options) else 1)
    result: dict[str, Any] = {"machine": machine(options.threads), "clients": options.clients}
    for name, workers in (("several", options.workers), ("one at a time", 1)):
        result[name.replace(" ", "_")] = row = measure(options, workers, options.threads)
        print_server(name, row, options.clients)
    result["encoder_s_per_picture_by_batch"] = joined = measure_joining(options, options.threads)
    print(f"encoder, seconds per picture by pictures at once: {joined}")
    write(options.output, result)


def write(path: Path | None, result: dict[str, Any]) -> None:
    """Write a JSON file, if one is asked for."""
    if path:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
