"""What the joint model is taught: the units, how long they last, and that the captioner's units sound right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from optophone.core.search import SearchConfig
from optophone.data.unit_symbols import UnitSymbols
from optophone.evaluation.captions import score_captions
from optophone.evaluation.unit_error import loop_rate, tokenize_units, unit_error_rate
from optophone.models.direct.joint import Joint, JointOutput
from optophone.training.aligned_speech import AlignedBatch
from optophone.training.caption_loss import caption_cross_entropy
from optophone.training.describing import describe, regions_of
from optophone.training.direct_batch import DirectBatch
from optophone.training.experiment import Means
from optophone.training.parallel_synthesis import losses_of


@dataclass(frozen=True)
class JointLossConfig:
    """Weights of what is added to the cross-entropy of the units.

    Args:
        mel: of the mean absolute difference of mels, the captioner's units being said with the true durations.
        durations: of the squared difference of ln(1 + frames).
        label_smoothing: of the cross-entropy.
        compare_every: steps between two measurements of how large the gradients of both losses are in the captioner,
            and of the angle between them.
    """

    mel: float = 1.0
    durations: float = 0.1
    label_smoothing: float = 0.1
    compare_every: int = 20


class JointObjective:
    """The losses; on development pictures also what the captioner writes by itself, beside the units of people."""

    def __init__(self, loss: JointLossConfig, search: SearchConfig, units: UnitSymbols | None) -> None:
        assert units is not None
        self.loss, self.units = loss, units
        # The units are collapsed, so none follows itself; the exported model's search forbids it too.
        self.search = replace(search, forbid_repeats=search.forbid_repeats is not False)
        self.vocabulary = units.vocabulary
        self.means = Means()
        self.written: list[tuple[str, bool]] = []
        self.true: list[str] = []

    def training_loss(self, model: Any, batch: DirectBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its terms before the weights."""
        speaker: Joint = model.speaker
        regions = regions_of(model, batch.pictures)
        output = speaker(regions, None, batch.speech, batch.captions_per_picture)
        terms = self._terms(output, batch)
        weights = {"cross_entropy": 1.0, "mel": self.loss.mel, "durations": self.loss.durations}
        parts = {name: weights[name] * terms[name] for name in weights}
        shown = {**terms, "loss": torch.stack(list(parts.values())).sum()}
        if (step + 1) % self.loss.compare_every == 0:
            shown |= compare_gradients(parts, ("cross_entropy", "mel"), speaker.captioner.parameters())
        return shown["loss"], shown

    def _terms(self, output: JointOutput, batch: DirectBatch) -> dict[str, Tensor]:
        """Cross-entropy of the units, difference of mels, and of durations."""
        aligned = _aligned(batch)
        pad, end = self.vocabulary.pad, self.vocabulary.end
        assert end is not None
        ids, lengths = aligned.speech.ids, aligned.speech.id_lengths
        targets = nn.functional.pad(ids.masked_fill(~aligned.ids_mask, pad), (0, 1), value=pad)
        targets = targets.scatter(1, lengths[:, None], end)
        found = losses_of(output.voice, aligned)
        smoothing = self.loss.label_smoothing
        cross_entropy = caption_cross_entropy(output.caption.logits, targets, pad, smoothing)
        return {"cross_entropy": cross_entropy, "mel": found["mel"], "durations": found["durations"]}

    def validate(self, model: Any, batch: DirectBatch) -> None:
        """The terms; how often the likeliest unit is the true one; the mel of true units; and units written freely."""
        speaker: Joint = model.speaker
        regions, aligned = regions_of(model, batch.pictures), _aligned(batch)
        output = speaker(regions, None, batch.speech, batch.captions_per_picture)
        measures = {name: float(value) for name, value in self._terms(output, batch).items()}
        ids, mask = aligned.speech.ids, aligned.ids_mask
        measures["right_units"] = float((output.units.argmax(2) == ids)[mask].float().mean())
        said = speaker.voice(ids, mask, aligned.frames)
        measures["mel_of_true_units"] = float(losses_of(said, aligned)["mel"])
        self.means.add(measures)
        for best, *_ in describe(speaker.captioner, regions, self.vocabulary, self.search):
            self.written.append((self.vocabulary.decode(best.ids), best.finished))
        c = batch.captions_per_picture
        lengths = aligned.speech.id_lengths.tolist()
        rows = zip(ids[::c].tolist(), lengths[::c], strict=True)
        self.true += [self.vocabulary.decode(row[:n]) for row, n in rows]

    def measures(self) -> dict[str, float]:
        """Means of the terms, and how near what was written is to the units of one spoken caption of each picture."""
        written, true = self.written, self.true
        self.written, self.true = [], []
        hypotheses = {str(i): text for i, (text, _) in enumerate(written)}
        references = {str(i): [text] for i, text in enumerate(true)}
        scores = score_captions(hypotheses, references, tokenizer=tokenize_units).scores
        return {
            **self.means.taken(),
            "bleu_4": float(scores.bleu_4),
            "cider_d": float(scores.cider_d),
            "unit_error_rate": unit_error_rate(hypotheses, references),
            "mean_length": float(scores.mean_length),
            "loop_rate": loop_rate(hypotheses.values()),
            "unfinished": sum(not finished for _, finished in written) / len(written),
        }

    def show(self, model: Any, writer: Any, step: int) -> None:
        """Nothing more: units are in the measures, and sound is for the exported model."""


def compare_gradients(
    losses: Mapping[str, Tensor], names: tuple[str, str], parameters: Iterable[nn.Parameter]
) -> dict[str, Tensor]:
    """How large the gradients of two losses are in `parameters`, and the cosine between them.

    Args:
        losses: by name, of a graph that is kept.
        names: of the two.

    Returns:
        gradient_<name> of each, and gradient_cosine.
    """
    known = [parameter for parameter in parameters if parameter.requires_grad]
    flat = []
    for name in names:
        found = torch.autograd.grad(losses[name], known, retain_graph=True, allow_unused=True)
        flat.append(torch.cat([part.float().flatten() if part is not None else torch.zeros(p.numel(), device=p.device)
                               for part, p in zip(found, known, strict=True)]))  # fmt: skip
    sizes = [one.norm() for one in flat]
    cosine = nn.functional.cosine_similarity(flat[0], flat[1], dim=0)
    return {f"gradient_{name}": size for name, size in zip(names, sizes, strict=True)} | {"gradient_cosine": cosine}


def _aligned(batch: DirectBatch) -> AlignedBatch:
    assert batch.aligned is not None, "the joint model needs units"
    return batch.aligned
