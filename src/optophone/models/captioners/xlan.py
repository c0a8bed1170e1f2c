"""X-LAN: X-Linear attention in the encoder, and around an LSTM in the decoder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.recurrent_product import RecurrentProduct
from optophone.models.captioners.region_mask import region_weights
from optophone.models.captioners.x_linear_attention import XLinearAttention, XLinearConfig
from optophone.models.captioners.x_linear_encoder import EncodedPicture, XLinearEncoder, XLinearEncoderConfig
from optophone.models.linear import Linear, linear


@dataclass(frozen=True)
class XLanConfig:
    """Sizes and options of `XLan`; the defaults are the published ones.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: features per region as they come.
        dim: D, features inside: of symbols, regions, attention and LSTM.
        n_heads: heads of every attention; divides dim.
        n_encoder_blocks: X-Linear blocks over the regions.
        n_decoder_blocks: X-Linear blocks behind the LSTM, each asking with what the one before found; at least 1.
        encoder_mid_dim: features per head in which query and region are compared, in the encoder.
        decoder_mid_dim: the same in the decoder.
        alpha: of every CELU.
        embedding_dropout: on the embedded symbols.
        region_dropout: on the embedded regions.
        encoder_dropout: on what a block of the encoder finds.
        decoder_dropout: on what a block of the decoder finds.
        encoder_mid_dropout: on what was compared in the encoder; 0 in the published self-critical training.
        decoder_mid_dropout: the same in the decoder.
        mixing_dropout: on what a block of the encoder adds to each region.
        dropout: on the context, where the LSTM reads it and, in `forward` only, where the output layer does.
        tied_embeddings: the output layer is the embedding transposed (not in the paper; it helps on small data sets).
    """

    n_symbols: int
    region_dim: int = 2048
    dim: int = 1024
    n_heads: int = 8
    n_encoder_blocks: int = 4
    n_decoder_blocks: int = 1
    encoder_mid_dim: int = 64
    decoder_mid_dim: int = 64
    alpha: float = 1.3
    embedding_dropout: float = 0.5
    region_dropout: float = 0.5
    encoder_dropout: float = 0.5
    decoder_dropout: float = 0.5
    encoder_mid_dropout: float = 0.1
    decoder_mid_dropout: float = 0.1
    mixing_dropout: float = 0.3
    dropout: float = 0.5
    tied_embeddings: bool = False

    def encoder(self) -> XLinearEncoderConfig:
        """The part about the regions."""
        attention = XLinearConfig(
            self.dim, self.n_heads, self.encoder_mid_dim, self.encoder_dropout, self.encoder_mid_dropout, self.alpha
        )
        return XLinearEncoderConfig(
            attention, self.region_dim, self.n_encoder_blocks, self.region_dropout, self.mixing_dropout
        )

    def decoder_attention(self) -> XLinearConfig:
        """The attention behind the LSTM."""
        return XLinearConfig(
            self.dim, self.n_heads, self.decoder_mid_dim, self.decoder_dropout, self.decoder_mid_dropout, self.alpha
        )


class XLanMemory(NamedTuple):
    """What stays the same for a picture.

    Args:
        keys_values: (B, blocks, 2, H, R, D / H) of the decoder's attention.
        weights: (B, R) what each region counts in a mean, 0 for padding.
        gates: (B, 4 D) what the picture as a whole gives to the gates of the LSTM.
    """

    keys_values: Tensor
    weights: Tensor
    gates: Tensor


class XLanState(NamedTuple):
    """The decoder between two symbols: hidden and cell of the LSTM and the context it found, all (N, D)."""

    hidden: Tensor
    cell: Tensor
    context: Tensor


class Products(NamedTuple):
    """The linear maps of a step: (N, n_in) → (N, n_out) each.

    Args:
        gates: of context and hidden state to the LSTM's gates, those of symbol and picture added.
        projection: of the hidden state and what the blocks found.
        context: of what was found and the hidden state to the gated linear unit.
    """

    gates: Callable[[Tensor], Tensor]
    projection: Callable[[Tensor], Tensor]
    context: Callable[[Tensor], Tensor]


class XLan(nn.Module):
    """The X-Linear attention network.

    Before every symbol the LSTM reads the symbol, and the picture as a whole plus the last context. Its hidden state
    asks the regions; hidden state and what was found become the next context through a gated linear unit.

    Source: Pan et al. 2020, "X-Linear Attention Networks for Image Captioning", section 3.3, and its
    public implementation. Proof: tests/parity/test_xlan.py

    Raises:
        ConfigurationError: n_decoder_blocks under 1, or dim is not a multiple of n_heads.
    """

    shares_memory = True  # `step` takes several rows for each row of memory

    def __init__(self, config: XLanConfig) -> None:
        super().__init__()
        if config.n_decoder_blocks < 1:
            raise ConfigurationError(f"n_decoder_blocks is {config.n_decoder_blocks}; X-LAN needs at least 1.")
        self.config = config
        dim = config.dim
        self.encoder = XLinearEncoder(config.encoder())
        self.embedding = nn.Embedding(config.n_symbols, dim)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.gates_from_symbol = Linear(dim, 4 * dim)
        self.register_buffer("symbol_table", None, persistent=False)  # of `tabulate_symbols`
        self.symbol_table: Tensor | None
        # The context's half reads the picture as a whole too, which is added to the context: `begin` does that once.
        self.gates_from_state = Linear(2 * dim, 4 * dim, bias=False)
        self.blocks = nn.ModuleList(
            XLinearAttention(config.decoder_attention()) for _ in range(config.n_decoder_blocks)
        )
        self.projection = Linear((config.n_decoder_blocks + 1) * dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.context = Linear(2 * dim, 2 * dim)
        self.dropout = nn.Dropout(config.dropout)
        self.output = Linear(dim, config.n_symbols)
        self.register_load_state_dict_post_hook(_forget_table)
        if config.tied_embeddings:
            nn.init.normal_(self.embedding.weight, std=dim**-0.5)
            self.output.weight = self.embedding.weight

    @torch.no_grad()
    def tabulate_symbols(self) -> None:
        """Compute once what every symbol gives to the gates of the LSTM, so that a step looks it up.

        It costs V · 4 D values of memory (155 MB in the published size) and spares each step a seventh of the weights
        it would read, which is what decoding a few pictures at a time waits for. Going back to training, or loading
        weights, forgets the table; where gradients are wanted it is not read.
        """
        assert not self.training, "weights in training change"
        self.symbol_table = None
        self.symbol_table = self._symbol_gates(torch.arange(self.config.n_symbols, device=self.embedding.weight.device))

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off; see `tabulate_symbols` for what else."""
        if mode:
            self.symbol_table = None
        return super().train(mode)

    def encode(self, regions: Tensor, regions_mask: Tensor | None) -> EncodedPicture:
        """The pictures as wholes (B, D) and their regions (B, R, D), of regions (B, R, region_dim)."""
        return self.encoder(regions, region_weights(regions, regions_mask))

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, captions_per_picture: int = 1
    ) -> CaptionerOutput:
        """Score the next symbol after every symbol of known captions.

        Args:
            regions: (B, R, region_dim).
            regions_mask: (B, R) true where valid, or None when all are.
            ids: (B·C, S) input symbols that begin with start, right-padded; the C captions of a picture are adjacent.
            captions_per_picture: C. What depends on the picture alone is computed once per picture.

        Returns:
            logits (B·C, S, V) and attention (B·C, S, R), of the last block and averaged over its heads. Positions after
            a caption's end are to be ignored.
        """
        assert ids.shape[0] == regions.shape[0] * captions_per_picture
        memory, first = self.begin(regions, regions_mask)
        state = XLanState(*(x.repeat_interleave(captions_per_picture, 0) for x in first))
        symbol_gates = self._symbol_gates(ids)
        gates = symbol_gates.unflatten(0, (-1, captions_per_picture)) + memory.gates[:, None, None]
        products = self._recurrent_products(gates.flatten(0, 1))
        contexts, attentions = [], []
        for _ in range(ids.shape[1]):
            state, attention = self._advance(products, memory, state)
            contexts.append(state.context)
            attentions.append(attention)
        logits = self.output(self.dropout(torch.stack(contexts, 1)))
        return CaptionerOutput(logits, torch.stack(attentions, 1))

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[XLanMemory, XLanState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, region_dim).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the first state, which is 0.
        """
        weights = region_weights(regions, regions_mask)
        whole, encoded = self.encoder(regions, weights)
        keys_values = torch.stack([block.keys_values(encoded) for block in self._blocks()], 1)
        gates = linear(whole, self.gates_from_state.weight[:, : self.config.dim])
        nothing = whole.detach().float() * 0  # as many rows as pictures, in an exported graph too
        return XLanMemory(keys_values, weights, gates), XLanState(nothing, nothing, nothing)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, XLanState]:
        """One symbol further.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`; N is a multiple of its rows, and the rows of a picture lie together.
            state: of `begin` or the step before, one row per row of `ids`.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        memory = XLanMemory(*memory)
        gates = (_per_picture(self._symbol_gates(ids), memory.gates) + memory.gates.unsqueeze(1)).flatten(0, 1)
        products = Products(lambda x: gates + self.gates_from_state(x), self.projection, self.context)
        following, attention = self._advance(products, memory, XLanState(*state))
        return self.output(following.context).float().log_softmax(-1), attention, following

    def _blocks(self) -> list[XLinearAttention]:
        return [block for block in self.blocks if isinstance(block, XLinearAttention)]

    def _symbol_gates(self, ids: Tensor) -> Tensor:
        """What symbols (...) give to the gates of the LSTM, (..., 4 D)."""
        if self.symbol_table is not None and not torch.is_grad_enabled():
            return self.symbol_table[ids]
        symbols = F.celu(self.embedding(ids), self.config.alpha)
        return self.gates_from_symbol(self.embedding_dropout(symbols))

    def _recurrent_products(self, gates: Tensor) -> Products:
        """The linear maps of as many steps as there are `gates` (N, S, 4 D) of symbols and pictures."""

        def of(linear: Linear) -> RecurrentProduct:
            return RecurrentProduct(linear.weight, linear.bias.to(gates.dtype).expand(*gates.shape[:2], -1))

        from_state = RecurrentProduct(self.gates_from_state.weight, gates)
        return Products(from_state, of(self.projection), of(self.context))

    def _advance(self, products: Products, memory: XLanMemory, state: XLanState) -> tuple[XLanState, Tensor]:
        """One LSTM step, then the attention: the next state, and where it looked (N, R)."""
        before = torch.cat([self.dropout(state.context), state.hidden], -1)
        enter, forget, candidate, leave = products.gates(before).float().chunk(4, -1)
        cell = forget.sigmoid() * state.cell + enter.sigmoid() * candidate.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        asked, attention = self._attend(hidden, memory)
        found = self.norm(products.projection(asked))
        context = F.glu(products.context(torch.cat([found, hidden], -1)), -1).float()
        return XLanState(hidden, cell, context), attention

    def _attend(self, hidden: Tensor, memory: XLanMemory) -> tuple[Tensor, Tensor]:
        """The hidden state (N, D) and what each block finds, side by side, and where the last one looked (N, R).

        N is a multiple of the pictures in memory.
        """
        query = attention = _per_picture(hidden, memory.gates)
        weights = memory.weights.unsqueeze(1)
        found = [query]
        for i, block in enumerate(self._blocks()):
            query, attention = block(query, memory.keys_values[:, i], weights)
            found.append(query)
        return torch.cat(found, -1).flatten(0, 1), attention.flatten(0, 1)


def _forget_table(model: XLan, _: Any) -> None:
    model.symbol_table = None


def _per_picture(x: Tensor, memory: Tensor) -> Tensor:
    """Rows x (N, D) as (B, N / B, D), for the B rows of `memory`."""
    return x.reshape(memory.shape[0], -1, x.shape[-1])
