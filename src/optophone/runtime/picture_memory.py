"""The encoder graph of a model that looks at a picture once and then goes step by step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.errors import BundleError
from optophone.core.picture import prepare_picture
from optophone.runtime.session import Graph, SessionConfig, numbered, step_threads


class Looked(NamedTuple):
    """What a picture leaves behind: arrays by name that stay, and those of the state before the first step."""

    memory: dict[str, np.ndarray]
    state: list[np.ndarray]


class PictureSteps:
    """`encoder.onnx`, once a picture, and `step.onnx`, once a step.

    - `encoder.onnx`: `picture` (B, 3, H, W) → `memory.0` …, `state.0` ….
    - `step.onnx`: `inputs`, memory and state → `outputs` and the next states, in the order of the states.

    Args:
        bundle: opened; its manifest has a picture specification.
        inputs, outputs: of a step, beside memory and state.
        threads: for the encoder, and for a large step graph (`step_threads`).

    Raises:
        BundleError: a graph or the picture specification is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> None:
        if bundle.manifest.picture is None:
            raise BundleError(f"{bundle.folder}: the manifest has no picture specification; export it again.")
        self.picture_spec = bundle.manifest.picture
        self.encoder = Graph(bundle.file("encoder.onnx"), SessionConfig(threads=threads))
        step = bundle.file("step.onnx")
        self.graph = Graph(step, SessionConfig(threads=step_threads(step.stat().st_size, threads)))
        self.encoder.require(inputs=["picture"])
        self.memory_names = numbered(self.encoder.outputs, "memory")
        self.state_names = numbered(self.encoder.outputs, "state")
        self.graph.require([*inputs, *self.memory_names, *self.state_names], outputs)
        self.outputs = tuple(outputs)
        self.next_index = [i for i, name in enumerate(self.graph.outputs) if name not in outputs]
        if len(self.next_index) != len(self.state_names):
            raise BundleError(
                f"{step}: takes {len(self.state_names)} states but returns {len(self.next_index)}; export it again."
            )

    def look(self, picture: np.ndarray) -> Looked:
        """Look at `picture` (H, W, 3) uint8."""
        prepared = prepare_picture(picture, self.picture_spec)[None]
        found = dict(zip(self.encoder.outputs, self.encoder.run({"picture": prepared}), strict=True))
        return Looked({name: found[name] for name in self.memory_names}, [found[name] for name in self.state_names])

    def step(
        self, inputs: dict[str, np.ndarray], memory: dict[str, np.ndarray], state: Sequence[np.ndarray]
    ) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """One step: its outputs by name, and the next state.

        Raises:
            BundleError: an output is no number.
        """
        feeds = {**inputs, **memory, **dict(zip(self.state_names, state, strict=True))}
        values = self.graph.run(feeds)
        named = dict(zip(self.graph.outputs, values, strict=True))
        if any(np.isnan(named[name]).any() for name in self.outputs):
            raise BundleError(f"{self.graph.path}: gives values that are no numbers; export the bundle again.")
        return {name: named[name] for name in self.outputs}, [values[i] for i in self.next_index]
