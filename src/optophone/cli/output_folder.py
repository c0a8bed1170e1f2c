"""A folder that a long command fills, and goes on filling when it is given again."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optophone.core.bundle import MANIFEST, Bundle
from optophone.core.errors import ConfigurationError
from optophone.core.whole_file import collect_unfinished, is_unfinished, why_unwritten, write_whole

REQUEST_FILE = "request.json"
REPORT_FILE = "report.jsonl"


def claim_folder(folder: Path, request: Mapping[str, Any]) -> None:
    """Make `folder`, and note in it what is asked for; one that was begun with the same request is taken up again.

    Raises:
        ConfigurationError: it cannot be written, holds something else, or was begun with another request.
    """
    path = folder / REQUEST_FILE
    asked = json.loads(json.dumps(request))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            _compare(folder, json.loads(path.read_bytes()), asked)
        elif not all(map(is_unfinished, folder.iterdir())):
            raise ConfigurationError(
                f"{folder}: not empty, and not begun by this command; give another folder with -o."
            )
        else:
            write_whole(path, (json.dumps(asked, indent=2) + "\n").encode())
        collect_unfinished(folder)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be written ({why_unwritten(error)}).") from None
    except ValueError:
        raise ConfigurationError(f"{path}: damaged; delete the folder and begin again.") from None


def _compare(folder: Path, found: Any, asked: Mapping[str, Any]) -> None:
    found = found if isinstance(found, Mapping) else {}
    told = [
        f"{name} {_short(found.get(name))} there, {_short(asked.get(name))} asked for"
        for name in dict.fromkeys([*found, *asked])
        if found.get(name) != asked.get(name)
    ]
    if told:
        raise ConfigurationError(f"{folder}: was begun otherwise ({'; '.join(told)}); give another folder with -o.")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def fingerprint(opened: Bundle) -> str:
    """sha256 over the manifests of a bundle and of its parts, which hold the hashes of all their files."""
    folders = [opened.folder, *(opened.part(kind) for kind in sorted(opened.manifest.parts))]
    return hashlib.sha256(b"\n".join((folder / MANIFEST).read_bytes() for folder in folders)).hexdigest()


class Report:
    """`report.jsonl`: a line for each item, written as they become ready and put in order at the end.

    A run that was killed leaves whole lines and perhaps a torn last one, which does not count.

    Args:
        path: the file; made where there is none.
        key: the field that says which item a line is about.

    Raises:
        ConfigurationError: the file cannot be read.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.lines: dict[str, dict[str, Any]] = {}
        try:
            written = path.read_bytes().split(b"\n") if path.exists() else []
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read ({error.strerror}).") from None
        for line in written:
            try:
                record = json.loads(line)
                self.lines[record[key]] = record
            except (ValueError, KeyError, TypeError):
                continue

    def add(self, record: dict[str, Any]) -> None:
        """Append a line."""
        self.lines[record[self.key]] = record
        torn = b"" if _ends_a_line(self.path) else b"\n"
        with open(self.path, "ab") as file:
            file.write(torn + as_line(record))

    def finish(self, order: Iterable[str]) -> None:
        """Write the lines of the items in `order` anew, in their order, then any others."""
        keys = dict.fromkeys([*(key for key in order if key in self.lines), *self.lines])
        write_whole(self.path, b"".join(as_line(self.lines[key]) for key in keys))


def as_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line of JSON."""
    return (json.dumps(record, ensure_ascii=False) + "\n").encode()


def _ends_a_line(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    except OSError:
        return True
