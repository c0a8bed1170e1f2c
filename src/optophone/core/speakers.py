"""The speakers of a voice, and which of them is meant."""

from collections.abc import Mapping, Sequence
from typing import Any

from optophone.core.errors import BundleError, ConfigurationError

MAX_SHOWN = 20


def speaker_names(configuration: Mapping[str, Any], owner: str) -> tuple[str, ...]:
    """The names by number in a bundle's configuration; none where it tells no voices apart.

    Args:
        configuration: of the bundle.
        owner: its folder, for the message.

    Raises:
        BundleError: "speakers" is no list of different names.
    """
    names = configuration.get("speakers")
    if names is None:
        return ()
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise BundleError(f"{owner}: configuration.speakers is no list of names; export the bundle again.")
    if len(set(names)) < len(names):
        raise BundleError(f"{owner}: configuration.speakers has a name twice; export the bundle again.")
    return tuple(names)


def speaker_number(speakers: Sequence[str], wanted: str | int, owner: str = "this voice") -> int:
    """The place among `speakers` of the one who is `wanted`.

    Args:
        speakers: names, each once.
        wanted: a name, or as int or in digits a place, from 0; where a name is made of digits, the name counts.
        owner: who has them, for the message.

    Raises:
        ConfigurationError: there is no such speaker; the message names those that there are.
    """
    if isinstance(wanted, str) and wanted in speakers:
        return speakers.index(wanted)
    numbers = {str(number): number for number in range(len(speakers))}
    if str(wanted) in numbers:
        return numbers[str(wanted)]
    several = "one speaker" if len(speakers) == 1 else f"{len(speakers)} speakers"
    raise ConfigurationError(f"speaker {wanted}: {owner} has {several}: {_listed(speakers)}.")


def _listed(speakers: Sequence[str]) -> str:
    shown = ", ".join(f"{name!r} ({number})" for number, name in enumerate(speakers[:MAX_SHOWN]))
    n_more = len(speakers) - MAX_SHOWN
    return f"{shown} and {n_more} more, up to ({len(speakers) - 1})" if n_more > 0 else shown
