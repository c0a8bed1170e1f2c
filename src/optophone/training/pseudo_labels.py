"""Pictures alone get captions from the captioner itself, and the likeliest of these teach it further.

At intervals the averaged captioner describes pictures that have no captions. A caption's score is the probability that
a contrastive head, which learns from the pairs, gives it among all captions of the round, times what a language model
gives it per symbol; the best are kept until the next round. The language model is the captioner without a picture where
it learns to be one (`unpaired.language_model`), and else the captioner with the picture.

What was kept is part of the checkpoint: the weights that wrote it are gone by then.

Source: Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", for
sequences as in He et al. 2020, "Revisiting Self-Training for Neural Sequence Generation", with a filter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.core.search import Hypothesis, SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import pad_captions
from optophone.data.pictures_alone import PicturesAlone
from optophone.models.captioners.image_unit_match import contrastive_loss
from optophone.training.describing import describe, regions_of
from optophone.training.unpaired_method import ASIDE, Pairs, Surroundings

BATCH = 50


@dataclass(frozen=True)
class PseudoLabelsConfig:
    """How pictures alone get captions.

    Args:
        weight: of these captions; 0 leaves them out, and the contrastive head too.
        first_step: of the first round; the contrastive head learns before it.
        every: steps from one round to the next, which replaces what was kept.
        n_pictures: described a round.
        keep: share of a round that is kept, the best; captions that the search had to cut off never are.
        beam_size: of the search; the rest is the experiment's.
        pictures: with such captions a step; 0 for as many as the pairs have.
        dim: features in which pictures and captions are compared.
        temperature: by which their cosines are divided.
    """

    weight: float = 1.0
    first_step: int = 1000
    every: int = 1000
    n_pictures: int = 1000
    keep: float = 0.5
    beam_size: int = 1
    pictures: int = 0
    dim: int = 128
    temperature: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what describes or keeps nothing."""
        if min(self.weight, self.first_step, self.pictures) < 0 or min(self.every, self.n_pictures) < 1:
            raise ConfigurationError(
                "unpaired.pseudo_labels: weight, first_step and pictures are 0 or more, every and n_pictures above 0."
            )
        if not 0 < self.keep <= 1 or self.temperature <= 0:
            raise ConfigurationError(
                "unpaired.pseudo_labels: give a keep above 0 and at most 1, and a temperature above 0."
            )


@dataclass(frozen=True)
class Labels:
    """Captions that were kept.

    Args:
        pictures: rows of the training data.
        captions: of these pictures, end included.
    """

    pictures: tuple[int, ...] = ()
    captions: tuple[tuple[int, ...], ...] = ()


