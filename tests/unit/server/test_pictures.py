"""Pictures as clients pack them."""

import base64

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from optophone.server.pictures import decode_picture
from optophone.server.problems import Problem

CONTENT = bytes(range(200))
ENCODED = base64.b64encode(CONTENT).decode()


@pytest.mark.parametrize(
    "text",
    [
        ENCODED,
        f"data:image/png;base64,{ENCODED}",
        f"DATA:;BASE64,{ENCODED}",
        f"data:image/jpeg;charset=utf-8;base64,{ENCODED}",
        ENCODED[:76] + "\r\n" + ENCODED[76:] + "\n",
    ],
)
def test_base64_and_data_urls(text: str) -> None:
    assert decode_picture(text, 200) == CONTENT


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (ENCODED, 413, "larger than"),
        ("", 422, "empty"),
        ("data:image/png;base64,", 422, "empty"),
        ("data:image/png,rawbytes", 422, "not in base64"),
        ("https://example.org/a.jpg", 422, "never fetched"),
        (" file:///etc/passwd", 422, "never fetched"),
        ("javascript:alert(1)", 422, "never fetched"),
        ("????", 422, "not in base64"),
        ("abc", 422, "not in base64"),
        ("é" * 20, 422, "not in base64"),
    ],
)
def test_what_is_refused(text: str, status: int, says: str) -> None:
    with pytest.raises(Problem, match=says) as refused:
        decode_picture(text, 100)
    assert refused.value.status_code == status
