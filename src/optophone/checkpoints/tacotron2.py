"""Checkpoints of the public PyTorch Tacotron 2 (NVIDIA/tacotron2 and its descendants), in and out."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optophone.checkpoints.keys import check_keys
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config

WHAT = "Tacotron 2"
# Ours → the original's, as regular expressions.
RENAMED = {
    r"encoder\.embedding\.weight": r"embedding.weight",
    r"encoder\.convolutions\.(\d+)\.convolution\.(.+)": r"encoder.convolutions.\1.0.conv.\2",
    r"encoder\.convolutions\.(\d+)\.norm\.(.+)": r"encoder.convolutions.\1.1.\2",
    r"encoder\.lstm\.(.+)": r"encoder.lstm.\1",
    r"decoder\.prenet\.layers\.(\d+)\.weight": r"decoder.prenet.layers.\1.linear_layer.weight",
    r"decoder\.(attention_rnn|decoder_rnn)\.(.+)": r"decoder.\1.\2",
    r"decoder\.attention\.query\.weight": r"decoder.attention_layer.query_layer.linear_layer.weight",
    r"decoder\.attention\.memory\.weight": r"decoder.attention_layer.memory_layer.linear_layer.weight",
    r"decoder\.attention\.energy\.weight": r"decoder.attention_layer.v.linear_layer.weight",
    r"decoder\.attention\.location\.weight": r"decoder.attention_layer.location_layer.location_conv.conv.weight",
    r"decoder\.attention\.location_projection\.weight": (
        r"decoder.attention_layer.location_layer.location_dense.linear_layer.weight"
    ),
    r"decoder\.projection\.(.+)": r"decoder.linear_projection.linear_layer.\1",
    r"decoder\.stop\.(.+)": r"decoder.gate_layer.linear_layer.\1",
    r"refiner\.convolutions\.(\d+)\.convolution\.(.+)": r"postnet.convolutions.\1.0.conv.\2",
    r"refiner\.convolutions\.(\d+)\.norm\.(.+)": r"postnet.convolutions.\1.1.\2",
}
# The original's options → ours, for what tensors cannot tell.
OPTIONS = {
    "p_attention_dropout": "attention_dropout",
    "p_decoder_dropout": "decoder_dropout",
    "gate_threshold": "stop_threshold",
    "max_decoder_steps": "max_frames",
}
# The original's options that the tensors tell → ours.
SIZES = {
    "n_mel_channels": "n_mels",
    "n_symbols": "n_symbols",
    "symbols_embedding_dim": "embedding_dim",
    "encoder_kernel_size": "encoder_kernel_size",
    "encoder_n_convolutions": "encoder_convolutions",
    "encoder_embedding_dim": "encoder_dim",
    "n_frames_per_step": "reduction_factor",
    "decoder_rnn_dim": "decoder_rnn_dim",
    "attention_rnn_dim": "attention_rnn_dim",
    "attention_dim": "attention_dim",
    "attention_location_n_filters": "location_filters",
    "attention_location_kernel_size": "location_kernel_size",
    "postnet_embedding_dim": "postnet_dim",
    "postnet_kernel_size": "postnet_kernel_size",
    "postnet_n_convolutions": "postnet_convolutions",
}


def load_tacotron2(state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> Tacotron2:
    """The acoustic model of an original checkpoint, in evaluation mode.

    Args:
        state_dict: the original's keys, with or without `module.`.
        config: options under the original's names, possibly under `hparams`: dropouts, threshold and step limit are
            taken; sizes must agree with the tensors; options of its training and its audio are of no use here.

    Raises:
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape.
        ConfigurationError: a size that the tensors contradict.
    """
    weights = {name.removeprefix("module."): torch.as_tensor(tensor) for name, tensor in state_dict.items()}
    model = Tacotron2(_configuration(weights, config or {}))
    ours = model.state_dict()
    names = {name: original_name(name) for name in ours}
    check_keys(WHAT, weights, sorted(set(names.values())))
    for name, original in names.items():
        if weights[original].shape != ours[name].shape:
            found, wanted = tuple(weights[original].shape), tuple(ours[name].shape)
            raise BundleError(f"{WHAT} checkpoint: {original} is {found}, the rest needs {wanted}.")
    model.load_state_dict({name: weights[original] for name, original in names.items()}, strict=True)
    return model.eval()


def tacotron2_state_dict(model: Tacotron2) -> dict[str, Tensor]:
    """Our model with the original's keys, so that the original can load it.

    Raises:
        ConfigurationError: the model uses an option that the original lacks.
    """
    config = model.config
    if config.n_speakers or config.reduction_factor != 1 or config.embedding_dim != config.encoder_dim:
        raise ConfigurationError(
            "The original Tacotron 2 has one speaker, reduction_factor 1 and embedding_dim equal to encoder_dim."
        )
    return {original_name(name): tensor.detach().clone() for name, tensor in model.state_dict().items()}


def original_name(name: str) -> str:
    """The original's name of our parameter or buffer `name`."""
    for ours, original in RENAMED.items():
        match = re.fullmatch(ours, name)
        if match:
            return match.expand(original)
    raise AssertionError(f"no rule for {name}")


