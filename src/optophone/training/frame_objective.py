"""What the frame transformer is taught: the codes of every step, the end, and to smooth what codes leave rough."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from optophone.models.direct.frame_transformer import FrameOutput, FrameTransformer
from optophone.training.describing import regions_of
from optophone.training.direct_batch import DirectBatch
from optophone.training.experiment import Means
from optophone.training.synthesis import picture_of


@dataclass(frozen=True)
class FrameLossConfig:
    """Weights of what is added to the cross-entropy of the first level.

    Args:
        further: of the mean cross-entropy of the levels below.
        refined: of the mean absolute difference of the refined frames from the true ones. It teaches the refiner alone.
    """

    further: float = 1.0
    refined: float = 1.0


class FrameObjective:
    """The losses; on development pictures also how long it speaks by itself, and whether it ends."""

    def __init__(self, loss: FrameLossConfig) -> None:
        self.loss = loss
        self.means = Means()
        self.measures = self.means.taken
        self.sample: tuple[Tensor, Tensor] | None = None

    def training_loss(self, model: Any, batch: DirectBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its terms before the weights."""
        output = model.speaker(regions_of(model, batch.pictures), None, batch.speech, batch.captions_per_picture)
        terms = frame_losses(output)
        loss = terms["first"] + self.loss.further * terms["further"] + self.loss.refined * terms["refined"]
        return loss, {**terms, "loss": loss}

    def validate(self, model: Any, batch: DirectBatch) -> None:
        """The terms; every level by itself; and what is said with the likeliest codes."""
        speaker: FrameTransformer = model.speaker
        regions = regions_of(model, batch.pictures)
        output = speaker(regions, None, batch.speech, batch.captions_per_picture)
        measures = {name: float(value) for name, value in frame_losses(output).items()}
        groups = speaker.codes.decode(output.codes[:: batch.captions_per_picture])
        rough = (groups - output.groups)[output.mask[:: batch.captions_per_picture]]
        measures["unrefined"] = float(rough.abs().mean())
        right = output.further.argmax(3) == output.codes[:, :, 1:]
        for level in range(right.shape[2]):
            measures[f"right_{level + 2}"] = float(right[:, :, level][output.mask].float().mean())
        first = output.first[:, :-1].argmax(2) == output.codes[:, :, 0]
        measures["right_1"] = float(first[output.mask].float().mean())
        said = speaker.infer(regions)
        lengths = torch.tensor([len(codes) for codes in said]).float()
        measures["steps"] = float(lengths.mean())
        measures["true_steps"] = float(output.mask.sum(1).float().mean())
        measures["unfinished"] = float((lengths >= speaker.config.max_length).float().mean())
        self.means.add(measures)
        self.sample = said[0], batch.speech.mel[0, :, : int(batch.speech.mel_lengths[0])]

    def show(self, model: Any, writer: Any, step: int) -> None:
        """What is said of a picture of the last validation batch with the likeliest codes, beside what people said."""
        assert self.sample is not None
        codes, true = self.sample
        if len(codes):
            writer.add_image("dev/mel", picture_of(model.speaker.speak(codes[None])[0].float()), step)
        writer.add_image("dev/mel_true", picture_of(true), step)


def frame_losses(output: FrameOutput) -> dict[str, Tensor]:
    """Mean cross-entropies, nats a step: of the first level (with the end), and of a level below it; and the mean
    absolute difference of refined frames, over valid steps."""
    said = output.targets >= 0
    first = functional.cross_entropy(output.first[said].float(), output.targets[said])
    codes, scores = output.codes[output.mask][:, 1:], output.further[output.mask].float()
    further = first.new_zeros(())
    if codes.shape[1]:
        further = functional.cross_entropy(scores.flatten(0, 1), codes.flatten())
    mask = output.mask[:: len(output.mask) // len(output.groups)]
    refined = (output.refined - output.groups)[mask].abs().mean()
    return {"first": first, "further": further, "refined": refined}
