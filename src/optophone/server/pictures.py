"""The bytes of a picture, however a client packs them: bare, in a form, in base64 or as a data URL.

Addresses of pictures elsewhere are never fetched: a server that fetches what strangers name can be sent anywhere.
"""

import base64
import binascii
import re
from collections.abc import Mapping

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from optophone.server.problems import Problem

MAX_FIELDS = 16
MAX_FIELD_BYTES = 4096

# What curl and browsers say of a file they know nothing about; what it is shows when it is opened.
_BARE = ("application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream", "")
_DATA_URL = re.compile(r"\Adata:(?P<type>[^,]*?)(?P<base64>;base64)?,", re.IGNORECASE)
_ADDRESS = re.compile(r"\A\s*([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_TOO_LARGE = "The picture is larger than {:.3g} MiB; save it smaller."


async def read_picture(request: Request, max_bytes: int) -> tuple[bytes, dict[str, str]]:
    """The picture of a request whose body is the picture, or a form with one file, and the other fields of the form.

    Raises:
        Problem: 413 too large, 415 the body is something else, 422 there is no picture or the form is broken.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return await _read_form(request, max_bytes)
    if media_type not in _BARE and not media_type.startswith("image/"):
        text = f"A body of {media_type[:60]!r} is no picture; send the picture itself, or a form with one file."
        raise Problem(415, text)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        _check_size(len(content), max_bytes)
    if not content:
        raise Problem(422, "The body is empty; send a picture.")
    return bytes(content), {}


async def _read_form(request: Request, max_bytes: int) -> tuple[bytes, dict[str, str]]:
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    parser.spool_max_size = max_bytes + 1  # pictures stay in memory: nothing private goes to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(422, f"The form is broken: {error.message[:200].rstrip('.')}.") from None
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if not files:
            raise Problem(422, "The form holds no file; send the picture as a file, for instance picture=@photo.jpg.")
        content = await files[0].read(max_bytes + 1)
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    finally:
        await form.close()
    _check_size(len(content), max_bytes)
    if not content:
        raise Problem(422, "The file in the form is empty; send a picture.")
    return content, fields


def decode_picture(text: str, max_bytes: int) -> bytes:
    """The content of a data URL, or of bare base64.

    Raises:
        Problem: 413 too large; 422 an address of a picture elsewhere, or no base64.
    """
    url = _DATA_URL.match(text[:200])
    if url and not url["base64"]:
        raise Problem(422, "The data URL of the picture is not in base64; send data:image/jpeg;base64,....")
    if not url and (address := _ADDRESS.match(text[:40])):
        text = f"The picture comes as an address ({address[1].lower()}:...); pictures elsewhere are never fetched."
        raise Problem(422, f"{text} Send it as a data URL.")
    encoded = re.sub(r"\s+", "", text[url.end() :] if url else text)
    _check_size(len(encoded) * 3 // 4 - 2, max_bytes)
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "The picture is not in base64; encode it anew.") from None
    _check_size(len(content), max_bytes)
    if not content:
        raise Problem(422, "The picture is empty (0 bytes).")
    return content


def merged_options(query: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """Options from the address and from the form; those of the form count where both say something."""
    return {**query, **fields}


def _check_size(n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise Problem(413, _TOO_LARGE.format(max_bytes / 2**20))
