"""What kind of answer a client asks for."""

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from optophone.server.negotiation import accepted_format, named_format
from optophone.server.problems import Problem


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        ("audio/wav", "wav"),
        ("AUDIO/X-WAV", "wav"),
        ("audio/*", "wav"),
        ("audio/ogg;q=0.5, audio/mpeg;q=0.9", "mp3"),
        ("application/json;q=0.1, audio/flac", "flac"),
        ("audio/wav;q=0, application/json;q=0.2", "json"),
        ("audio/wav;q=what, audio/ogg", "ogg"),
        ("audio/L16; rate=22050", "raw"),
    ],
)
def test_the_best_of_what_is_accepted(accept: str | None, format: str) -> None:
    assert accepted_format(accept) == format


@pytest.mark.parametrize("accept", ["video/mp4", "audio/wav;q=0", ";;;", "text/html"])
def test_nothing_that_is_accepted(accept: str) -> None:
    with pytest.raises(Problem) as refused:
        accepted_format(accept)
    assert refused.value.status_code == 406


def test_formats_by_name() -> None:
    assert named_format("WAV", ("wav", "raw")) == "wav"
    assert named_format("pcm", ("wav", "raw")) == "raw"
    with pytest.raises(Problem, match="opus") as refused:
        named_format("opus", ("wav", "raw"))
    assert refused.value.status_code == 422
