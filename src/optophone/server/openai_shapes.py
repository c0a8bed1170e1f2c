"""Requests and answers in the shapes of OpenAI's HTTP interface, as far as a describer has use for them.

What else clients send (temperature, tools, ...) is taken and not looked at.
"""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from optophone.pipelines import Description
from optophone.server.problems import Problem

NO_ANSWERS = "I describe pictures and cannot answer questions."
MAX_FOLLOW_UPS = 4


class SpeechRequest(BaseModel):
    """`POST /v1/audio/speech`."""

    input: str = Field(description="What to say.")
    model: str = Field("", description="Taken and not looked at: there is one voice model.")
    voice: str = Field("", description="A speaker's name or number, where the voice has several.")
    response_format: str = Field("mp3", description="mp3, wav, ogg, flac, or pcm for bare 16-bit samples.")
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = Field("audio", description="sse sends base64 pieces as events.")


class PictureAddress(BaseModel):
    """Where a picture is: only a data URL is taken."""

    url: str


class Part(BaseModel):
    """One part of a message: text, or a picture."""

    type: str
    text: str | None = None
    image_url: PictureAddress | str | None = None

    @property
    def picture(self) -> str | None:
        """The data URL, where the part is a picture."""
        if self.type not in ("image_url", "input_image"):
            return None
        address = self.image_url.url if isinstance(self.image_url, PictureAddress) else self.image_url
        if address is None:
            raise Problem(422, f"The part of type {self.type!r} has no image_url; give a data URL.")
        return address


class Message(BaseModel):
    """One message of a conversation."""

    role: str
    content: str | list[Part] | None = None

    @property
    def pictures(self) -> list[str]:
        """Data URLs, in order."""
        parts = self.content if isinstance(self.content, list) else []
        return [address for part in parts if (address := part.picture) is not None]


class StreamOptions(BaseModel):
    """What a stream of events says beside the words."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1)
    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None


def picture_of(messages: Sequence[Message]) -> str:
    """The newest picture of a conversation.

    Raises:
        Problem: 422, there is none.
    """
    for message in reversed(messages):
        if message.pictures:
            return message.pictures[-1]
    text = "There is no picture in the messages; add a part of type image_url with a data URL."
    raise Problem(422, text)


def follow_ups(roles: Sequence[str]) -> int:
    """How often a conversation was answered before: what comes now is a question about a picture already described."""
    return min(MAX_FOLLOW_UPS, sum(role == "assistant" for role in roles))


def answer_text(descriptions: Sequence[Description], n_before: int) -> str:
    """What to say of a picture; asked again, the description that was not said yet, and that this is no answer."""
    if n_before == 0:
        return descriptions[0].said
    if descriptions[0].refused:
        return f"{NO_ANSWERS} {descriptions[0].said}"
    if n_before < len(descriptions):
        return f"{NO_ANSWERS} In other words: {descriptions[n_before].said}"
    return f"{NO_ANSWERS} I have no other words for this picture."


def completion(model: str, text: str, identity: str) -> dict[str, Any]:
    """The answer to a chat, whole."""
    return {
        "id": identity,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": usage(text),
    }


def completion_events(model: str, text: str, identity: str, with_usage: bool) -> Iterator[bytes]:
    """The answer to a chat as server-sent events, a word in each."""
    head = {"id": identity, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**head, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for number, word in enumerate(text.split(" ")):
        yield chunk({"content": word if number == 0 else f" {word}"})
    yield chunk({}, "stop")
    if with_usage:
        yield event({**head, "choices": [], "usage": usage(text)})
    yield b"data: [DONE]\n\n"


def event(content: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()


def usage(text: str) -> dict[str, int]:
    """Words in the place of tokens; nothing is paid for here."""
    n_words = len(text.split())
    return {"prompt_tokens": 0, "completion_tokens": n_words, "total_tokens": n_words}
