"""The application: routes, problem documents, and the guard around all of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from optophone.core.errors import OptophoneError
from optophone.pipelines import Pipeline
from optophone.server import addon_routes, describe_routes, openai_routes, page_routes
from optophone.server.describing import Describing
from optophone.server.guard import Guard
from optophone.server.options import ServerOptions
from optophone.server.problems import answer_error_of_ours, answer_http_error, answer_invalid, answer_unexpected

ADDRESSES = (
    *page_routes.FILES,
    "/docs",
    "/openapi.json",
    "/healthz",
    "/metrics",
    "/v1/describe",
    "/v1/audio/speech",
    "/v1/chat/completions",
    "/v1/models",
    "/describe",
    "/api/tags",
    "/api/chat",
    "/completion",
)


def build_app(pipeline: Pipeline, options: ServerOptions | None = None, name: str = "default") -> ASGIApp:
    """The server as an ASGI application.

    Args:
        pipeline: what describes and speaks.
        options: limits, and who may call.
        name: of the model, for clients that ask.

    Raises:
        ConfigurationError: the pipeline takes no pictures.
    """
    options = options or ServerOptions()
    describing = Describing(pipeline, options, name)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        describing.gate.close()

    app = FastAPI(
        title="Optophone",
        version=version("optophone"),
        description="Describes pictures in words and aloud, on this machine.",
        docs_url=None,  # those pages load their programs from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.describing = describing
    for module in (describe_routes, openai_routes, addon_routes, page_routes):
        app.include_router(module.router)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(OptophoneError, answer_error_of_ours)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(Exception, answer_unexpected)
    if options.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Accept", "Authorization"],
            expose_headers=["Optophone-Text", "Optophone-Confidence", "Optophone-Certainty"],
        )
    return Guard(app, options, describing.metrics, ADDRESSES)
