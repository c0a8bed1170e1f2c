"""The page and its files, the list of addresses, health and metrics."""

import html
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from optophone.server.describe_routes import Served
from optophone.server.metrics import MEDIA_TYPE

FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/sound.js": ("sound.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
router = APIRouter()


@cache
def _content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


async def page_file(request: Request) -> Response:
    """One of `FILES`."""
    name, media_type = FILES[request.url.path]
    return Response(_content(name), 200, {"Cache-Control": "no-cache"}, media_type)


for _address in FILES:
    router.add_api_route(_address, page_file, methods=["GET"], include_in_schema=False)


@router.get("/healthz", summary="Whether the server is well", response_class=JSONResponse)
async def health(describing: Served) -> Response:
    """Answers at once, however busy the workers are."""
    gate = describing.gate
    state = {"status": "ok", "version": version("optophone"), "model": describing.name}
    return JSONResponse({**state, "working": gate.n_working, "waiting": gate.n_waiting, "workers": gate.workers})


@router.get("/metrics", summary="Counts and durations for Prometheus", response_class=Response)
async def metrics(describing: Served) -> Response:
    """Text in Prometheus's format; no picture and no word of anybody is in it."""
    gate = describing.gate
    gauges = {"optophone_requests_working": gate.n_working, "optophone_requests_waiting": gate.n_waiting}
    return Response(describing.metrics.text(gauges).encode(), media_type=MEDIA_TYPE)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The addresses in words, from the same description as /openapi.json; nothing is loaded from elsewhere."""
    return HTMLResponse(addresses_page(request.app.openapi()))


def addresses_page(description: dict[str, Any]) -> str:
    """A page of headings and lists from an OpenAPI description."""
    entries = []
    for address, methods in description["paths"].items():
        for method, operation in methods.items():
            heading = f"<h2><code>{method.upper()} {html.escape(address)}</code></h2>"
            text = _with_code(html.escape(" ".join(operation.get("description", "").split())))
            options = "".join(_option(one) for one in operation.get("parameters", ()))
            listed = f"<ul>{options}</ul>" if options else ""
            entries.append(f"{heading}<p>{html.escape(operation.get('summary', ''))}. {text}</p>{listed}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Optophone: addresses</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/style.css">'
        '<link rel="icon" href="/icon.svg" type="image/svg+xml"></head>'
        "<body><main><h1>What programs can call</h1>"
        '<p>The same for programs: <a href="/openapi.json">/openapi.json</a>. <a href="/">The page</a>.</p>'
        + "".join(entries)
        + "</main></body></html>"
    )


def _with_code(text: str) -> str:
    """Words between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _option(parameter: dict[str, Any]) -> str:
    name, text = html.escape(parameter["name"]), html.escape(parameter.get("description", ""))
    return f"<li><code>{name}</code>: {text}</li>"
