"""The lines that several commands print."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optophone.pipelines import Description


def caption_line(description: "Description", name: str | None = None) -> str:
    """`a dog runs on the grass  (confidence 62 %)`, after the photo's name where there are several."""
    line = f"{description.text}  (confidence {100 * description.confidence:.0f} %)"
    return line if name is None else f"{name}: {line}"


def report_failure(name: str, error: Exception, print_json: Callable[[dict[str, Any]], None] | None = None) -> None:
    """One line on stderr that names what failed, and a JSON record where the command prints JSON."""
    message = " ".join(str(error).split())
    if name not in message:
        message = f"{name}: {message}"
    click.echo(f"optophone: {message}", err=True)
    if print_json is not None:
        print_json({"picture": name, "error": message})
