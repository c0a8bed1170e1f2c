"""`POST /v1/describe`: a picture to words, or to sound."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response, StreamingResponse

from optophone.server.describing import Asked, Describing
from optophone.server.negotiation import accepted_format, named_format
from optophone.server.pictures import merged_options, read_picture
from optophone.server.problems import Problem, invalid_sentence
from optophone.server.shapes import DescribeOptions, certainty, described_json
from optophone.server.sound_encoder import STREAMED, media_type_of

router = APIRouter()

_PICTURE = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The picture itself, or a form with it as its one file and options beside it.",
        "content": {
            "image/*": {"schema": _PICTURE},
            "application/octet-stream": {"schema": _PICTURE},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"picture": _PICTURE}, "required": ["picture"]}
            },
        },
    },
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {key: value for key, value in schema.items() if key not in ("title", "description")},
            "description": schema.get("description", ""),
        }
        for name, schema in DescribeOptions.model_json_schema()["properties"].items()
    ],
    "responses": {
        "200": {
            "description": "JSON, or sound while it is being spoken.",
            "content": {"application/json": {}, "audio/wav": {}, "audio/ogg": {}, "audio/mpeg": {}, "audio/flac": {}},
        }
    },
}


def describing_of(request: Request) -> Describing:
    """The loaded system of the application."""
    return request.app.state.describing


Served = Annotated[Describing, Depends(describing_of)]


@router.post("/v1/describe", openapi_extra=_BODY, summary="Describe a picture in words or aloud")
async def describe(request: Request, describing: Served) -> Response:
    """Answers with JSON; with a `response_format` of sound, or an `Accept` that prefers it, with speech that is sent
    while it is being spoken. The headers Optophone-Text (percent-encoded), -Confidence and -Certainty come with it."""
    content, fields = await read_picture(request, describing.options.max_bytes)
    options = read_options(merged_options(request.query_params, fields))
    format = _format_of(options, request)
    asked = Asked(options.variants, options.seed, options.hedge, options.force)
    async with describing.place(request) as place:
        described = await describing.describe(place, content, asked)
        if format == "json":
            return JSONResponse(described_json(described, describing, options.attention))
        pieces = await describing.speak(place, request, described.descriptions, options.speed, format)
    best = described.descriptions[0]
    headers = {
        "Optophone-Text": quote(". ".join(one.said for one in described.descriptions), safe=" ,.:;!?'()"),
        "Optophone-Confidence": "" if best.confidence is None else f"{best.confidence:.4f}",
        "Optophone-Certainty": quote(certainty(best) or "", safe=" ,.:;!?'()"),
    }
    return StreamingResponse(pieces, 200, headers, media_type_of(format, describing.pipeline.sample_rate))


def read_options(values: dict[str, str]) -> DescribeOptions:
    """Options as they come, all of them text.

    Raises:
        Problem: 422, the first that is wrong.
    """
    try:
        return DescribeOptions.model_validate(values)
    except ValidationError as error:
        raise Problem(422, invalid_sentence(error.errors())) from None


def _format_of(options: DescribeOptions, request: Request) -> str:
    if options.response_format:
        return named_format(options.response_format, ("json", *STREAMED))
    return accepted_format(request.headers.get("accept"))
