"""`optophone models`: what is there to use."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optophone.core.errors import OptophoneError

if TYPE_CHECKING:
    from optophone.core.bundle import Bundle

_COLUMNS = ("name", "kind", "class", "size", "licence", "speakers", "figures")
MAX_SHOWN = 6  # speakers; JSON has all


@click.command("models")
@click.argument("bundles", nargs=-1, metavar="[BUNDLE]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for programs.")
def models(bundles: tuple[str, ...], as_json: bool) -> int:
    """List the models that come with the program, or the BUNDLEs named.

    Every file is checked against its checksum; a damaged bundle is named and the exit status is 2. Speakers are those
    that --speaker chooses from.

    \b
    Examples:
      optophone models
      optophone models my-bundles/*
      optophone models --json
    """
    from optophone.cli.messages import report_failure
    from optophone.core.bundle import open_bundle
    from optophone.runtime.load import embedded_bundles, find_bundle

    status = 0
    rows = []
    for place in bundles or embedded_bundles():
        try:
            rows.append(_row(open_bundle(find_bundle(place))))
        except OptophoneError as error:
            status = 2
            report_failure(str(place), error)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        _print_table(rows)
    elif not bundles:
        click.echo("No models come with this installation; give a bundle's folder with -m.", err=True)
    return status


def _row(opened: "Bundle") -> dict[str, Any]:
    manifest = opened.manifest
    return {
        "name": manifest.name,
        "kind": manifest.kind,
        "class": manifest.cls,
        "folder": str(opened.folder),
        "bytes": sum(path.stat().st_size for path in Path(opened.folder).rglob("*") if path.is_file()),
        "licence": manifest.licence,
        "metrics": dict(manifest.metrics),
        "parts": dict(manifest.parts),
        "speakers": _speakers(opened),
    }


def _speakers(opened: "Bundle") -> list[str]:
    """Names by number of the voices that a bundle, or its acoustic part, tells apart."""
    from optophone.core.bundle import open_bundle
    from optophone.core.speakers import speaker_names

    if "acoustic" in opened.manifest.parts:
        opened = open_bundle(opened.part("acoustic"))
    return list(speaker_names(opened.manifest.configuration, str(opened.folder)))


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells: list[tuple[str, ...]] = [
        _COLUMNS,
        *(
            (
                str(row["name"]),
                str(row["kind"]),
                str(row["class"]),
                f"{row['bytes'] / 1e6:.1f} MB",
                str(row["licence"] or "-"),
                _shown(row["speakers"]),
                ", ".join(f"{name} {_figure(value)}" for name, value in row["metrics"].items()) or "-",
            )
            for row in rows
        ),
    ]
    if not any(row["speakers"] for row in rows):
        place = _COLUMNS.index("speakers")
        cells = [line[:place] + line[place + 1 :] for line in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _shown(speakers: list[str]) -> str:
    n_more = len(speakers) - MAX_SHOWN
    return (", ".join(speakers[:MAX_SHOWN]) + (f" and {n_more} more" if n_more > 0 else "")) or "-"


def _figure(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
