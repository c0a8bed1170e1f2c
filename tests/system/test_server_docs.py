"""Every call that docs/server.md shows, as it is shown, against a running server."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tiny_bundles import write_system

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import optophone
from served import served

ROOT = Path(__file__).resolve().parents[2]
PORT = "127.0.0.1:8080"


def shown_calls() -> list[str]:
    """Indented commands with curl in them; one ends with a line that is not continued and leaves no quote open."""
    calls, command = [], ""
    for line in (ROOT / "docs/server.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("    "):
            command = ""
            continue
        command += line[4:] + "\n"
        if not line.endswith(("\\", "|")) and command.count("'") % 2 == 0:
            calls += [command] if "curl" in command else []
            command = ""
    return calls


def test_every_call_in_the_documentation_works(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None or shutil.which("curl") is None:
        pytest.skip("there is no bash or no curl here")
    shutil.copy(ROOT / "examples/beach.jpg", tmp_path / "photo.jpg")
    calls = shown_calls()
    assert len(calls) >= 14
    with served(optophone.load(write_system(tmp_path / "system"), threads=1)) as running:
        for call in calls:
            assert PORT in call
            asked = call.replace(PORT, running.host).replace("curl ", "curl --silent --show-error --fail-with-body ")
            done = subprocess.run([bash, "-c", asked], cwd=tmp_path, capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, (call, done.stdout, done.stderr)
            written = re.search(r" -o (\S+)", call)
            assert (tmp_path / written[1]).stat().st_size > 1000 if written else done.stdout, call
