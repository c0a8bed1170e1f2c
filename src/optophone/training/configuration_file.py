"""The YAML file of a training, with what the command line puts in the place of its options."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from optophone.core.errors import ConfigurationError


def read_configuration(path: str | Path, overrides: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The mapping in the YAML file `path`, with dotted `overrides` (("trainer.max_steps", "100"), …) put in.

    Raises:
        ConfigurationError: no such file, no YAML mapping, or an override that goes through a plain value.
    """
    path = Path(path)
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the configuration ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise ConfigurationError(f"{path}: expected options as a YAML mapping.")
    for key, text in overrides:
        _override(mapping, key, _parse_value(key, text))
    return mapping


def _parse_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigurationError(f"--{key}: {text!r} is no YAML value.") from None


def _override(mapping: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        mapping = mapping.setdefault(parent, {})
        if not isinstance(mapping, dict):
            raise ConfigurationError(f"--{key}: {parent!r} is a value and has no options below it.")
    mapping[last] = value
