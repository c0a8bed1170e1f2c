"""Addresses in OpenAI's shape: a chat with a picture, the voice, the list of models."""

import base64
import secrets
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from optophone.server.describe_routes import Served
from optophone.server.describing import Asked, Describing
from optophone.server.negotiation import named_format
from optophone.server.openai_shapes import (
    ChatRequest,
    SpeechRequest,
    answer_text,
    completion,
    completion_events,
    event,
    follow_ups,
    picture_of,
)
from optophone.server.pictures import decode_picture
from optophone.server.problems import Problem
from optophone.server.sound_encoder import STREAMED, media_type_of

EVENTS = "text/event-stream"
router = APIRouter()


@router.post("/v1/audio/speech", summary="Speak a text", response_class=Response)
async def speech(request: Request, asked: SpeechRequest, describing: Served) -> Response:
    """Sound is sent while it is being spoken. `pcm` is at the voice's own rate, which the Content-Type says."""
    format = named_format(asked.response_format, STREAMED)
    async with describing.place(request) as place:
        pieces = await describing.say(place, request, asked.input, asked.voice, asked.speed, format)
    if asked.stream_format == "sse":
        return StreamingResponse(_sound_events(pieces), 200, None, EVENTS)
    return StreamingResponse(pieces, 200, None, media_type_of(format, describing.pipeline.sample_rate))


async def _sound_events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    yield event({"type": "speech.audio.done", "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}})


@router.post("/v1/chat/completions", summary="Describe the picture of a conversation", response_class=JSONResponse)
async def chat(request: Request, asked: ChatRequest, describing: Served) -> Response:
    """Describes the newest picture, a data URL, in the conversation; what is asked about it is not understood, and the
    answer to a second question says so and gives another description. With `stream` it comes as events."""
    roles = [message.role for message in asked.messages]
    text = await describe_encoded(request, describing, picture_of(asked.messages), follow_ups(roles))
    identity = f"chatcmpl-{secrets.token_hex(12)}"
    if not asked.stream:
        return JSONResponse(completion(describing.name, text, identity))
    with_usage = asked.stream_options is not None and asked.stream_options.include_usage
    return StreamingResponse(completion_events(describing.name, text, identity, with_usage), 200, None, EVENTS)


async def describe_encoded(request: Request, describing: Describing, picture: str, n_before: int = 0) -> str:
    """The words for a picture that comes as a data URL or in base64, asked for the (n_before + 1)th time.

    Raises:
        Problem: 413, 415, 422: the picture; 422: the system speaks without words; 429, 503: it is busy.
    """
    if describing.pipeline.writes not in ("words", "characters"):
        raise Problem(422, f"{describing.name} speaks without words; ask /v1/describe for sound.")
    content = await run_in_threadpool(decode_picture, picture, describing.options.max_bytes)
    variants = min(n_before + 1, describing.options.max_variants)
    async with describing.place(request) as place:
        described = await describing.describe(place, content, Asked(variants))
    return answer_text(described.descriptions, n_before)


@router.get("/v1/models", summary="The model that is served", response_class=JSONResponse)
async def models(describing: Served) -> Response:
    """One entry, in OpenAI's shape; it takes pictures and texts."""
    modalities = {"input_modalities": ["image", "text"], "output_modalities": ["text", "audio"]}
    entry = {
        "id": describing.name,
        "object": "model",
        "created": 0,
        "owned_by": "optophone",
        "name": describing.name,
        "description": "Describes photographs in a sentence and speaks it.",
        "architecture": modalities,
        "voices": list(describing.voice.speakers) if describing.voice else [],
    }
    return JSONResponse({"object": "list", "data": [entry]})
