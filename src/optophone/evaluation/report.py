"""Result files: what was measured, with what, on what, where and by which command."""

import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optophone.core.configuration import to_mapping
from optophone.core.errors import DataError
from optophone.core.whole_file import why_unwritten, write_whole

# A list of numbers over several lines; it comes in no string, as there are no line breaks in JSON's strings.
_BROKEN_NUMBERS = re.compile(r"\[\n\s*-?\d[^\[\]{}\"]*\n\s*\]")
_PACKAGES = ("optophone", "numpy", "onnxruntime", "pillow", "pocketsphinx")


def write_result(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write `result` with date, command and machine as JSON, all or nothing.

    Raises:
        DataError: the file cannot be written.
    """
    path = Path(path)
    content = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **result, "machine": machine()}
    text = json.dumps(to_mapping(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    text = _BROKEN_NUMBERS.sub(lambda match: f"[{' '.join(match[0][1:-1].split())}]", text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise DataError(f"{path}: cannot write the result ({why_unwritten(error)}).") from None


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions: what a figure may depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def command_line() -> str:
    """The command as it was typed, from the program's name on."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines with aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
