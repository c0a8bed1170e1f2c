"""Where the units of a part come from.

Two unit encoders of one size have one vocabulary and nothing else in common: unit 12 of the one means nothing to the
other. So parts over units say whose units they are, and how lasting ones are written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optophone.core.configuration import from_mapping

UnitRuns = Literal["collapsed", "off"]
SECTION = "units"  # of a configuration


@dataclass(frozen=True)
class UnitOrigin:
    """Which units a captioner writes, or an acoustic model reads.

    Args:
        encoder: name of the bundle that writes speech down in them.
        content: hash of what that bundle computes.
        quantizer: position in its network, or None.
        unit_s: seconds that a frame of them lasts.
        run_length: whether a lasting unit is written once ("collapsed") or for every frame ("off").
    """

    encoder: str
    content: str
    quantizer: int | None
    unit_s: float
    run_length: UnitRuns

    def __str__(self) -> str:
        place = "" if self.quantizer is None else f", quantizer {self.quantizer}"
        runs = "runs collapsed" if self.run_length == "collapsed" else "one a frame"
        return f"{self.encoder} ({self.content[:12]}{place}, {runs})"

    def agrees_with(self, other: "UnitOrigin") -> bool:
        """Whether the units of both are the same ones, written in the same way."""
        own, theirs = ((origin.content, origin.quantizer, origin.unit_s, origin.run_length) for origin in (self, other))
        return own == theirs


def unit_origin(configuration: Mapping[str, Any], where: str) -> UnitOrigin | None:
    """The origin that a bundle's configuration states, or None.

    Raises:
        ConfigurationError: something else stands in its place.
    """
    mapping = configuration.get(SECTION)
    return None if mapping is None else from_mapping(UnitOrigin, mapping, f"{where}: configuration.{SECTION}")
