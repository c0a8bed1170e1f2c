"""Running the Java programs that pycocoevalcap brings: METEOR, SPICE and the Penn Treebank tokenizer.

Nothing is imported from that package: its jars are started directly, with a time limit, and nothing is written beside
them.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from optophone.core.errors import OptophoneError

OLDEST = 8
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


class NotMeasuredError(OptophoneError):
    """A score that cannot be had here; the message says what it needs, as the end of "not measured: ..."."""


def java_version() -> int:
    """The major version of the Java on the path: 8, 11, 17 and so on.

    Raises:
        NotMeasuredError: there is none, or it is too old.
    """
    program = shutil.which("java")
    wanted = f"needs Java {OLDEST} or newer on the path (Debian: apt install default-jre-headless)"
    if program is None:
        raise NotMeasuredError(wanted)
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise NotMeasuredError(f"{wanted}; the one at {program} does not start") from None
    found = _VERSION.search(done.stderr + done.stdout)
    if done.returncode or not found or int(found[1]) < OLDEST:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise NotMeasuredError(f"{wanted}; the one at {program} says: {said[0] if said else 'nothing'}")
    return int(found[1])


def coco_folder(name: str) -> Path:
    """The folder `name` of the installed package pycocoevalcap, which is not imported.

    Raises:
        NotMeasuredError: it is not installed.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(root) / name).is_dir():
            return Path(root) / name
    raise NotMeasuredError("needs the package pycocoevalcap: pip install 'optophone[eval]'")


def run_java(name: str, arguments: Sequence[str], given: str, timeout_s: float) -> str:
    """What a Java program prints.

    Args:
        name: of the program, for messages.
        arguments: after "java".
        given: text on its standard input.
        timeout_s: after this many seconds it is killed.

    Raises:
        NotMeasuredError: no Java, a failure, or out of time.
    """
    java_version()
    try:
        done = subprocess.run(
            ["java", *arguments], input=given.encode(), capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotMeasuredError(f"{name} did not finish within {timeout_s:.0f} s") from None
    except OSError as error:
        raise NotMeasuredError(f"{name} does not start: {error.strerror}") from None
    if done.returncode:
        raise NotMeasuredError(f"{name} failed: {_complaint(done.stderr.decode('utf-8', 'replace'))}")
    return done.stdout.decode("utf-8", "replace")


def _complaint(text: str) -> str:
    """The line of Java's complaints that says most: the first that names an exception or error, or the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"Exception|Error", line)]
    return (named or lines[-1:] or ["it gave no reason"])[0][:200]
