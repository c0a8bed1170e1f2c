"""Steps of models that look at a picture once."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from optophone.core.errors import BundleError
from optophone.runtime.picture_memory import PictureSteps


def steps_giving(value: float) -> Any:
    """Steps whose graph gives `value` for everything."""
    steps = object.__new__(PictureSteps)
    outputs = ["frame", "state.0"]
    found = [np.array([[value]], np.float32), np.array([[value]], np.float32)]
    steps.graph = SimpleNamespace(path="step.onnx", outputs=outputs, run=lambda feeds: found)  # type: ignore[assignment]
    steps.state_names, steps.outputs, steps.next_index = ["state.0"], ("frame",), [1]
    return steps


def test_a_step_gives_outputs_and_the_next_state() -> None:
    found, state = steps_giving(2.0).step({}, {}, [np.zeros((1, 1))])
    assert found == {"frame": [[2.0]]}
    assert state == [[[2.0]]]


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(BundleError, match=r"step\.onnx: gives values that are no numbers"):
        steps_giving(float("nan")).step({}, {}, [np.zeros((1, 1))])
    steps_giving(float("-inf")).step({}, {}, [np.zeros((1, 1))])  # the score of what cannot be
