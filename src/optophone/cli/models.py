"""`optophone models`: what is there to use."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optophone.core.errors import OptophoneError

if TYPE_CHECKING:
    from optophone.core.bundle import Bundle

_COLUMNS = ("name", "kind", "class", "size", "licence", "figures")


@click.command("models")
@click.argument("bundles", nargs=-1, metavar="[BUNDLE]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for programs.")
def models(bundles: tuple[str, ...], as_json: bool) -> int:
    """List the models that come with the program, or the BUNDLEs named.

    Every file is checked against its checksum; a damaged bundle is named and the exit status is 2.

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
            opened = open_bundle(find_bundle(place))
        except OptophoneError as error:
            status = 2
            report_failure(str(place), error)
            continue
        rows.append(_row(opened))
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
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = [_COLUMNS] + [
        (
            str(row["name"]),
            str(row["kind"]),
            str(row["class"]),
            f"{row['bytes'] / 1e6:.1f} MB",
            str(row["licence"] or "-"),
            ", ".join(f"{name} {_figure(value)}" for name, value in row["metrics"].items()) or "-",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _figure(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
