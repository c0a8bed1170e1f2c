"""What kind of answer a client asks for: by name, or by the media types it accepts."""

from collections.abc import Iterable

from optophone.server.problems import Problem

_FORMAT_OF_TYPE = {
    "application/json": "json",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/ogg": "ogg",
    "application/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/pcm": "raw",
    "audio/l16": "raw",
    "audio/*": "wav",
    "*/*": "json",
    "application/*": "json",
}


def named_format(name: str, known: Iterable[str]) -> str:
    """A `response_format`; "pcm" is another name of raw.

    Raises:
        Problem: 422, none of the known ones.
    """
    chosen = "raw" if name.lower() == "pcm" else name.lower()
    if chosen not in known:
        raise Problem(422, f"The format {name[:20]!r} is not made here; ask for one of {', '.join(known)}.")
    return chosen


def accepted_format(accept: str | None) -> str:
    """What an Accept header prefers: json, or a format of sound.

    Raises:
        Problem: 406, nothing of what it lists is made here.
    """
    if not accept or not accept.strip():
        return "json"
    best, most = None, 0.0
    for entry in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = _quality(parameters)
        if kind in _FORMAT_OF_TYPE and quality > most:
            best, most = _FORMAT_OF_TYPE[kind], quality
    if best is None:
        raise Problem(406, "None of the accepted media types is made here; accept application/json or audio/wav.")
    return best


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
