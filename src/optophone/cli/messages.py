"""The lines that several commands print."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from optophone.pipelines import Description


def printable(name: str) -> str:
    """A name as any terminal and any JSON reader takes it: bytes that are no text become a mark."""
    return name.encode("utf-8", "replace").decode("utf-8")


def caption_line(description: "Description", name: str | None = None) -> str:
    """`a dog runs on the grass  (confidence 62 %)`, after the photo's name where there are several."""
    line = description.text
    if not description.refused and description.confidence is not None:
        line += f"  (confidence {100 * description.confidence:.0f} %)"
    return line if name is None else f"{printable(name)}: {line}"


def report_failure(name: str, error: Exception) -> str:
    """Print one line on stderr that names what failed; the line without the program's name."""
    name = printable(name)
    message = " ".join(printable(str(error)).split())
    if name not in message:
        message = f"{name}: {message}"
    click.echo(f"optophone: {message}", err=True)
    return message


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Our own warnings while this lasts, beside being shown as ever: a list that fills."""
    collected: list[str] = []
    show = warnings.showwarning

    def note(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if category.__module__.partition(".")[0] == "optophone":
            collected.append(str(message))
        show(message, category, filename, lineno, file, line)

    warnings.showwarning = note
    try:
        yield collected
    finally:
        warnings.showwarning = show
