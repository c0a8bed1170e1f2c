"""How the server holds up under many clients at once, beside one that takes one request at a time.

    python benchmarks/server.py                                   16 clients for 10 seconds, each server
    python benchmarks/server.py --seconds 60 -o result.json       what is reported

Both servers are processes of their own (`optophone serve`) with the same threads for the networks, asked over their
sockets. First one client alone: the first byte of the sound of a photograph, warm. Then all clients at once; each asks
for a photograph's sound as soon as its last one is there (after a refusal, a tenth of a second later). Peak memory is
the server's alone. Last, whether joining pictures would pay: the captioner's encoder on several pictures at once.

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


def measure(options: argparse.Namespace, workers: int, threads: int) -> dict[str, Any]:
    """One server: one client alone, then all."""
    photos = [path.read_bytes() for path in options.photos]
    model = ["-m", options.model] if options.model else []
    with server([*model, "--workers", str(workers), "--threads", str(threads)]) as (port, process):
        for turn in range(WARM_UP):
            ask(port, photos[turn % len(photos)], [])
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
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(options.threads), "clients": options.clients}
    for name, workers in (("several", options.workers), ("one at a time", 1)):
        result[name.replace(" ", "_")] = row = measure(options, workers, options.threads)
        print_server(name, row, options.clients)
    result["encoder_s_per_picture_by_batch"] = joined = measure_joining(options, options.threads)
    print(f"encoder, seconds per picture by pictures at once: {joined}")
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
