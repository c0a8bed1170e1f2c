"""Strict configuration: nested mappings (from YAML or JSON) to frozen dataclasses and back.

Unknown keys and wrong types are errors that name the key, because a misspelt option that is silently ignored costs a
training run.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from optophone.core.errors import ConfigurationError

T = TypeVar("T")


def from_mapping(cls: type[T], mapping: Mapping[str, Any], where: str = "configuration") -> T:
    """Build the dataclass `cls` from `mapping`, nested dataclasses included.

    Args:
        cls: a dataclass whose fields are plain values, tuples, unions with None, or dataclasses.
        mapping: option name to value; options left out take the dataclass's default.
        where: the name printed in errors, for instance the file.

    Raises:
        ConfigurationError: an unknown key, a missing key without default, or a value of the wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(f"{where}: expected options for {cls.__name__}, found {mapping!r}.")
    assert dataclasses.is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(mapping) - set(fields), key=str)
    if unknown:
        known = ", ".join(fields)
        raise ConfigurationError(f"{where}: unknown option {unknown[0]!r}; {cls.__name__} knows: {known}.")
    values = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in mapping.items()}
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in values and not has_default:
            raise ConfigurationError(f"{where}: option {name!r} of {cls.__name__} is missing.")
    return cls(**values)


def check_ranges(options: Any, ranges: Mapping[str, tuple[float, float]], what: str) -> None:
    """Refuse numbers with which a stranger's file would run for ever, fill the memory, or mean nothing.

    Args:
        options: what holds the numbers, by name.
        ranges: name to the least and the most that it, or every item of a tuple, may be.
        what: begins the message, for instance "search".

    Raises:
        ConfigurationError: one is out of its range, or is no number (NaN).
    """
    for name, (least, most) in ranges.items():
        value = getattr(options, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not least <= number <= most:
                raise ConfigurationError(f"{what}: {name} is {number}; give {least:g} to {most:g}.")


def to_mapping(value: Any) -> Any:
    """Plain JSON-able data of a dataclass, tuple or value; `from_mapping` reads it back equal."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_mapping(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_mapping(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_mapping(item) for key, item in value.items()}
    return value


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `hint`, or an error that names `where`."""
    if hint is Any:
        return value
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            choices = ", ".join(map(str, typing.get_args(hint)))
            raise ConfigurationError(f"{where}: {value!r} is not one of {choices}.")
        return value
    if origin is tuple:
        return _convert_tuple(hint, value, where)
    if origin in (dict, Mapping):
        key_type, item_type = typing.get_args(hint)
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{where}: expected a mapping, found {value!r}.")
        return {key_type(key): _convert(item_type, item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_mapping(hint, value, where)  # type: ignore[arg-type]
    return _convert_plain(hint, value, where)


def _convert_union(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint)
    if value is None and type(None) in options:
        return None
    failures = []
    kinds = [option for option in options if option is not type(None)]
    if isinstance(value, Mapping):  # the kind that knows most of the keys is the one that was meant
        kinds.sort(key=lambda kind: -len(value.keys() & {field.name for field in _fields(kind)}))
    for option in kinds:
        try:
            return _convert(option, value, where)
        except ConfigurationError as error:
            failures.append(str(error))
    raise ConfigurationError(failures[0])


def _fields(kind: Any) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()


def _convert_tuple(hint: Any, value: Any, where: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{where}: expected a list, found {value!r}.")
    items = typing.get_args(hint)
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_convert(items[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(items) != len(value):
        raise ConfigurationError(f"{where}: expected {len(items)} values, found {len(value)}.")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(items, value, strict=True)))


def _convert_plain(hint: type, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            raise ConfigurationError(f"{where}: {value!r} is not a number.") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigurationError(f"{where}: a number of {len(str(value))} digits is too large.") from None
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigurationError(f"{where}: expected {hint.__name__}, found {value!r}.")
    return value