def _configuration(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> Tacotron2Config:
    """Sizes off the tensors, the rest from `config`, which may repeat the sizes but not contradict them."""
    sizes = _sizes(weights)
    options = config.get("hparams", config)
    for name, ours in SIZES.items():
        if name in options and options[name] != sizes[ours]:
            raise ConfigurationError(f"{WHAT}: {name} is {options[name]}, but the tensors have {sizes[ours]}.")
    prenet_dim = options.get("prenet_dim", sizes["prenet_dims"][0])
    if any(size != prenet_dim for size in sizes["prenet_dims"]):
        raise ConfigurationError(f"{WHAT}: prenet_dim is {prenet_dim}, but the tensors have {sizes['prenet_dims']}.")
    return Tacotron2Config(**sizes, **{ours: options[name] for name, ours in OPTIONS.items() if name in options})


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Every size of the configuration, read off the original's tensors."""

    def shape(name: str, n_axes: int) -> tuple[int, ...]:
        if name not in weights:
            raise BundleError(f"{WHAT} checkpoint: missing {name}.")
        if weights[name].ndim != n_axes:
            raise BundleError(f"{WHAT} checkpoint: {name} has {weights[name].ndim} axes, not {n_axes}.")
        return tuple(weights[name].shape)

    def count(pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in weights)

    attention = "decoder.attention_layer."
    n_symbols, embedding_dim = shape("embedding.weight", 2)
    n_prenet = max(1, count(r"decoder\.prenet\.layers\.\d+\.linear_layer\.weight"))
    prenet = [shape(f"decoder.prenet.layers.{i}.linear_layer.weight", 2) for i in range(n_prenet)]
    n_mels = prenet[0][1]
    attention_dim, attention_rnn_dim = shape(attention + "query_layer.linear_layer.weight", 2)
    location = shape(attention + "location_layer.location_conv.conv.weight", 3)
    postnet = shape("postnet.convolutions.0.0.conv.weight", 3)
    encoder = shape("encoder.convolutions.0.0.conv.weight", 3)
    return {
        "n_symbols": n_symbols,
        "n_mels": n_mels,
        "embedding_dim": embedding_dim,
        "encoder_dim": encoder[0],
        "encoder_convolutions": count(r"encoder\.convolutions\.\d+\.0\.conv\.weight"),
        "encoder_kernel_size": encoder[2],
        "attention_dim": attention_dim,
        "location_filters": location[0],
        "location_kernel_size": location[2],
        "attention_rnn_dim": attention_rnn_dim,
        "decoder_rnn_dim": shape("decoder.decoder_rnn.weight_hh", 2)[1],
        "prenet_dims": tuple(size for size, _ in prenet),
        "postnet_dim": postnet[0],
        "postnet_convolutions": count(r"postnet\.convolutions\.\d+\.0\.conv\.weight"),
        "postnet_kernel_size": postnet[2],
        "reduction_factor": shape("decoder.linear_projection.linear_layer.weight", 2)[0] // n_mels,
    }
