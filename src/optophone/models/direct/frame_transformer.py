"""Picture → speech, a few frames at a time, by a transformer that writes codes of frames."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.transformer import (
    TransformerCaptioner,
    TransformerCaptionerConfig,
    TransformerMemory,
    TransformerState,
)
from optophone.models.direct.frame_codes import FrameCodes
from optophone.models.direct.frame_refiner import FrameRefiner
from optophone.models.direct.interface import Ends, TrueSpeech

_NEVER = -1e9


@dataclass(frozen=True)
class FrameTransformerConfig:
    """Sizes of a `FrameTransformer`.

    Args:
        frames_per_step: r, frames that are said at a step.
        n_levels: L, codes of a step.
        n_codes: K, of which each is one.
        dim, n_heads, n_layers, n_encoder_layers, feed_forward_dim, dropout, region_dropout: of the transformer, as
            `TransformerCaptionerConfig` has them.
        max_length: most steps of an utterance, the end counted.
        level_dim: features inside the heads of the levels below the first.
        refiner_dim, refiner_hidden_dim, refiner_layers, refiner_kernel_size: of the refiner, which sees
            refiner_layers · (refiner_kernel_size - 1) / 2 steps ahead.
    """

    frames_per_step: int = 4
    n_levels: int = 4
    n_codes: int = 256
    dim: int = 256
    n_heads: int = 4
    n_layers: int = 4
    n_encoder_layers: int = 1
    feed_forward_dim: int = 1024
    dropout: float = 0.1
    region_dropout: float = 0.0
    max_length: int = 160
    level_dim: int = 256
    refiner_dim: int = 256
    refiner_hidden_dim: int = 512
    refiner_layers: int = 2
    refiner_kernel_size: int = 3

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        if min(self.frames_per_step, self.n_levels, self.n_codes, self.refiner_layers) < 1 or self.max_length < 2:
            raise ConfigurationError(
                "transformer: frames_per_step, n_levels, n_codes and refiner_layers are at least 1, max_length 2."
            )
        if self.refiner_kernel_size % 2 == 0:
            raise ConfigurationError(
                f"transformer: refiner_kernel_size is {self.refiner_kernel_size}; give an odd one."
            )


class FrameOutput(NamedTuple):
    """What training compares; U steps are those of the longest utterance.

    Fields: first (N, U + 1, K + 2), scores of the codes of the first level, of the start, which never comes, and of the
    end; further (N, U, L - 1, K), of the levels below; targets (N, U + 1), codes of the first level, the end, then -1;
    codes (N, U, L); mask (N, U) true at valid steps; groups and refined (B, U, r·M), of the first utterance about each
    picture, which are enough: the true frames, and what the refiner makes of their codes.
    """

    first: Tensor
    further: Tensor
    targets: Tensor
    codes: Tensor
    mask: Tensor
    groups: Tensor
    refined: Tensor


class FrameStep(NamedTuple):
    """Fields: log_probs (N, K + 2) of the first level; hidden (N, D), what the levels below follow from; attention
    (N, R); state for the next step."""

    log_probs: Tensor
    hidden: Tensor
    attention: Tensor
    state: TransformerState


class LevelHeads(nn.Module):
    """The codes of the levels below the first, each following from the step and from the codes above it.

    Source: the depth transformer of Lee et al. 2022 (see `FrameCodes`), section 3.2, with a head for each level in its
    place: there are few.
    """

    def __init__(self, dim: int, level_dim: int, n_levels: int, n_codes: int) -> None:
        super().__init__()
        n_further = n_levels - 1
        self.above = nn.ModuleList(nn.Embedding(n_codes, dim) for _ in range(n_further))
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, level_dim), nn.GELU(), nn.Linear(level_dim, n_codes))
            for _ in range(n_further)
        )

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Scores (..., L - 1, K) of levels 2 to L, for hidden (..., D) and the codes (..., L - 1) of levels 1 to L - 1.

        The scores of a level do not depend on its own code nor on those below it.
        """
        scores = []
        for above, head, code in zip(self.above, self.heads, codes.unbind(-1), strict=True):
            hidden = hidden + above(code)
            scores.append(head(hidden))
        if not scores:
            return hidden.new_zeros(*hidden.shape[:-1], 0, 1)
        return torch.stack(scores, -2)


