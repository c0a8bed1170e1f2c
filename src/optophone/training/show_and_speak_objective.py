"""What the baseline is taught: frames, when to stop, and which picture goes with which speech."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from optophone.models.direct.show_and_speak import ShowAndSpeak, ShowAndSpeakOutput
from optophone.models.units.matching import sampled_triplet_loss, semi_hard_triplet_loss
from optophone.training.acoustic_loss import AcousticLoss, AcousticLossConfig
from optophone.training.describing import regions_of
from optophone.training.direct_batch import DirectBatch
from optophone.training.experiment import Means
from optophone.training.scheduled_sampling import ScheduledSamplingConfig
from optophone.training.synthesis import picture_of


@dataclass(frozen=True)
class ShowAndSpeakLossConfig:
    """What is made small.

    Args:
        acoustic: of frames and stop, as of a Tacotron 2; without guided attention, since regions have no order.
        matching: of the triplet losses between pictures and speech; 0 for none.
        margin: by which partners are to win over impostors.
    """

    acoustic: AcousticLossConfig = field(default_factory=lambda: AcousticLossConfig("mse+l1", count_padding=False))
    matching: float = 0.1
    margin: float = 1.0


class ShowAndSpeakObjective:
    """The losses; on development pictures also how long it speaks by itself, and whether it stops."""

    def __init__(self, loss: ShowAndSpeakLossConfig, sampling: ScheduledSamplingConfig | None) -> None:
        self.loss, self.sampling = loss, sampling
        self.acoustic = AcousticLoss(loss.acoustic)
        self.means = Means()
        self.measures = self.means.taken
        self.sample: tuple[Tensor, Tensor, Tensor] | None = None

    def training_loss(self, model: Any, batch: DirectBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its terms before the weights."""
        share = 0.0 if self.sampling is None else self.sampling.probability(step)
        regions = regions_of(model, batch.pictures)
        output = model.speaker(regions, None, batch.speech, batch.captions_per_picture, share)
        terms = self._terms(output, batch)
        loss = terms["acoustic"]
        if self.loss.matching and len(batch.pictures) > 1:
            terms["matching"] = matching_loss(output.scores, self.loss.margin)
            loss = loss + self.loss.matching * terms["matching"]
        return loss, {**terms, "loss": loss}

    def _terms(self, output: ShowAndSpeakOutput, batch: DirectBatch) -> dict[str, Tensor]:
        n_regions = torch.full_like(batch.speech.mel_lengths, output.acoustic.alignment.shape[2])
        found = self.acoustic(output.acoustic, batch.speech.mel, batch.speech.mel_lengths, n_regions)
        terms = {"acoustic": found.total, "before": found.mel_before, "after": found.mel_after, "stop": found.stop}
        return terms

    def validate(self, model: Any, batch: DirectBatch) -> None:
        """The terms; whether pictures and speech find each other; and what is said freely."""
        speaker: ShowAndSpeak = model.speaker
        regions = regions_of(model, batch.pictures)
        output = speaker(regions, None, batch.speech, batch.captions_per_picture)
        measures = {name: float(value) for name, value in self._terms(output, batch).items()}
        ranks = (output.scores >= output.scores.diagonal()[:, None]).sum(1)
        measures["found_among_batch"] = float((ranks == 1).float().mean())
        torch.manual_seed(0)  # of the prenet's dropout, so that validations can be compared
        said = speaker.infer(regions)
        measures["frames"] = sum(one.mel.shape[1] for one in said) / len(said)
        measures["true_frames"] = float(batch.speech.mel_lengths.float().mean())
        measures["unfinished"] = sum(not one.stopped for one in said) / len(said)
        self.means.add(measures)
        true = batch.speech.mel[0, :, : int(batch.speech.mel_lengths[0])]
        self.sample = said[0].mel, said[0].alignment, true

    def show(self, model: Any, writer: Any, step: int) -> None:
        """What is said of a picture of the last validation batch and where was looked, beside what people said."""
        assert self.sample is not None
        mel, alignment, true = self.sample
        writer.add_image("dev/mel", picture_of(mel.float()), step)
        writer.add_image("dev/attention", picture_of(alignment.T.float()), step)
        writer.add_image("dev/mel_true", picture_of(true), step)


def matching_loss(scores: Tensor, margin: float) -> Tensor:
    """Sampled and semi-hard triplet losses of `scores` (B, B), both ways; the diagonal has the partners."""
    both = (scores, scores.T)
    losses = [loss(one, margin) for one in both for loss in (sampled_triplet_loss, semi_hard_triplet_loss)]
    return torch.stack(losses).sum()
