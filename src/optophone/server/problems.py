"""Refusals as problem documents: a status, a title, and one plain sentence.

Source: RFC 9457. The member `error` says the same once more where clients of the OpenAI shape look for it.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from optophone.core.errors import OptophoneError, PictureFormatError, PictureTooLargeError

PROBLEM_MEDIA_TYPE = "application/problem+json"
UNEXPECTED = "Something went wrong in the server; its own output says what."


class Problem(HTTPException):
    """A request that is refused.

    Args:
        status: of HTTP.
        detail: one sentence for the user.
        retry_after_s: when to try again, where that helps.
    """

    def __init__(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if status in (408, 413):  # the rest of the body is not wanted
            headers["Connection"] = "close"
        super().__init__(status_code=status, detail=sentence(detail), headers=headers)


def problem_of(error: OptophoneError) -> Problem:
    """An error of ours as a refusal: 413 for too large pictures, 415 for what is no picture, else 422."""
    status = 422
    if isinstance(error, PictureTooLargeError):
        status = 413
    elif isinstance(error, PictureFormatError):
        status = 415
    return Problem(status, sentence(str(error)))


def sentence(text: str) -> str:
    """One line that begins with a capital and ends with a stop."""
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that is refused."""
    title = HTTPStatus(status).phrase
    kind = "invalid_request_error" if status < 500 else "server_error"
    content = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "error": {"message": detail, "type": kind, "code": title.lower().replace(" ", "_")},
    }
    text = json.dumps(content, ensure_ascii=False)
    return Response(text.encode(), status, dict(headers or {}), PROBLEM_MEDIA_TYPE)


_STATUS_DETAILS = {
    400: "The body of the request cannot be read.",
    404: "There is nothing at this address; / is the page, /docs lists what programs can call.",
    405: "This address does not take that method; /docs says which.",
}


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Turn an HTTP error, ours or the framework's, into a problem document."""
    assert hasattr(error, "status_code")
    status = error.status_code
    detail = getattr(error, "detail", "")
    if not isinstance(error, Problem):
        detail = _STATUS_DETAILS.get(status, sentence(str(detail) or HTTPStatus(status).phrase))
        status = 422 if status == 400 else status
    return problem_response(status, detail, getattr(error, "headers", None))


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """Say no more than that something went wrong; the guard tells whoever runs the server."""
    return problem_response(500, UNEXPECTED)


async def answer_error_of_ours(request: Request, error: Exception) -> Response:
    """Turn a user's mistake into a problem document."""
    assert isinstance(error, OptophoneError)
    problem = problem_of(error)
    return problem_response(problem.status_code, problem.detail)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """Turn a request that does not fit its description into a problem document about the first thing that is wrong."""
    assert isinstance(error, RequestValidationError)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    takes_json = any(first.get("loc", ("",))[0] == "body" for first in error.errors())
    if takes_json and not (media_type == "application/json" or media_type.endswith("+json")):
        return problem_response(415, "This address takes JSON; send it with Content-Type: application/json.")
    return problem_response(422, invalid_sentence(error.errors()))


def invalid_sentence(errors: Sequence[Any]) -> str:
    """What is wrong with the first field that is wrong, and how many others are."""
    first = errors[0]
    if first.get("type") == "json_invalid":
        return "The body of the request is no JSON."
    place = ".".join(str(part) for part in first.get("loc", ()) if part not in ("body", "query"))
    message = str(first.get("msg", "is not as documented")).replace("Value error, ", "")
    more = f" ({len(errors) - 1} more such)" if len(errors) > 1 else ""
    named = f"the field {place!r}" if place else "the body"
    return sentence(f"{named}: {message[:1].lower()}{message[1:]}{more}")
