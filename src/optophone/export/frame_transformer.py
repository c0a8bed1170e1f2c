"""The graphs of a direct model that writes codes of frames."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import BundleWriter
from optophone.core.picture import PictureSpec, prepare_picture
from optophone.export.captioner import EncoderGraph
from optophone.export.differences import largest_difference, worse
from optophone.export.onnx_graph import export_graph, open_axes
from optophone.models.direct.direct import Direct
from optophone.models.direct.frame_transformer import FrameTransformer
from optophone.runtime.onnx_frame_transformer import CODES_GRAPH, LEVELS_GRAPH, OnnxFrameTransformer

_COMPARED_STEPS = 6


class StepGraph(nn.Module):
    """`FrameTransformer.step` over flat tuples."""

    def __init__(self, speaker: FrameTransformer, n_memory: int) -> None:
        super().__init__()
        self.speaker, self.n_memory = speaker, n_memory

    def forward(self, codes: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """(N, L), memory and state → log_probs (N, K + 2), hidden (N, D), the next state."""
        step = self.speaker.step(codes, rest[: self.n_memory], rest[self.n_memory :])
        return step.log_probs, step.hidden, *step.state


class LevelsGraph(nn.Module):
    """`FrameTransformer.further_log_probs`."""

    def __init__(self, speaker: FrameTransformer) -> None:
        super().__init__()
        self.speaker = speaker

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """(N, D), (N, L - 1) → (N, L - 1, K)."""
        return self.speaker.further_log_probs(hidden, codes)


class CodesGraph(nn.Module):
    """`FrameTransformer.speak`."""

    def __init__(self, speaker: FrameTransformer) -> None:
        super().__init__()
        self.speaker = speaker

    def forward(self, codes: Tensor) -> Tensor:
        """(1, U, L) → (1, M, U·r)."""
        return self.speaker.speak(codes)


def frame_transformer_options(speaker: FrameTransformer) -> dict[str, Any]:
    """What the runtime reads of the bundle's configuration: see `FrameCodesConfig`."""
    config = speaker.config
    return {
        "frames_per_step": config.frames_per_step,
        "n_codes": config.n_codes,
        "n_levels": config.n_levels,
        "max_length": config.max_length,
        "context": speaker.refiner.context,
    }


@torch.no_grad()
def write_frame_transformer(model: Direct, picture: PictureSpec, writer: BundleWriter) -> None:
    """Write the graphs in float32."""
    speaker: Any = model.speaker
    config = speaker.config
    shown = {"picture": torch.zeros(2, 3, picture.height, picture.width)}
    codes = torch.full((2, config.n_levels), speaker.start)
    memory, state = model.begin(shown["picture"])
    first = speaker.step(codes, memory, state)
    second, third = first.state, speaker.step(codes, memory, first.state).state
    memories = [f"memory.{i}" for i in range(len(memory))]
    states = [f"state.{i}" for i in range(len(state))]
    nexts = [f"next.{name}" for name in states]
    names = ("picture", "codes", "log_probs", "hidden", *memories, *states, *nexts)
    axes = {name: {0: "rows"} for name in names}
    export_graph(EncoderGraph(model), writer.path("encoder.onnx"), shown, memories + states, axes)
    growing = open_axes(states, second, third, "length")
    for name, following in zip(states, nexts, strict=True):
        axes[following] |= {axis: f"next.{size}" for axis, size in growing[name].items()}
        axes[name] |= growing[name]
    inputs = dict(zip(["codes", *memories, *states], [codes, *memory, *second], strict=True))
    outputs = ["log_probs", "hidden", *nexts]
    export_graph(StepGraph(speaker, len(memory)), writer.path("step.onnx"), inputs, outputs, axes)
    if config.n_levels > 1:
        above = {"hidden": first.hidden, "codes": torch.zeros(2, config.n_levels - 1, dtype=torch.int64)}
        rows = {name: {0: "rows"} for name in ("hidden", "codes", "log_probs")}
        export_graph(LevelsGraph(speaker), writer.path(LEVELS_GRAPH), above, ["log_probs"], rows)
    said = {"codes": torch.zeros(1, 8, config.n_levels, dtype=torch.int64)}
    export_graph(
        CodesGraph(speaker), writer.path(CODES_GRAPH), said, ["mel"], {"codes": {1: "steps"}, "mel": {2: "frames"}}
    )


@torch.no_grad()
def frame_transformer_difference(model: Direct, runtime: OnnxFrameTransformer, picture: np.ndarray) -> float:
    """Largest difference between graphs and model on a picture (H, W, 3) uint8, over the first steps along the model's
    likeliest codes, each level after the true ones above it."""
    speaker: Any = model.speaker
    shown = torch.from_numpy(prepare_picture(picture, runtime.picture_spec)[None])
    looked, (memory, state) = runtime.steps.look(picture), model.begin(shown)
    worst = largest_difference([*looked.memory.values(), *looked.state], [*memory, *state])
    onnx_state, said = looked.state, []
    codes = torch.full((1, speaker.config.n_levels), speaker.start)
    for _ in range(_COMPARED_STEPS):
        step = speaker.step(codes, memory, state)
        found, onnx_state = runtime.steps.step({"codes": codes.numpy()}, looked.memory, onnx_state)
        own = [found["log_probs"], found["hidden"], *onnx_state]
        worst = worse(worst, largest_difference(own, [step.log_probs, step.hidden, *step.state]))
        state, codes = step.state, torch.zeros_like(codes)
        codes[:, 0] = step.log_probs[:, : speaker.start].argmax(1)
        for level in range(1, speaker.config.n_levels):
            scores = speaker.further_log_probs(step.hidden, codes[:, :-1])
            assert runtime.levels is not None
            own = runtime.levels.run({"hidden": step.hidden.numpy(), "codes": codes[:, :-1].numpy()})
            worst = worse(worst, largest_difference(own, [scores]))
            codes[:, level] = scores[:, level - 1].argmax(1)
        said.append(codes)
    whole = torch.stack(said, 1)
    return worse(worst, largest_difference([runtime.draw(whole[0].T.numpy())], [speaker.speak(whole)[0]]))
