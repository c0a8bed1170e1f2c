"""What the scripts in `runs/` would do."""

import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def commands_of(script: str, folder: Path, variables: dict[str, Any]) -> list[list[str]]:
    """The commands of our program that a script gives, in their order, without carrying them out."""
    record = folder / "commands.txt"
    noted = '() { local line; printf -v line \'%s\\x1f\' "$@"; echo "$line" >> "$RECORD"; }'
    environment = {**os.environ, "RECORD": str(record), "BASH_FUNC_optophone%%": noted}
    environment |= {name: str(value) for name, value in variables.items()}
    subprocess.run(["bash", script], cwd=ROOT, env=environment, check=True, capture_output=True)
    return [line.split("\x1f")[:-1] for line in record.read_text().splitlines()]
