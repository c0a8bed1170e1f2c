"""The graphs of the attention LSTM that speaks about pictures."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import BundleWriter
from optophone.core.picture import PictureSpec, prepare_picture
from optophone.export.captioner import EncoderGraph
from optophone.export.differences import largest_difference, worse
from optophone.export.onnx_graph import export_graph
from optophone.models.acoustic.decoder import DecoderMemory, DecoderState
from optophone.models.direct.direct import Direct
from optophone.models.direct.show_and_speak import ShowAndSpeak
from optophone.runtime.onnx_show_and_speak import REFINER_GRAPH, OnnxShowAndSpeak

_COMPARED_STEPS = 12
_N_MEMORY = len(DecoderMemory._fields)


class StepGraph(nn.Module):
    """`ShowAndSpeak.step` over flat tuples."""

    def __init__(self, speaker: ShowAndSpeak) -> None:
        super().__init__()
        self.speaker = speaker

    def forward(self, frame: Tensor, first: Tensor, second: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """The last frame (1, M), two prenet masks (1, P), memory and state → frames, stop logits, alignment, state."""
        memory, state = DecoderMemory(*rest[:_N_MEMORY]), DecoderState(*rest[_N_MEMORY:])
        step = self.speaker.step(frame, (first, second), memory, state)
        return step.frames, step.stop_logits, step.alignment, *step.state


class RefinerGraph(nn.Module):
    """`ShowAndSpeak.refine`."""

    def __init__(self, speaker: ShowAndSpeak) -> None:
        super().__init__()
        self.speaker = speaker

    def forward(self, mel: Tensor) -> Tensor:
        """(1, M, T) → (1, M, T)."""
        return self.speaker.refine(mel)


def show_and_speak_options(speaker: ShowAndSpeak) -> dict[str, Any]:
    """What the runtime reads of the bundle's configuration: see `ShowAndSpeakRuntime`."""
    config = speaker.config
    return {
        "reduction_factor": config.reduction_factor,
        "prenet_dim": config.prenet_dims[0],
        "stop_threshold": config.stop_threshold,
        "max_frames": config.max_frames,
        "context": config.postnet_context,
    }


@torch.no_grad()
def write_show_and_speak(model: Direct, picture: PictureSpec, writer: BundleWriter) -> None:
    """Write the graphs in float32."""
    speaker: Any = model.speaker
    shown = {"picture": torch.zeros(1, 3, picture.height, picture.width)}
    memory, state = model.begin(shown["picture"])
    memories = [f"memory.{i}" for i in range(len(memory))]
    states = [f"state.{i}" for i in range(len(state))]
    export_graph(EncoderGraph(model), writer.path("encoder.onnx"), shown, memories + states, {})
    mask = torch.full((1, speaker.config.prenet_dims[0]), 2.0)
    own = {"frame": torch.zeros(1, speaker.n_mels), "prenet_mask.0": mask, "prenet_mask.1": mask}
    inputs = {**own, **dict(zip(memories, memory, strict=True)), **dict(zip(states, state, strict=True))}
    outputs = ["frames", "stop_logits", "alignment", *(f"next.{name}" for name in states)]
    export_graph(StepGraph(speaker), writer.path("step.onnx"), inputs, outputs, {})
    mel = {"mel": torch.zeros(1, speaker.n_mels, 40)}
    export_graph(
        RefinerGraph(speaker),
        writer.path(REFINER_GRAPH),
        mel,
        ["refined"],
        {"mel": {2: "frames"}, "refined": {2: "frames"}},
    )


@torch.no_grad()
def show_and_speak_difference(model: Direct, runtime: OnnxShowAndSpeak, picture: np.ndarray) -> float:
    """Largest difference between graphs and model on a picture (H, W, 3) uint8, over the first steps, each from the
    same state."""
    speaker: Any = model.speaker
    shown = torch.from_numpy(prepare_picture(picture, runtime.picture_spec)[None])
    looked, (memory, state) = runtime.steps.look(picture), model.begin(shown)
    worst = largest_difference([*looked.memory.values(), *looked.state], [*memory, *state])
    generator, frames = np.random.default_rng(0), []
    frame = torch.zeros(1, speaker.n_mels)
    for _ in range(_COMPARED_STEPS):
        masks = [generator.integers(0, 2, (1, n)).astype(np.float32) * 2 for n in speaker.config.prenet_dims]
        step = speaker.step(frame, [torch.from_numpy(mask) for mask in masks], memory, state)
        feeds = {"frame": frame.numpy(), "prenet_mask.0": masks[0], "prenet_mask.1": masks[1]}
        found, following = runtime.steps.step(feeds, looked.memory, [part.numpy() for part in state])
        expected = [step.frames, step.stop_logits, step.alignment, *step.state]
        worst = worse(worst, largest_difference([*found.values(), *following], expected))
        frame, state = step.frames[:, :, -1], step.state
        frames.append(step.frames)
    raw = torch.cat(frames, 2)
    return worse(worst, largest_difference([runtime.refine(raw[0].numpy())], [speaker.refine(raw)[0]]))
