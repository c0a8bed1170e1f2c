"""Checkpoints of the PyTorch reading of Show, Attend and Tell (its `DecoderWithAttention`), in and out.

Ours joins what the original keeps apart: all linear maps of the previous hidden state, both initial states, and the two
biases of the LSTM, which only ever appear as their sum. The bias of the attention's score shifts all scores alike, the
softmax does not see it, and ours has none.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optophone.checkpoints.keys import check_keys
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig

WHAT = "Show-Attend-and-Tell"
DEFAULT_DROPOUT = 0.5


def _shapes(config: ShowAttendTellConfig) -> dict[str, tuple[int, ...]]:
    """The original's tensors and their shapes."""
    attention, embedding, regions = config.attention_dim, config.embedding_dim, config.region_dim
    hidden, gates = config.hidden_dim, 4 * config.hidden_dim
    return {
        "attention.encoder_att.weight": (attention, regions),
        "attention.encoder_att.bias": (attention,),
        "attention.decoder_att.weight": (attention, hidden),
        "attention.decoder_att.bias": (attention,),
        "attention.full_att.weight": (1, attention),
        "attention.full_att.bias": (1,),
        "embedding.weight": (config.n_symbols, embedding),
        "decode_step.weight_ih": (gates, embedding + regions),
        "decode_step.weight_hh": (gates, hidden),
        "decode_step.bias_ih": (gates,),
        "decode_step.bias_hh": (gates,),
        "init_h.weight": (hidden, regions),
        "init_h.bias": (hidden,),
        "init_c.weight": (hidden, regions),
        "init_c.bias": (hidden,),
        "f_beta.weight": (regions, hidden),
        "f_beta.bias": (regions,),
        "fc.weight": (config.n_symbols, hidden),
        "fc.bias": (config.n_symbols,),
    }


def load_sat(state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> ShowAttendTell:
    """The decoder of an original checkpoint, in evaluation mode.

    Args:
        state_dict: the original's keys, with or without `module.`.
        config: the original's options (`dropout`, and sizes that must agree with the tensors), possibly under
            `DecoderWithAttention`; None for its defaults.

    Raises:
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape.
        ConfigurationError: an unknown option, or a size that the tensors contradict.
    """
    weights = {name.removeprefix("module."): torch.as_tensor(tensor) for name, tensor in state_dict.items()}
    names = _shapes(ShowAttendTellConfig(n_symbols=1))
    check_keys(WHAT, weights, names)
    model = ShowAttendTell(_configuration(weights, config or {}))
    for name, shape in _shapes(model.config).items():
        if weights[name].shape != shape:
            found = tuple(weights[name].shape)
            raise BundleError(f"{WHAT} checkpoint: {name} is {found}, the other tensors need {shape}.")
    model.load_state_dict(_ours(weights), strict=True)
    return model.eval()


def sat_state_dict(model: ShowAttendTell) -> dict[str, Tensor]:
    """Our decoder with the original's keys, so that the original can load it.

    Raises:
        ConfigurationError: the model uses an option that the original lacks.
    """
    config = model.config
    if config.deep_output or config.tied_embeddings:
        raise ConfigurationError("deep_output and tied_embeddings have no place in the original's checkpoint.")
    ours = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    parts = (config.attention_dim, config.region_dim, 4 * config.hidden_dim)
    query, gate, gates = ours["from_hidden.weight"].split(parts)
    query_bias, gate_bias, gates_bias = ours["from_hidden.bias"].split(parts)
    first, first_cell = ours["initial_state.weight"].chunk(2)
    first_bias, first_cell_bias = ours["initial_state.bias"].chunk(2)
    inputs = torch.cat([ours["gates_from_symbol.weight"], ours["gates_from_context.weight"]], 1)
    tensors = (
        *(ours["region_keys.weight"], ours["region_keys.bias"], query, query_bias),
        *(ours["score.weight"], gates_bias.new_zeros(1), ours["embedding.weight"]),
        *(inputs, gates, gates_bias, torch.zeros_like(gates_bias)),
        *(first, first_bias, first_cell, first_cell_bias),
        *(gate, gate_bias, ours["output.weight"], ours["output.bias"]),
    )
    return {name: tensor.clone() for name, tensor in zip(_shapes(config), tensors, strict=True)}


def _configuration(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> ShowAttendTellConfig:
    """Sizes off the tensors; `config` is checked against them and gives the dropout."""
    options = dict(config.get("DecoderWithAttention", config))
    dropout = options.pop("dropout", DEFAULT_DROPOUT)
    for name in ("embedding.weight", "attention.encoder_att.weight", "decode_step.weight_hh"):
        if weights[name].ndim != 2:
            raise BundleError(f"{WHAT} checkpoint: {name} has {weights[name].ndim} axes, not 2.")
    vocab_size, embed_dim = weights["embedding.weight"].shape
    attention_dim, encoder_dim = weights["attention.encoder_att.weight"].shape
    sizes = {
        "attention_dim": attention_dim,
        "embed_dim": embed_dim,
        "decoder_dim": weights["decode_step.weight_hh"].shape[1],
        "vocab_size": vocab_size,
        "encoder_dim": encoder_dim,
    }
    for name, value in options.items():
        if name not in sizes:
            raise ConfigurationError(f"{WHAT}: unknown option {name!r}; known: {', '.join(sizes)}, dropout.")
        if value != sizes[name]:
            raise ConfigurationError(f"{WHAT}: {name} is {value}, the checkpoint's tensors say {sizes[name]}.")
    return ShowAttendTellConfig(
        n_symbols=vocab_size,
        region_dim=encoder_dim,
        embedding_dim=embed_dim,
        attention_dim=attention_dim,
        hidden_dim=sizes["decoder_dim"],
        dropout=float(dropout),
    )


def _ours(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names and layout."""
    from_hidden = ("attention.decoder_att", "f_beta")
    embed_dim = weights["embedding.weight"].shape[1]
    inputs = weights["decode_step.weight_ih"]
    gates_bias = weights["decode_step.bias_ih"] + weights["decode_step.bias_hh"]
    return {
        "embedding.weight": weights["embedding.weight"],
        "region_keys.weight": weights["attention.encoder_att.weight"],
        "region_keys.bias": weights["attention.encoder_att.bias"],
        "score.weight": weights["attention.full_att.weight"],
        "initial_state.weight": torch.cat([weights["init_h.weight"], weights["init_c.weight"]]),
        "initial_state.bias": torch.cat([weights["init_h.bias"], weights["init_c.bias"]]),
        "from_hidden.weight": torch.cat(
            [*(weights[f"{name}.weight"] for name in from_hidden), weights["decode_step.weight_hh"]]
        ),
        "from_hidden.bias": torch.cat([*(weights[f"{name}.bias"] for name in from_hidden), gates_bias]),
        "gates_from_symbol.weight": inputs[:, :embed_dim].contiguous(),
        "gates_from_context.weight": inputs[:, embed_dim:].contiguous(),
        "output.weight": weights["fc.weight"],
        "output.bias": weights["fc.bias"],
    }
