"""The errors that users see."""

import inspect

import optophone.core.errors as errors


def test_every_error_is_an_optophone_error_with_an_explanation() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) == 10
    for kind in kinds:
        assert issubclass(kind, errors.OptophoneError)
        assert kind.__doc__


def test_an_error_prints_its_message_alone() -> None:
    assert str(errors.PictureError("x.jpg is empty.")) == "x.jpg is empty."
