"""Show, Attend and Tell with hard attention: it looks at one region per symbol, in training drawn by chance."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.models.captioners.lstm import LSTMState
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.show_attend_tell import (
    ShowAttendTell,
    ShowAttendTellConfig,
    ShowAttendTellMemory,
    softly,
)

_SMALLEST = 1e-8  # probability; the logarithm of what is excluded stays finite, and its gradient 0


@dataclass(frozen=True)
class HardAttendTellConfig:
    """Sizes and options of `HardAttendTell`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        embedding_dim: E, features per symbol.
        attention_dim: A, features in which regions and hidden state are compared.
        hidden_dim: H, features of the LSTM.
        dropout: on what the output layer reads.
        region_dropout: on the regions (0 in the paper).
        deep_output: the output layer reads hidden state, context and symbol together (equation 7).
        tied_embeddings: as in `ShowAttendTellConfig`.
        expected_share: share of the pictures of a training batch that are read softly (1/2 in the paper).
        reinforce_weight: λ_r, of the reward; 1 gives the gradient of the expected cross-entropy.
        entropy_weight: λ_e, of the attention's entropy.
        baseline_decay: how much of the moving baseline a batch leaves (0.9 in the paper).
        at_test: "expectation" reads softly, "arg-max" the likeliest region alone.
    """

    n_symbols: int
    region_dim: int = 384
    embedding_dim: int = 512
    attention_dim: int = 512
    hidden_dim: int = 512
    dropout: float = 0.5
    region_dropout: float = 0.0
    deep_output: bool = False
    tied_embeddings: bool = False
    expected_share: float = 0.5
    reinforce_weight: float = 1.0
    entropy_weight: float = 0.01
    baseline_decay: float = 0.9
    at_test: Literal["expectation", "arg-max"] = "expectation"

    def soft(self) -> ShowAttendTellConfig:
        """The part that soft and hard attention share."""
        return ShowAttendTellConfig(
            n_symbols=self.n_symbols,
            region_dim=self.region_dim,
            embedding_dim=self.embedding_dim,
            attention_dim=self.attention_dim,
            hidden_dim=self.hidden_dim,
            dropout=self.dropout,
            region_dropout=self.region_dropout,
            deep_output=self.deep_output,
            tied_embeddings=self.tied_embeddings,
        )


def draw_regions(attention: Tensor) -> Tensor:
    """One region per query, drawn from attention (B, C, R), as weights of 0 and 1 in the same shape."""
    drawn = torch.multinomial(attention.detach().flatten(0, 1), 1).view(*attention.shape[:2])
    return F.one_hot(drawn, attention.shape[-1]).to(attention.dtype)


def likeliest_regions(attention: Tensor) -> Tensor:
    """The region with the largest attention (B, C, R), as weights of 0 and 1 in the same shape."""
    return F.one_hot(attention.argmax(-1), attention.shape[-1]).to(attention.dtype)


class HardAttendTell(nn.Module):
    """The hard-attention decoder: the soft one, whose regions are chosen instead of mixed.

    The gradient of the choice is REINFORCE with a moving baseline, plus the entropy of the attention. A choice is
    rewarded with the log-likelihood of the symbols from it on, those before it cannot depend on it: the same
    expectation as the paper's reward by the whole caption, with less noise; the baseline is kept per symbol for that.
    In evaluation nothing is drawn. The attention that is returned is what the choice is drawn from.

    Source: Xu et al. 2015, "Show, Attend and Tell", section 4.1.
    """

    baseline: Tensor

    def __init__(self, config: HardAttendTellConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = ShowAttendTell(config.soft())
        # Before training a symbol is as likely as any other.
        self.register_buffer("baseline", torch.tensor(-math.log(config.n_symbols)))

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, captions_per_picture: int = 1
    ) -> CaptionerOutput:
        """Score the next symbol after every symbol of known captions.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.
            ids: (B·C, S) input symbols that begin with start, right-padded; the C captions of a picture are adjacent.
            captions_per_picture: C.

        Returns:
            logits (B·C, S, V), attention (B·C, S, R); in training also, as extras, the weights (B·C, S, R) with which
            the regions were read and whether a caption's were drawn (B·C,).
        """
        if not self.training:
            return self.reader.teach(regions, regions_mask, ids, captions_per_picture, self._choose_at_test())
        drawn = torch.rand(len(regions), 1, 1, device=regions.device) >= self.config.expected_share
        choices: list[Tensor] = []

        def choose(attention: Tensor) -> Tensor:
            choices.append(torch.where(drawn, draw_regions(attention), attention))
            return choices[-1]

        output = self.reader.teach(regions, regions_mask, ids, captions_per_picture, choose)
        read = torch.stack([choice.detach().flatten(0, 1) for choice in choices], 1)
        return output._replace(extras=(read, drawn.flatten().repeat_interleave(captions_per_picture)))

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[ShowAttendTellMemory, LSTMState]:
        """Look at the pictures once; see `ShowAttendTell.begin`."""
        return self.reader.begin(regions, regions_mask)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, LSTMState]:
        """One symbol further, as at test whatever the mode; see `ShowAttendTell.step`."""
        return self.reader.step(ids, memory, state, self._choose_at_test())

    def auxiliary_losses(self, output: CaptionerOutput, targets: Tensor, ignored: int) -> dict[str, Tensor]:
        """What teaches where to look, in training; moves the baseline.

        Args:
            output: of `forward` in training.
            targets: (B·C, S) the next symbols.
            ignored: the id in `targets` that does not count.

        Returns:
            "reinforce", whose gradient is what counts, and "entropy" (negative: more is better); per symbol.
        """
        counted = targets != ignored
        attention = output.attention.float()
        log_attention = attention.clamp(min=_SMALLEST).log()
        n_counted = counted.sum().clamp(min=1)
        entropy = -(attention * log_attention).sum(-1)
        losses = {"entropy": -self.config.entropy_weight * (entropy * counted).sum() / n_counted}
        if output.extras:
            read, drawn = output.extras
            log_choice = (read * log_attention).sum(-1) * drawn.unsqueeze(1)
            advantage = self._advantage(output.logits, targets, ignored, drawn)
            losses["reinforce"] = -self.config.reinforce_weight * (advantage * log_choice * counted).sum() / n_counted
        return losses

    @torch.no_grad()
    def _advantage(self, logits: Tensor, targets: Tensor, ignored: int, drawn: Tensor) -> Tensor:
        """How much likelier than the baseline the symbols from each on are (B·C, S); then moves the baseline."""
        likelihood = -F.cross_entropy(logits.float().mT, targets, ignore_index=ignored, reduction="none")
        counted = targets != ignored
        surplus = likelihood - self.baseline * counted
        rewarded = counted & drawn.unsqueeze(1)
        if rewarded.any():
            self.baseline.lerp_(likelihood[rewarded].mean(), 1 - self.config.baseline_decay)
        return surplus.flip(1).cumsum(1).flip(1)

    def _choose_at_test(self) -> Callable[[Tensor], Tensor]:
        return likeliest_regions if self.config.at_test == "arg-max" else softly