class FrameTransformer(nn.Module):
    """A transformer captioner whose symbols are mel frames: groups of r, as codes of L levels.

    A step reads the codes of the step before (the sum of their embeddings), says how likely every code of the first
    level is, or that the utterance has ended, and then level after level. That is a distribution, so of five ways to
    describe a picture one is drawn, where a regression would give their mean.

    Source: codes and heads: Lee et al. 2022 (see `FrameCodes`); the trunk is `TransformerCaptioner`.

    Args:
        config: sizes.
        ends: what is read and made.
    """

    def __init__(self, config: FrameTransformerConfig, ends: Ends) -> None:
        super().__init__()
        self.config = config
        self.start, self.end = config.n_codes, config.n_codes + 1
        self.codes = FrameCodes(ends.mel, config.frames_per_step, config.n_levels, config.n_codes)
        self.trunk = TransformerCaptioner(
            TransformerCaptionerConfig(
                n_symbols=config.n_codes + 2,
                region_dim=ends.region_dim,
                dim=config.dim,
                n_heads=config.n_heads,
                n_layers=config.n_layers,
                n_encoder_layers=config.n_encoder_layers,
                feed_forward_dim=config.feed_forward_dim,
                dropout=config.dropout,
                region_dropout=config.region_dropout,
                max_length=config.max_length,
                grid=ends.grid,
            )
        )
        further = range(config.n_levels - 1)
        self.further_embeddings = nn.ModuleList(nn.Embedding(config.n_codes, config.dim) for _ in further)
        for embedding in self.further_embeddings:
            nn.init.normal_(embedding.weight, std=config.dim**-0.5)  # type: ignore[arg-type]
        self.levels = LevelHeads(config.dim, config.level_dim, config.n_levels, config.n_codes)
        self.refiner = FrameRefiner(
            config.frames_per_step * ends.mel.n_mels,
            config.refiner_dim,
            config.refiner_hidden_dim,
            config.refiner_layers,
            config.refiner_kernel_size,
        )

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, speech: TrueSpeech, captions_per_picture: int = 1
    ) -> FrameOutput:
        """Score every step of `speech` after the true ones before it.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.
            speech: N = B·C utterances.
            captions_per_picture: C.

        Raises:
            ConfigurationError: an utterance has more steps than `max_length`, the end counted.
        """
        groups, lengths = self.codes.groups(speech.mel, speech.mel_lengths), self.codes.steps(speech.mel_lengths)
        n_steps = groups.shape[1]
        if n_steps >= self.config.max_length:
            raise ConfigurationError(
                f"Utterances of {n_steps} steps need max_length {n_steps + 1}, not {self.config.max_length}."
            )
        codes = self.codes.encode(groups)
        mask = torch.arange(n_steps, device=codes.device) < lengths[:, None]
        hidden = self._decode(regions, regions_mask, codes)
        targets = nn.functional.pad(codes[:, :, 0].masked_fill(~mask, -1), (0, 1), value=-1)
        targets = targets.scatter(1, lengths[:, None], self.end)
        further = self.levels(hidden[:, :-1], codes[:, :, :-1])
        some = slice(None, None, captions_per_picture)
        refined = self.refiner(self.codes.decode(codes[some]), mask[some])
        return FrameOutput(self._first(hidden), further, targets, codes, mask, groups[some], refined)

    def _first(self, hidden: Tensor) -> Tensor:
        """Scores (..., K + 2) of the first level, the end and the start, which never comes."""
        scores = self.trunk.output(hidden).float()
        return scores.masked_fill(torch.arange(scores.shape[-1], device=scores.device) == self.start, _NEVER)

    def _decode(self, regions: Tensor, regions_mask: Tensor | None, codes: Tensor) -> Tensor:
        """What follows from start and each of the steps `codes` (N, U, L): (N, U + 1, D)."""
        trunk = self.trunk
        encoded = trunk.encode(regions, regions_mask)
        begin = codes.new_full((len(codes), 1, codes.shape[2]), self.start)
        read = self._embed(torch.cat((begin, codes), 1)) + trunk.positions.weight[: codes.shape[1] + 1]
        found, _ = trunk.decode(trunk.dropout(read), encoded, regions_mask)
        return trunk.dropout(found)

    def _embed(self, codes: Tensor) -> Tensor:
        """Steps (..., L) as the trunk reads them, (..., D); the start has a first level alone."""
        first = codes[..., 0]
        x = self.trunk.embedding(first)
        said = (first < self.config.n_codes).unsqueeze(-1)
        for embedding, code in zip(self.further_embeddings, codes[..., 1:].unbind(-1), strict=True):
            x = x + embedding(code.clamp(max=self.config.n_codes - 1)) * said
        return x

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[TransformerMemory, TransformerState]:
        """Look at pictures (B, R, D) once: what stays the same, and the state before the first step."""
        return self.trunk.begin(regions, regions_mask)

    def step(self, codes: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> FrameStep:
        """One step further, without dropout.

        Args:
            codes: (N, L) of the step before; K, and anything, before the first.
            memory: of `begin`, one row per row of `codes`.
            state: of `begin` or the step before.
        """
        position = state[1].clamp(max=self.config.max_length - 1)
        x = self._embed(codes) + self.trunk.positions(position)
        hidden, attention, following = self.trunk.advance(x, memory, state)
        return FrameStep(self._first(hidden).log_softmax(-1), hidden, attention, following)

    def further_log_probs(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """(N, L - 1, K) of levels 2 to L, for hidden (N, D) of a step and its codes (N, L - 1) above them."""
        return self.levels(hidden, codes).float().log_softmax(-1)

    def speak(self, codes: Tensor) -> Tensor:
        """The refined mel (N, M, U·r) of codes (N, U, L), all valid."""
        return self.codes.ungroup(self.refiner(self.codes.decode(codes)))

    @torch.no_grad()
    def infer(self, regions: Tensor, regions_mask: Tensor | None = None) -> list[Tensor]:
        """Speak about every picture (B, R, D), taking the likeliest code each time: codes (U, L) of each.

        What has no end after `max_length` steps is cut there.
        """
        n_levels, rows = self.config.n_levels, len(regions)
        memory, state = self.begin(regions, regions_mask)
        codes = torch.full((rows, n_levels), self.start, device=regions.device)
        said: list[Tensor] = []
        lengths = torch.full((rows,), self.config.max_length, device=regions.device)
        while len(said) < int(lengths.max()):
            step = self.step(codes, memory, state)
            state, chosen = step.state, step.log_probs.argmax(1)
            ended = (chosen == self.end) & (lengths > len(said))
            lengths = torch.where(ended, len(said), lengths)
            codes = torch.zeros_like(codes)
            codes[:, 0] = chosen.clamp(max=self.config.n_codes - 1)
            for level in range(1, n_levels):
                codes[:, level] = self.further_log_probs(step.hidden, codes[:, :-1])[:, level - 1].argmax(1)
            said.append(codes)
        whole = torch.stack(said, 1) if said else codes[:, None][:, :0]
        return [row[: int(n)] for row, n in zip(whole, lengths, strict=True)]
