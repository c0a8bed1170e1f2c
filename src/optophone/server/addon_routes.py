"""The addresses that screen readers' add-ons call on this machine, each in the shape they already speak.

Source: AI Content Describer for NVDA, `description_service.py`: its providers Seer (`/describe`), Ollama (`/api/tags`,
`/api/chat`) and llama.cpp (`/completion`). What it asks about the picture is not understood by a describer.
"""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from optophone.server.describe_routes import Served
from optophone.server.openai_routes import describe_encoded
from optophone.server.openai_shapes import follow_ups
from optophone.server.problems import Problem

router = APIRouter()


class SeerRequest(BaseModel):
    """`POST /describe`."""

    image_b64: str = Field(description="The picture in base64, or a data URL.")
    task: str = Field("caption", description="Taken and not looked at: every task is a description.")


class OllamaMessage(BaseModel):
    """One message of a conversation, with its pictures in base64."""

    role: str
    content: str = ""
    images: list[str] | None = None


class OllamaRequest(BaseModel):
    """`POST /api/chat`."""

    messages: list[OllamaMessage] = Field(min_length=1)
    model: str = ""
    stream: bool = True


class LlamaPicture(BaseModel):
    """A picture in base64."""

    data: str


class LlamaRequest(BaseModel):
    """`POST /completion`."""

    prompt: str = ""
    image_data: list[LlamaPicture] = Field(default_factory=list)


@router.post("/describe", summary="Describe a picture, as Seer does", response_class=JSONResponse)
async def describe(request: Request, asked: SeerRequest, describing: Served) -> Response:
    """Answers `{"description": ...}`."""
    text = await describe_encoded(request, describing, asked.image_b64)
    return JSONResponse({"description": text, "model": describing.name})


@router.get("/api/tags", summary="The model that is served, as Ollama lists it", response_class=JSONResponse)
async def tags(describing: Served) -> Response:
    """One entry."""
    details = {"family": "optophone", "format": "onnx"}
    entry = {"name": describing.name, "model": describing.name, "size": 0, "details": details}
    return JSONResponse({"models": [entry]})


@router.post("/api/chat", summary="Describe the picture of a conversation, as Ollama does", response_class=JSONResponse)
async def ollama_chat(request: Request, asked: OllamaRequest, describing: Served) -> Response:
    """Answers in one piece, which is also the last line of a stream."""
    pictures = [image for message in asked.messages for image in message.images or ()]
    if not pictures:
        raise Problem(422, "There is no picture in the messages; add it in base64 as images.")
    roles = [message.role for message in asked.messages]
    text = await describe_encoded(request, describing, pictures[-1], follow_ups(roles))
    answer = {"model": describing.name, "message": {"role": "assistant", "content": text}, "done": True}
    media_type = "application/x-ndjson" if asked.stream else "application/json"
    return JSONResponse({**answer, "done_reason": "stop"}, media_type=media_type)


@router.post("/completion", summary="Describe the picture of a prompt, as llama.cpp does", response_class=JSONResponse)
async def completion(request: Request, asked: LlamaRequest, describing: Served) -> Response:
    """Answers `{"content": ...}`."""
    if not asked.image_data:
        raise Problem(422, "There is no picture beside the prompt; add it in base64 as image_data.")
    n_before = min(follow_ups(["assistant"] * max(0, asked.prompt.count("ASSISTANT:") - 1)), 4)
    text = await describe_encoded(request, describing, asked.image_data[-1].data, n_before)
    return JSONResponse({"content": text, "stop": True, "model": describing.name})
