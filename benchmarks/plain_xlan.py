"""X-LAN read plainly: eager PyTorch in the manner of the original, what the fast one is measured against.

One module per box of the original, by the original's names, so that its checkpoints load as they are. Every caption
and every beam gets its own copy of what depends on the picture, every step runs the output layer, and beam search sorts
all continuations of a picture. Like the original it keeps the keys and values of the regions while it decodes;
`recompute_keys` projects the regions anew at every step instead.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.models.captioners.xlan import XLanConfig

END = 0  # and start


class LowRank(nn.Module):
    """One X-Linear attention, written out for every region."""

    def __init__(self, config: XLanConfig, mid_dim: int, mid_dropout: float) -> None:
        super().__init__()
        dim, self.n_heads = config.dim, config.n_heads
        head_dim = dim // config.n_heads
        for name in ("q", "k", "v1", "v2"):
            layers = (nn.Linear(dim, dim), nn.CELU(config.alpha), nn.GroupNorm(config.n_heads, dim))
            setattr(self, f"in_proj_{name}", nn.Sequential(*layers))
        self.attn_net = nn.ModuleDict(
            {
                "attention_basic": nn.Sequential(nn.Linear(head_dim, mid_dim), nn.ReLU(), nn.Dropout(mid_dropout)),
                "attention_last": nn.Linear(mid_dim, 1),
                "attention_last2": nn.Linear(mid_dim, head_dim),
            }
        )

    def by_head(self, x: Tensor, projection: nn.Module) -> Tensor:
        """(B, R, D) → (B, H, R, D / H)."""
        found = projection(x.reshape(-1, x.shape[-1]))
        return found.view(x.shape[0], x.shape[1], self.n_heads, -1).transpose(1, 2)

    def keys_values(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and second values (B, H, R, D / H) of regions (B, R, D)."""
        return self.by_head(regions, self.in_proj_k), self.by_head(regions, self.in_proj_v2)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Queries (B, D), one for each row of keys and values, mask (B, R) of ones and zeros → (B, D)."""
        rows = query.shape[0]
        q = self.in_proj_q(query).view(rows, self.n_heads, 1, -1)
        v1 = self.in_proj_v1(query).view(rows, self.n_heads, -1)
        compared = self.attn_net["attention_basic"](q * keys)
        mask = mask.unsqueeze(1)
        pooled = (compared * mask.unsqueeze(-1)).sum(-2) / mask.unsqueeze(-1).sum(-2)
        scores = self.attn_net["attention_last"](compared).squeeze(-1).masked_fill(mask == 0, -1e9)
        channels = self.attn_net["attention_last2"](pooled).sigmoid()
        found = (scores.softmax(-1).unsqueeze(-2) @ values).squeeze(-2)
        return (v1 * found * channels).view(rows, -1)


class Attention(nn.Module):
    """An attention with dropout behind it, under the name that the original's checkpoints have for it."""

    def __init__(self, config: XLanConfig, mid_dim: int, mid_dropout: float, dropout: float) -> None:
        super().__init__()
        self.encoder_attn = LowRank(config, mid_dim, mid_dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """As `LowRank`."""
        return self.dropout(self.encoder_attn(query, keys, values, mask))


class Encoder(nn.Module):
    """The stack over the regions."""

    def __init__(self, config: XLanConfig) -> None:
        super().__init__()
        dim, n = config.dim, config.n_encoder_blocks
        attention = (config.encoder_mid_dim, config.encoder_mid_dropout, config.encoder_dropout)
        self.layers = nn.ModuleList(Attention(config, *attention) for _ in range(n))
        self.bifeat_emb = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Dropout(config.mixing_dropout)) for _ in range(n)
        )
        self.layer_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(n))
        self.proj = nn.Linear((n + 1) * dim, dim)
        self.layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Embedded regions (B, R, D) → the picture as a whole (B, D), regions (B, R, D)."""
        whole = (x * mask.unsqueeze(-1)).sum(1) / mask.unsqueeze(-1).sum(1)
        wholes = [whole]
        for layer, mixing, norm in zip(self.layers, self.bifeat_emb, self.layer_norms, strict=True):
            whole = layer(whole, *layer.encoder_attn.keys_values(x), mask)
            x = norm(mixing(torch.cat([whole.unsqueeze(1).expand_as(x), x], -1)) + x)
            wholes.append(whole)
        return self.layer_norm(self.proj(torch.cat(wholes, -1))), x


class Decoder(nn.Module):
    """The stack behind the LSTM."""

    def __init__(self, config: XLanConfig) -> None:
        super().__init__()
        attention = (config.decoder_mid_dim, config.decoder_mid_dropout, config.decoder_dropout)
        self.layers = nn.ModuleList(Attention(config, *attention) for _ in range(config.n_decoder_blocks))
        self.proj = nn.Linear((config.n_decoder_blocks + 1) * config.dim, config.dim)
        self.layer_norm = nn.LayerNorm(config.dim)

    def forward(self, hidden: Tensor, keys_values: list[tuple[Tensor, Tensor]], mask: Tensor) -> Tensor:
        """Hidden states (N, D), and for each layer keys and values with a row for each → (N, D)."""
        found = [hidden]
        for layer, (keys, values) in zip(self.layers, keys_values, strict=True):
            found.append(layer(found[-1], keys, values, mask))
        return self.layer_norm(self.proj(torch.cat(found, -1)))


class Picture(NamedTuple):
    """What a picture, a caption or a beam keeps from step to step, a row each."""

    whole: Tensor
    regions: Tensor
    mask: Tensor
    keys_values: list[tuple[Tensor, Tensor]]

    def repeat(self, n: int) -> "Picture":
        """Each row n times."""
        pairs = [(keys.repeat_interleave(n, 0), values.repeat_interleave(n, 0)) for keys, values in self.keys_values]
        return Picture(*(x.repeat_interleave(n, 0) for x in self[:3]), pairs)


class State(NamedTuple):
    """Hidden and cell of the LSTM, and the last context, (N, D) each."""

    hidden: Tensor
    cell: Tensor
    context: Tensor


class PlainXLan(nn.Module):
    """The whole captioner.

    Args:
        config: sizes and dropouts.
        recompute_keys: project the regions of every row into keys and values at every step of decoding.
    """

    def __init__(self, config: XLanConfig, recompute_keys: bool = False) -> None:
        super().__init__()
        dim = config.dim
        self.config, self.recompute_keys = config, recompute_keys
        embedding = (nn.Embedding(config.n_symbols, dim), nn.CELU(config.alpha), nn.Dropout(config.embedding_dropout))
        self.word_embed = nn.Sequential(*embedding)
        regions = (nn.Linear(config.region_dim, dim), nn.CELU(config.alpha), nn.Dropout(config.region_dropout))
        self.att_embed = nn.Sequential(*regions)
        self.encoder_layers = Encoder(config)
        self.att_lstm = nn.LSTMCell(2 * dim, dim)
        self.attention = Decoder(config)
        self.ctx_drop = nn.Dropout(config.dropout)
        self.att2ctx = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.GLU())
        self.dropout_lm = nn.Dropout(config.dropout)
        self.logit = nn.Linear(dim, config.n_symbols)

    def look(self, regions: Tensor, mask: Tensor) -> Picture:
        """Regions (B, R, region_dim), mask (B, R) of ones and zeros."""
        whole, x = self.encoder_layers(self.att_embed(regions), mask)
        return Picture(whole, x, mask, self.keys_values(x))

    def keys_values(self, regions: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each layer of the decoder, of encoded regions (B, R, D)."""
        return [layer.encoder_attn.keys_values(regions) for layer in self.attention.layers]

    def first_state(self, picture: Picture) -> State:
        """Zeros."""
        return State(*(torch.zeros_like(picture.whole) for _ in State._fields))

    def advance(self, ids: Tensor, picture: Picture, state: State) -> tuple[Tensor, State]:
        """Symbols (N,) → what the output layer reads (N, D), the next state."""
        entered = torch.cat([self.word_embed(ids), picture.whole + self.ctx_drop(state.context)], 1)
        hidden, cell = self.att_lstm(entered, (state.hidden, state.cell))
        found = self.attention(hidden, picture.keys_values, picture.mask)
        context = self.att2ctx(torch.cat([found, hidden], 1))
        return context, State(hidden, cell, context)

    def forward(self, regions: Tensor, mask: Tensor, ids: Tensor) -> Tensor:
        """Logits (B · C, S, V) of C captions a picture (B · C, S)."""
        picture = self.look(regions, mask)
        picture = picture.repeat(len(ids) // len(regions))
        state = self.first_state(picture)
        logits = regions.new_zeros(*ids.shape, self.config.n_symbols)
        for t in range(ids.shape[1]):
            context, state = self.advance(ids[:, t], picture, state)
            logits[:, t] = self.logit(self.dropout_lm(context))
        return logits

    @torch.no_grad()
    def search(self, regions: Tensor, mask: Tensor, beam_size: int, n_steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """All beams (B, beams, steps), best first; their sums of log-probabilities (B, beams), and those of symbols."""
        picture = self.look(regions, mask)
        n, state = len(regions), self.first_state(picture)
        ids = torch.full((n,), END)
        sums, running = torch.zeros(n, 1, 1), torch.ones(n, 1, 1)
        chosen, log_probs = torch.zeros(n, 1, 0, dtype=torch.long), torch.zeros(n, 1, 0)
        for t in range(n_steps):
            if self.recompute_keys:
                picture = picture._replace(keys_values=self.keys_values(picture.regions))
            context, state = self.advance(ids, picture, state)
            scores = self.logit(context).log_softmax(-1).view(n, -1, self.config.n_symbols)
            candidates = self.candidates(scores, sums, running)
            ranked, order = candidates.view(n, -1).sort(-1, descending=True)
            beams, symbols = order[:, :beam_size] // scores.shape[-1], order[:, :beam_size] % scores.shape[-1]
            state = State(*(part.view(n, -1, part.shape[-1])[torch.arange(n)[:, None], beams] for part in state))
            state = State(*(part.flatten(0, 1) for part in state))
            sums = ranked[:, :beam_size, None]
            of_beams = (scores * running).gather(1, beams.unsqueeze(-1).expand(-1, -1, scores.shape[-1]))
            before = beams.unsqueeze(-1).expand(-1, -1, t)
            log_probs = torch.cat([log_probs.gather(1, before), of_beams.gather(2, symbols.unsqueeze(-1))], -1)
            chosen = torch.cat([chosen.gather(1, before), symbols.unsqueeze(-1)], -1)
            running = running.gather(1, beams.unsqueeze(-1)) * (symbols != END).unsqueeze(-1)
            ids = symbols.flatten()
            if t == 0:
                picture = picture.repeat(beam_size)
        return chosen, sums.squeeze(-1), log_probs

    @staticmethod
    def candidates(scores: Tensor, sums: Tensor, running: Tensor) -> Tensor:
        """Sums with one more symbol (B, beams, V); a finished beam goes on in one way, by the end once more."""
        stopped = sums.expand_as(scores).clone()
        stopped[:, :, 1:] = -999.0
        return running * (sums + scores) + (1 - running) * stopped
