"""Whether the weights of an earlier run are over the units that a run goes on with."""

from pathlib import Path

from optophone.core.errors import ConfigurationError, OptophoneError
from optophone.data.unit_symbols import UnitSymbols, read_unit_symbols
from optophone.training.configuration_file import read_configuration


def check_units_of(weights: str | None, units: UnitSymbols) -> None:
    """Refuse weights that were trained over other units, as far as the run beside them still tells.

    Vocabularies do not: unit 12 of one encoder and unit 12 of another have one name.

    Args:
        weights: a file in the folder of a run, or None.
        units: those of the data.

    Raises:
        ConfigurationError: the run's units are others.
    """
    if weights is None:
        return
    try:
        data = read_configuration(Path(weights).parent / "configuration.yaml").get("data", {})
        theirs = read_unit_symbols(data["units"], data.get("run_length", "collapsed"))
    except (OptophoneError, KeyError, TypeError):  # the run or its column is gone
        return
    if not theirs.origin.agrees_with(units.origin):
        raise ConfigurationError(
            f"{weights}: was trained over units of {theirs.origin}, the data holds those of {units.origin}; "
            "make both with one encoder."
        )
