"""A command that is killed, or finds the disk full, at each of its steps on the disk.

    python -m robustness.stumble FOLDER MODULE,... FAULT STEPS COMMAND...

runs `optophone COMMAND` in fresh copies of FOLDER: once as it is, then once for each of some steps with a fault at it
("kill": SIGKILL before the step; "full": from it on nothing more can be opened to write or made; "short": from it on
the system lets no file grow longer than a line, whoever writes it; "torn": the same, and who tries is killed while
writing), each followed by the same command
without a fault. A step is a file that is opened for writing, a folder that is made, or a name that is changed, inside
the copy. It prints a JSON object for each run. The modules are imported beforehand, since each run is a fork.
"""

import errno
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LIMIT_S = 60
_SHORT = 80  # bytes of a file
Step = Callable[[str], None]


def watch_disk(place: Path, on_step: Step) -> None:
    """Call `on_step` with the name of the event before each step of this process that changes `place`."""
    inside, last = os.fspath(place), ("", "")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(arguments[0], str | bytes | os.PathLike) and arguments[2] & _WRITES:
                report(event, arguments[0])
        elif event in ("os.rename", "os.mkdir"):
            report(event, arguments[0])

    def report(event: str, path: Any) -> None:
        nonlocal last
        name = os.path.abspath(os.fsdecode(path))
        # Opening a file several times before anything else happens is one step.
        if name.startswith(inside) and (event, name) != last:
            last = (event, name)
            on_step(event)

    sys.addaudithook(hook)


def fault_at(fault: str, number: int) -> Step:
    """What happens at a step: nothing before step `number`, from 0; a fault from then on."""
    count = 0
    if fault == "torn":  # the process to come inherits it; Python's own answer is an error
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def step(event: str) -> None:
        nonlocal count
        count, now = count + 1, count
        if fault == "kill" and now == number:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault in ("short", "torn") and now == number:
            resource.setrlimit(resource.RLIMIT_FSIZE, (_SHORT, resource.RLIM_INFINITY))
        if fault == "full" and now >= number and event != "os.rename":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return step


def run_forked(place: Path, command: list[str], on_step: Step) -> tuple[int, str]:
    """Exit status, negative for a signal, and the output of a command that a process of its own runs in `place`."""
    reading, writing = os.pipe()  # no file: that could be one that must not grow
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_here(place, command, on_step, writing)
    os.close(writing)
    timer = threading.Timer(_LIMIT_S, os.kill, (child, signal.SIGABRT))
    timer.start()
    with open(reading, "rb") as noise:
        said = noise.read().decode("utf-8", "replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    timer.cancel()
    return status, said


def _run_here(place: Path, command: list[str], on_step: Step, noise: int) -> None:
    status = 70
    try:
        os.dup2(noise, 1)
        os.dup2(noise, 2)
        os.chdir(place)
        from optophone.cli.main import run

        watch_disk(place, on_step)
        status = run(command)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def files_below(place: Path) -> dict[str, str]:
    """Name → hash of every file; hidden ones have names with a dot in front."""
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def reports(folder: Path, modules: str, fault: str, steps: int, command: list[str]) -> list[dict[str, Any]]:
    """What this file, run in a process of its own, says: of the whole run, which must go well, then of each fault."""
    arguments = [sys.executable, "-m", "robustness.stumble", str(folder), modules, fault, str(steps), *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[0]["status"] == 0, found[0]["stderr"]
    assert len(found) > 1
    return found


def main(folder: str, modules: str, fault: str, n_steps: str, *command: str) -> None:
    """See the head of this file."""
    for module in filter(None, modules.split(",")):
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="stumble-") as name:
        # The same name for every run, since some files hold it.
        place = Path(name).resolve() / "here"
        counts = place.with_name("steps")
        shutil.copytree(folder, place)

        def count(event: str) -> None:
            descriptor = os.open(counts, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, b"x")
            os.close(descriptor)

        status, noise = run_forked(place, list(command), count)
        total = counts.stat().st_size if counts.exists() else 0
        print(json.dumps({"status": status, "stderr": noise, "steps": total, "files": files_below(place)}), flush=True)
        wanted = min(total, int(n_steps))
        for number in sorted({round(i * (total - 1) / max(1, wanted - 1)) for i in range(wanted)}):
            shutil.rmtree(place)
            shutil.copytree(folder, place)
            status, noise = run_forked(place, list(command), fault_at(fault, number))
            report: dict[str, Any] = {"step": number, "status": status, "stderr": noise, "files": files_below(place)}
            again, second = run_forked(place, list(command), lambda event: None)
            report |= {"again": again, "second": second, "afterwards": files_below(place)}
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
