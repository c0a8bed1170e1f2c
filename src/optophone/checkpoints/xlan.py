"""Checkpoints of the public X-LAN (its `XLAN` model), in and out.

Ours joins what the original keeps apart: the projections of the same input (q with v1, k with v2), the weights of the
LSTM for context and hidden state, and its two biases, which only ever appear as their sum. It keeps apart what the
original joins: the halves of a linear layer over a global vector and a region. The bias of the spatial score shifts all
scores alike, the softmax does not see it, and ours has none.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.search import SearchConfig
from optophone.models.captioners.xlan import XLan, XLanConfig

WHAT = "X-LAN"

# The search that the published figures were made with: plain sums of log-probabilities, at most 17 symbols with the end
# counted, finished and unfinished sequences on equal terms. Start, end and padding are all id 0.
XLAN_SEARCH = SearchConfig(beam_size=3, max_length=17, length_penalty=0.0, finished="in_beam")

# The original's options: what we call them, what they must be, and what has no say in this model.
_DROPOUTS = {
    "DROPOUT_WORD_EMBED": "embedding_dropout",
    "DROPOUT_ATT_EMBED": "region_dropout",
    "DROPOUT_LM": "dropout",
    "BILINEAR.ENCODE_DROPOUT": "encoder_dropout",
    "BILINEAR.DECODE_DROPOUT": "decoder_dropout",
    "BILINEAR.ENCODE_ATT_MID_DROPOUT": "encoder_mid_dropout",
    "BILINEAR.DECODE_ATT_MID_DROPOUT": "decoder_mid_dropout",
    "BILINEAR.ENCODE_BIFEAT_EMB_DROPOUT": "mixing_dropout",
    "BILINEAR.ELU_ALPHA": "alpha",
}
_FIXED: dict[str, tuple[Any, ...]] = {
    "TYPE": ("XLAN",),
    "WORD_EMBED_ACT": ("CELU",),
    "WORD_EMBED_NORM": (False,),
    "GVFEAT_EMBED_DIM": (-1, 0),
    "ATT_FEATS_EMBED_ACT": ("CELU",),
    "ATT_FEATS_NORM": (False,),
    "BILINEAR.ACT": ("CELU",),
    "BILINEAR.TYPE": ("LowRank",),
    "BILINEAR.ATTTYPE": ("SCAtt",),
    "BILINEAR.ENCODE_BLOCK": ("LowRankBilinearEnc",),
    "BILINEAR.DECODE_BLOCK": ("LowRankBilinearDec",),
    "BILINEAR.BIFEAT_EMB_ACT": ("RELU",),
}
_WITHOUT_SAY = {
    *("SEQ_LEN", "GVFEAT_DIM", "GVFEAT_EMBED_ACT", "DROPOUT_GV_EMBED"),
    *("ATT_HIDDEN_SIZE", "ATT_HIDDEN_DROP", "ATT_ACT", "TRANSFORMER.PE_MAX_LEN"),
    *("BOTTOM_UP.DROPOUT_FIRST_INPUT", "BOTTOM_UP.DROPOUT_SEC_INPUT"),
    *("BILINEAR.ATT_DIM", "BILINEAR.ENCODE_FF_DROPOUT", "BILINEAR.DECODE_FF_DROPOUT"),
    "BILINEAR.DECODE_BIFEAT_EMB_DROPOUT",
}
# Where the original's projections and ours lie: ours are its two, one above the other.
_PROJECTIONS = {"query_value": ("in_proj_q", "in_proj_v1"), "key_value": ("in_proj_k", "in_proj_v2")}
_PARTS = {"linear.weight": "0.weight", "linear.bias": "0.bias", "weight": "2.weight", "bias": "2.bias"}
_COMPARISON = {
    "compare.weight": "attention_basic.0.weight",
    "compare.bias": "attention_basic.0.bias",
    "score.weight": "attention_last.weight",
    "channel.weight": "attention_last2.weight",
    "channel.bias": "attention_last2.bias",
}
_SAME = {
    "embedding.weight": "word_embed.0.weight",
    "encoder.embedding": "att_embed.0",
    "encoder.projection": "encoder_layers.proj",
    "encoder.norm": "encoder_layers.layer_norm",
    "projection": "attention.proj",
    "norm": "attention.layer_norm",
    "context": "att2ctx.0",
    "output": "logit",
}


def load_xlan(state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> XLan:
    """The captioner of an original checkpoint, in evaluation mode.

    Args:
        state_dict: the original's keys, with or without `module.`.
        config: the original's options as its `config.yml` has them (its `MODEL`, or the whole file), or None for the
            published ones. Sizes are read off the tensors and only checked against it.

    Raises:
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape.
        ConfigurationError: an unknown option, an activation that ours lacks, or a size that the tensors contradict.
    """
    weights = {name.removeprefix("module."): torch.as_tensor(tensor) for name, tensor in state_dict.items()}
    sizes = _sizes(weights)
    shapes = _shapes(sizes)
    unexpected = sorted(set(weights) - set(shapes))
    if unexpected:
        raise BundleError(f"{WHAT} checkpoint: unexpected {', '.join(unexpected)}.")
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            found = tuple(weights[name].shape)
            raise BundleError(f"{WHAT} checkpoint: {name} is {found}, the other tensors need {shape}.")
    model = XLan(_configuration(sizes, config or {}))
    model.load_state_dict(_ours(weights, sizes), strict=True)
    return model.eval()


def xlan_state_dict(model: XLan) -> dict[str, Tensor]:
    """Our captioner with the original's keys, so that the original can load it.

    Raises:
        ConfigurationError: the model uses an option that the original lacks.
    """
    config = model.config
    if config.tied_embeddings:
        raise ConfigurationError("tied_embeddings has no place in the original's checkpoint.")
    ours = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    theirs: dict[str, Tensor] = {}
    for mine, name in _same_tensors():
        theirs[name] = ours[mine]
    for mine, name in _attention_pairs(config):
        for projection, (first, second) in _PROJECTIONS.items():
            for part, original in _PARTS.items():
                halves = ours[f"{mine}.{projection}.{part}"].chunk(2)
                theirs[f"{name}.{first}.{original}"], theirs[f"{name}.{second}.{original}"] = halves
        for part, original in _COMPARISON.items():
            theirs[f"{name}.attn_net.{original}"] = ours[f"{mine}.{part}"]
        theirs[f"{name}.attn_net.attention_last.bias"] = torch.zeros(1)
    for i in range(config.n_encoder_blocks):
        mine, mixing = f"encoder.blocks.{i}.mixing", f"encoder_layers.bifeat_emb.{i}.0"
        joined = [ours[f"{mine}.from_global.weight"], ours[f"{mine}.from_region.weight"]]
        theirs[f"{mixing}.weight"], theirs[f"{mixing}.bias"] = torch.cat(joined, 1), ours[f"{mine}.from_global.bias"]
        for part in ("weight", "bias"):
            theirs[f"encoder_layers.layer_norms.{i}.{part}"] = ours[f"{mine}.norm.{part}"]
    context, hidden = ours["gates_from_state.weight"].chunk(2, 1)
    theirs["att_lstm.weight_ih"] = torch.cat([ours["gates_from_symbol.weight"], context], 1)
    theirs["att_lstm.weight_hh"], theirs["att_lstm.bias_ih"] = hidden, ours["gates_from_symbol.bias"]
    theirs["att_lstm.bias_hh"] = torch.zeros_like(theirs["att_lstm.bias_ih"])
    return {name: theirs[name].clone() for name in _shapes(config)}


def _same_tensors() -> Iterable[tuple[str, str]]:
    """(our name, the original's) of tensors that are the same."""
    for mine, name in _SAME.items():
        if mine.endswith(".weight"):
            yield mine, name
        else:
            yield from ((f"{mine}.{part}", f"{name}.{part}") for part in ("weight", "bias"))


def _attention_pairs(config: XLanConfig) -> Iterable[tuple[str, str]]:
    """(our name, the original's) of the attention of every block."""
    for i in range(config.n_encoder_blocks):
        yield f"encoder.blocks.{i}.attention", f"encoder_layers.layers.{i}.encoder_attn"
    for i in range(config.n_decoder_blocks):
        yield f"blocks.{i}", f"attention.layers.{i}.encoder_attn"


def _shapes(config: XLanConfig) -> dict[str, tuple[int, ...]]:
    """The original's tensors and their shapes."""
    dim, n_encoder, n_decoder = config.dim, config.n_encoder_blocks, config.n_decoder_blocks
    shapes: dict[str, tuple[int, ...]] = {
        "word_embed.0.weight": (config.n_symbols, dim),
        **_linear("att_embed.0", dim, config.region_dim),
        **_linear("logit", config.n_symbols, dim),
    }
    for i in range(n_encoder):
        shapes |= _attention_shapes(f"encoder_layers.layers.{i}.encoder_attn", config, config.encoder_mid_dim)
        shapes |= _linear(f"encoder_layers.bifeat_emb.{i}.0", dim, 2 * dim)
        shapes |= _norm(f"encoder_layers.layer_norms.{i}", dim)
    shapes |= _linear("encoder_layers.proj", dim, (n_encoder + 1) * dim)
    shapes |= _norm("encoder_layers.layer_norm", dim)
    shapes |= {"att_lstm.weight_ih": (4 * dim, 2 * dim), "att_lstm.weight_hh": (4 * dim, dim)}
    shapes |= {"att_lstm.bias_ih": (4 * dim,), "att_lstm.bias_hh": (4 * dim,)}
    for i in range(n_decoder):
        shapes |= _attention_shapes(f"attention.layers.{i}.encoder_attn", config, config.decoder_mid_dim)
    shapes |= _linear("attention.proj", dim, (n_decoder + 1) * dim)
    shapes |= _norm("attention.layer_norm", dim)
    return shapes | _linear("att2ctx.0", 2 * dim, 2 * dim)


def _linear(name: str, n_out: int, n_in: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _norm(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _attention_shapes(name: str, config: XLanConfig, mid_dim: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for projection in ("q", "k", "v1", "v2"):
        shapes |= _linear(f"{name}.in_proj_{projection}.0", config.dim, config.dim)
        shapes |= _norm(f"{name}.in_proj_{projection}.2", config.dim)
    shapes |= _linear(f"{name}.attn_net.attention_basic.0", mid_dim, config.dim // config.n_heads)
    shapes |= _linear(f"{name}.attn_net.attention_last", 1, mid_dim)
    return shapes | _linear(f"{name}.attn_net.attention_last2", config.dim // config.n_heads, mid_dim)


def _sizes(weights: Mapping[str, Tensor]) -> XLanConfig:
    """Sizes off the tensors.

    Raises:
        BundleError: a tensor that every such checkpoint has is missing, or has no two axes.
    """
    layers = [
        1 + max((int(match[1]) for match in map(pattern.match, weights) if match), default=-1)
        for pattern in (re.compile(r"encoder_layers\.layers\.(\d+)\."), re.compile(r"attention\.layers\.(\d+)\."))
    ]
    expected = _shapes(XLanConfig(n_symbols=1, n_encoder_blocks=layers[0], n_decoder_blocks=max(layers[1], 1)))
    missing = [name for name in expected if name not in weights]
    if missing:
        unexpected = sorted(set(weights) - set(expected))
        also = f"; unexpected {', '.join(unexpected)}" if unexpected else ""
        raise BundleError(f"{WHAT} checkpoint: missing {', '.join(missing)}{also}.")
    n_symbols, dim = _axes(weights, "word_embed.0.weight")
    head_dim, decoder_mid_dim = _axes(weights, "attention.layers.0.encoder_attn.attn_net.attention_last2.weight")
    encoder_mid_dim = decoder_mid_dim
    if layers[0]:
        name = "encoder_layers.layers.0.encoder_attn.attn_net.attention_last2.weight"
        encoder_mid_dim = _axes(weights, name)[1]
    if head_dim == 0 or dim % head_dim:
        raise BundleError(f"{WHAT} checkpoint: heads of {head_dim} features do not divide {dim}, the embedding's.")
    return XLanConfig(
        n_symbols=n_symbols,
        region_dim=_axes(weights, "att_embed.0.weight")[1],
        dim=dim,
        n_heads=dim // head_dim,
        n_encoder_blocks=layers[0],
        n_decoder_blocks=layers[1],
        encoder_mid_dim=encoder_mid_dim,
        decoder_mid_dim=decoder_mid_dim,
    )


def _axes(weights: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    if weights[name].ndim != 2:
        raise BundleError(f"{WHAT} checkpoint: {name} has {weights[name].ndim} axes, not 2.")
    n_out, n_in = weights[name].shape
    return n_out, n_in


def _configuration(sizes: XLanConfig, config: Mapping[str, Any]) -> XLanConfig:
    """`sizes` with dropouts and alpha of the original's options, whose sizes must agree."""
    whole = config.get("cfg", config)
    options = dict(_flat(whole.get("MODEL", whole)))
    head_dim = sizes.dim // sizes.n_heads
    known = {
        "VOCAB_SIZE": sizes.n_symbols - 1,
        "ATT_FEATS_DIM": sizes.region_dim,
        **dict.fromkeys(("WORD_EMBED_DIM", "ATT_FEATS_EMBED_DIM", "RNN_SIZE", "BILINEAR.DIM"), sizes.dim),
        "BILINEAR.HEAD": sizes.n_heads,
        "BILINEAR.ENCODE_LAYERS": sizes.n_encoder_blocks,
        "BILINEAR.DECODE_LAYERS": sizes.n_decoder_blocks,
        "BILINEAR.ENCODE_ATT_MID_DIM": [head_dim, sizes.encoder_mid_dim, head_dim],
        "BILINEAR.DECODE_ATT_MID_DIM": [head_dim, sizes.decoder_mid_dim, head_dim],
    }
    taken: dict[str, Any] = {}
    for name, value in options.items():
        if name in _DROPOUTS:
            taken[_DROPOUTS[name]] = float(value)
        elif name in _FIXED:
            if value not in _FIXED[name]:
                raise ConfigurationError(f"{WHAT}: {name} is {value!r}; only {_FIXED[name][0]!r} can be loaded.")
        elif name in known:
            plain = list(value) if isinstance(value, list | tuple) else value
            if plain != known[name]:
                raise ConfigurationError(f"{WHAT}: {name} is {value}, the checkpoint's tensors say {known[name]}.")
        elif name not in _WITHOUT_SAY:
            options_known = ", ".join(sorted({*known, *_DROPOUTS, *_FIXED}))
            raise ConfigurationError(f"{WHAT}: unknown option {name!r}; known: {options_known}.")
    return replace(sizes, **taken)


def _flat(options: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Options of options with a dot between their names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", option) for inner, option in value.items())
        else:
            yield name, value


def _ours(weights: Mapping[str, Tensor], config: XLanConfig) -> dict[str, Tensor]:
    """Our names and layout."""
    dim = config.dim
    ours = {mine: weights[name] for mine, name in _same_tensors()}
    for mine, name in _attention_pairs(config):
        for projection, both in _PROJECTIONS.items():
            for part, original in _PARTS.items():
                joined = torch.cat([weights[f"{name}.{one}.{original}"] for one in both])
                ours[f"{mine}.{projection}.{part}"] = joined
        for part, original in _COMPARISON.items():
            ours[f"{mine}.{part}"] = weights[f"{name}.attn_net.{original}"]
    for i in range(config.n_encoder_blocks):
        mixing = f"encoder.blocks.{i}.mixing"
        whole, region = weights[f"encoder_layers.bifeat_emb.{i}.0.weight"].split(dim, 1)
        ours[f"{mixing}.from_global.weight"], ours[f"{mixing}.from_region.weight"] = whole, region
        ours[f"{mixing}.from_global.bias"] = weights[f"encoder_layers.bifeat_emb.{i}.0.bias"]
        for part in ("weight", "bias"):
            ours[f"{mixing}.norm.{part}"] = weights[f"encoder_layers.layer_norms.{i}.{part}"]
    symbol, context = weights["att_lstm.weight_ih"].split(dim, 1)
    ours["gates_from_symbol.weight"] = symbol
    ours["gates_from_symbol.bias"] = weights["att_lstm.bias_ih"] + weights["att_lstm.bias_hh"]
    ours["gates_from_state.weight"] = torch.cat([context, weights["att_lstm.weight_hh"]], 1)
    return ours