class PseudoLabels:
    """The losses of pictures with captions of the captioner's own, and of the head that judges them.

    Args:
        config: how.
        around: with the pictures alone.
        vocabulary: of the captions.
        search: of the experiment, in symbols.
        longest: symbols after which captions are cut.
    """

    def __init__(
        self,
        config: PseudoLabelsConfig,
        around: Surroundings,
        vocabulary: Vocabulary,
        search: SearchConfig,
        longest: int,
    ) -> None:
        self.config, self.around, self.vocabulary, self.longest = config, around, vocabulary, longest
        self.search = replace(search, beam_size=config.beam_size, n_results=1, groups=1, method="beam")
        self.labels = Labels()

    @property
    def pictures(self) -> PicturesAlone:
        """That have no captions."""
        assert self.around.pictures is not None
        return self.around.pictures

    def losses(self, model: Any, pairs: Pairs, step: int) -> dict[str, Tensor]:
        """ "match" teaches the head alone, "pseudo_labels" the captioner alone, once there are some."""
        if not self.config.weight:
            return {}
        seen = pairs.regions.detach()
        pictures, captions = model.helpers["match"](seen, pairs.regions_mask, *pairs.first_captions())
        found = {"match": ASIDE * contrastive_loss(pictures, captions, self.config.temperature)}
        if self.labels.pictures:
            found["pseudo_labels"] = self.config.weight * self._of_labels(model, step, pairs.targets.device)
        return found

    def _of_labels(self, model: Any, step: int, device: torch.device) -> Tensor:
        rng = np.random.default_rng((self.pictures.seed, 5, step))
        n = min(self.config.pictures or self.around.n_pictures, len(self.labels.pictures))
        chosen = rng.choice(len(self.labels.pictures), n, replace=False)
        shown, mask = self.pictures.source.shown([self.labels.pictures[i] for i in chosen], step, rng)
        captions = [self.labels.captions[i] for i in chosen]
        inputs, targets = (ids.to(device) for ids in pad_captions(captions, self.vocabulary, self.longest))
        regions = regions_of(model, shown.to(device))
        logits = model.decoder(regions, None if mask is None else mask.to(device), inputs).logits
        return self.around.cross_entropy(logits, targets)

    # --------------------------------------------------------------------------------------------------- labelling

    def is_due(self, step: int) -> bool:
        """Whether a round comes before `step`."""
        past = step - self.config.first_step
        return self.config.weight > 0 and past >= 0 and past % self.config.every == 0

    @torch.no_grad()
    def label(self, model: Any, step: int) -> None:
        """Describe pictures with `model` as it is, in evaluation mode, and keep the best captions."""
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        chosen = self.pictures.draw(step, self.config.n_pictures)
        rounds = [self._describe(model, chosen[first : first + BATCH]) for first in range(0, len(chosen), BATCH)]
        for module, mode in modes:  # a frozen encoder stays as it was
            module.training = mode
        kept = [one for some in rounds for one in some]
        if not kept:
            self.labels = Labels()
            return
        scores = self._scores(kept)
        places = np.flatnonzero(scores >= np.quantile(scores, 1 - self.config.keep))
        self.labels = Labels(tuple(kept[i].picture for i in places), tuple(kept[i].caption for i in places))

    def _describe(self, model: Any, pictures: Sequence[int]) -> list["_Described"]:
        shown, mask = self.pictures.source.unchanged(pictures)
        device = next(model.parameters()).device
        mask = None if mask is None else mask.to(device)
        regions = regions_of(model, shown.to(device))
        found = [best for best, *_ in describe(model.decoder, regions, self.vocabulary, self.search, mask)]
        whole = [i for i, one in enumerate(found) if one.finished and one.ids]
        if not whole:
            return []
        assert self.vocabulary.end is not None
        captions = [(*found[i].ids, self.vocabulary.end) for i in whole]
        longest = max(map(len, captions))
        inputs, targets = (ids.to(device) for ids in pad_captions(captions, self.vocabulary, longest))
        counted = targets != self.vocabulary.pad
        mask = None if mask is None else mask[whole]
        seen, said = model.helpers["match"](regions[whole], mask, targets, counted)
        fluency = self._fluency(model, inputs, targets, [found[i] for i in whole]).tolist()
        parts = zip([pictures[i] for i in whole], captions, seen, said, fluency, strict=True)
        return [_Described(*one) for one in parts]

    def _fluency(self, model: Any, inputs: Tensor, targets: Tensor, found: Sequence[Hypothesis]) -> Tensor:
        """(N,) mean log-probability per symbol, by the language model."""
        if "no_picture" not in model.helpers:
            return torch.tensor([one.log_prob / len(one.token_log_probs) for one in found])
        logits = model.decoder(model.helpers["no_picture"](len(inputs)), None, inputs).logits
        counted = targets != self.vocabulary.pad
        likely = logits.float().log_softmax(-1).gather(2, targets.unsqueeze(2)).squeeze(2)
        return (likely * counted).sum(1) / counted.sum(1)

    def _scores(self, described: Sequence["_Described"]) -> np.ndarray:
        """(N,) logarithms of contrastive score times language model score."""
        pictures = torch.stack([one.picture_vector for one in described])
        captions = torch.stack([one.caption_vector for one in described])
        matched = (pictures @ captions.T / self.config.temperature).log_softmax(1).diagonal()
        return matched.double().cpu().numpy() + np.array([one.fluency for one in described])


@dataclass(frozen=True, eq=False)
class _Described:
    """A picture, its caption with the end, both as vectors, and how fluent it is."""

    picture: int
    caption: tuple[int, ...]
    picture_vector: Tensor
    caption_vector: Tensor
    fluency: float


class Labelling(Callback):
    """Lets the labels be made anew when it is time, by the averaged weights, and puts them into the checkpoint."""

    def __init__(self, labels: PseudoLabels) -> None:
        self.labels = labels

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before a step that a round is due at."""
        if self.labels.is_due(trainer.global_step):
            model: Any = pl_module
            self.labels.label(model.best_model, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """What was kept."""
        return {"pictures": self.labels.labels.pictures, "captions": self.labels.labels.captions}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.labels.labels = Labels(state_dict["pictures"], state_dict["captions"])
