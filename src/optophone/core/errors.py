"""Plain errors: one line that names what was wrong and how to mend it.

Whatever a user can do wrong raises one of these; the command line prints the message alone and exits with status 2.
"""

_LONGEST = 800  # characters of a message


class OptophoneError(Exception):
    """Something a user can mend. The message is one line that names the thing and the fix.

    Args:
        message: what a stranger's file put into it, such as line breaks, codes that steer a terminal, or a list of
            thousands, is taken out or cut short.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_as_line(message))


def _as_line(message: str) -> str:
    """`message` as a short line of printable characters; unchanged where it is one."""
    if not message.isprintable():
        message = "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))
    if len(message) <= _LONGEST:
        return message
    half = _LONGEST // 2  # the beginning says where, the end how to mend it
    return f"{message[: half - 2]} … {message[1 - half :]}"


class PictureError(OptophoneError):
    """A picture that cannot be read, or is over a limit."""


class PictureTooLargeError(PictureError):
    """A picture over a limit of bytes or pixels."""


class PictureFormatError(PictureError):
    """Content in none of the formats that can be read."""


class AudioError(OptophoneError):
    """Sound that cannot be read or written."""


class TextError(OptophoneError):
    """Text that cannot be spoken: empty, or too long."""


class VocabularyError(OptophoneError):
    """A symbol that the vocabulary lacks, or a vocabulary file that is no vocabulary."""


class BundleError(OptophoneError):
    """A bundle that is incomplete, damaged, or does not fit the parts around it."""


class DataError(OptophoneError):
    """A data set whose layout or manifest is not as documented."""


class ConfigurationError(OptophoneError):
    """A configuration with an unknown key or a value of the wrong type."""
