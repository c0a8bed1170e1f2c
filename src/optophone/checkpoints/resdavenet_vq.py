"""Checkpoints of the public ResDAVEnet-VQ (wnhsu/ResDAVEnet-VQ), in and out.

The original writes its two halves into two files, whose names collide: `audio_model` and `image_model`. The half that
hears is enough. Its `batchnorm1` is stored but never used; ours has none, and writes one that does nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optophone.checkpoints.keys import check_keys, listed
from optophone.checkpoints.resnet import load_resnet
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.encoders.resnet import ResNet, ResNetConfig
from optophone.models.units.jitter import LATE
from optophone.models.units.quantizer import QuantizerConfig
from optophone.models.units.resdavenet import N_POSITIONS, ResDAVEnet, ResDAVEnetConfig
from optophone.models.units.resdavenet_vq import ResDAVEnetVQ, ResDAVEnetVQConfig

WHAT = "ResDAVEnet-VQ"
AUDIO, PICTURE = "audio_model.", "image_model."
EMBEDDER = ("embedder.weight", "embedder.bias")
# The layer that the original stores and does not use, as it is when it does nothing.
UNUSED = {
    "batchnorm1.weight": torch.ones(1),
    "batchnorm1.bias": torch.zeros(1),
    "batchnorm1.running_mean": torch.zeros(1),
    "batchnorm1.running_var": torch.ones(1),
    "batchnorm1.num_batches_tracked": torch.tensor(0),
}
_CODEBOOK = {"codes": "_embedding.weight", "sums": "_ema_w", "mass": "_ema_cluster_size"}
_CONVOLUTION = re.compile(r"(layer\d\.\d+\.conv[12]|layer\d\.\d+\.downsample\.0)\.weight")


def load_resdavenet_vq(state_dict: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> ResDAVEnetVQ:
    """Both halves of an original checkpoint, or the one that hears, in evaluation mode.

    Args:
        state_dict: the original's keys, with or without `module.`: those of its audio model alone, or of both models,
            each under `audio_model` and `image_model` (as mappings, or as beginnings of the keys).
        config: options of its class or of its command line, possibly under `ResDavenetVQ`: `commitment_cost`,
            `EMA_decay`, `jitter_p` and the like are taken, sizes must agree with the tensors, `margin` is that of the
            losses; options of its training are of no use here. Without `jitter_p` there is no jitter, as in its class;
            its command line trained the public checkpoints with .12.

    Raises:
        BundleError: a key is missing or unexpected, or a tensor has the wrong shape.
        ConfigurationError: a size that the tensors contradict.
    """
    audio, picture = _halves(state_dict)
    options = {**(config or {}), **(config or {}).get("ResDavenetVQ", {})}
    encoder = None if picture is None else _load_encoder(picture)
    model = ResDAVEnetVQ(
        ResDAVEnetVQConfig(
            _configuration(audio, options),
            None if encoder is None else encoder.config,
            float(options.get("margin", 1.0)),
        )
    )
    expected = {name: tensor.shape for name, tensor in _audio_state(model.audio).items()}
    _check(audio, {**expected, **{name: tensor.shape for name, tensor in UNUSED.items()}})
    names = {name: _original_name(name) for name in model.audio.state_dict()}
    ours = model.audio.state_dict()
    model.audio.load_state_dict({name: audio[names[name]].reshape(ours[name].shape) for name in ours}, strict=True)
    if model.picture is not None and encoder is not None and picture is not None:
        model.picture.encoder.load_state_dict(encoder.state_dict(), strict=True)
        weight, bias = (picture[name] for name in EMBEDDER)
        shape = (model.audio.n_features, encoder.config.n_features, 1, 1)
        _check({EMBEDDER[0]: weight, EMBEDDER[1]: bias}, {EMBEDDER[0]: shape, EMBEDDER[1]: shape[:1]})
        model.picture.embedder.load_state_dict({"weight": weight.flatten(1), "bias": bias})
    return model.eval()


def resdavenet_vq_state_dicts(model: ResDAVEnetVQ) -> dict[str, dict[str, Tensor]]:
    """Our model with the original's keys: `audio_model` and, where the model sees, `image_model`.

    Raises:
        ConfigurationError: the half that sees is no residual network as the original has it.
    """
    states = {"audio_model": {**{name: tensor.clone() for name, tensor in UNUSED.items()}, **_audio_state(model.audio)}}
    if model.picture is not None:
        config = model.config.picture
        if not isinstance(config, ResNetConfig) or config.grid is not None:
            raise ConfigurationError("The original ResDAVEnet-VQ sees through a residual network (depth: 50) alone.")
        encoder = {name: tensor.detach().clone() for name, tensor in model.picture.encoder.state_dict().items()}
        weight, bias = (tensor.detach().clone() for tensor in model.picture.embedder.state_dict().values())
        states["image_model"] = {**encoder, EMBEDDER[0]: weight[:, :, None, None], EMBEDDER[1]: bias}
    return states


def _audio_state(model: ResDAVEnet) -> dict[str, Tensor]:
    """The half that hears under the original's names and shapes, which have four axes for convolutions."""
    state = {}
    for name, tensor in model.state_dict().items():
        original = _original_name(name)
        tensor = tensor.detach().clone()
        if original == "conv1.weight":
            tensor = tensor[:, None]
        elif _CONVOLUTION.fullmatch(original):
            tensor = tensor[:, :, None]
        state[original] = tensor
    return state


def _original_name(name: str) -> str:
    """The original's name of a parameter or buffer of `ResDAVEnet`."""
    match = re.fullmatch(r"stages\.(\d)\.(.+)", name)
    if match:
        return f"layer{int(match[1]) + 1}.{match[2]}"
    match = re.fullmatch(r"quantizers\.(\d)\.(\w+)", name)
    if match:
        return f"quant{match[1]}.{_CODEBOOK[match[2]]}"
    return name


def _halves(state_dict: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Weights of the audio model, and of the image model where there is one, without `module.`."""
    flat: dict[str, Any] = {}
    for name, value in state_dict.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": tensor for inner, tensor in value.items()})
        else:
            flat[name] = value
    flat = {name.removeprefix("module."): torch.as_tensor(tensor) for name, tensor in flat.items()}
    if not any(name.startswith((AUDIO, PICTURE)) for name in flat):
        if EMBEDDER[0] in flat:
            raise BundleError(f"{WHAT} checkpoint: this is its image model; give its audio model too, as audio_model.")
        return flat, None
    stray = sorted(name for name in flat if not name.startswith((AUDIO, PICTURE)))
    if stray:
        raise BundleError(f"{WHAT} checkpoint: unexpected {listed(stray)} beside audio_model and image_model.")

    def part(prefix: str) -> dict[str, Tensor]:
        names = {name: name.removeprefix(prefix).removeprefix("module.") for name in flat if name.startswith(prefix)}
        return {inner: flat[name] for name, inner in names.items()}

    return part(AUDIO), part(PICTURE) or None


def _load_encoder(picture: Mapping[str, Tensor]) -> ResNet:
    """The image model without its last convolution."""
    missing = [name for name in EMBEDDER if name not in picture]
    if missing:
        raise BundleError(f"{WHAT} checkpoint: missing {listed([PICTURE + name for name in missing])}.")
    try:
        return load_resnet({name: tensor for name, tensor in picture.items() if name not in EMBEDDER})
    except BundleError as error:
        raise BundleError(f"{WHAT} checkpoint, image model: {error}") from None


def _check(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse keys and shapes other than `shapes`, by name."""
    check_keys(WHAT, weights, sorted(shapes))
    for name, shape in shapes.items():
        # A scalar counter is as good as an array of one.
        found = tuple(weights[name].shape)
        if found != tuple(shape) and not (tuple(shape) == () and found == (1,)):
            raise BundleError(f"{WHAT} checkpoint: {name} is {found}, the other tensors need {tuple(shape)}.")


def _configuration(weights: Mapping[str, Tensor], options: Mapping[str, Any]) -> ResDAVEnetConfig:
    """Sizes off the tensors, the rest from `options`, which may repeat sizes but not contradict them."""
    stem, kernel = _shape(weights, "conv1.weight", 4), _shape(weights, "layer1.0.conv1.weight", 4)
    blocks = tuple(_n_blocks(weights, stage) for stage in range(1, N_POSITIONS))
    widths = (stem[0], *(_shape(weights, f"layer{stage}.0.conv1.weight", 4)[0] for stage in range(1, N_POSITIONS)))
    found = {int(name[5]) for name in weights if re.fullmatch(r"quant[1-5]\..+", name)}
    quantizers = tuple(sorted(found))
    n_codes = tuple(_shape(weights, f"quant{position}._embedding.weight", 2)[0] for position in quantizers)
    if min(stem + kernel + widths + n_codes) < 1 or kernel[3] % 2 == 0:
        raise BundleError(f"{WHAT} checkpoint: layer1.0.conv1.weight is {kernel}; its width must be an odd number.")
    _agree(options, {"feat_dim": stem[2], "convsize": kernel[3]})
    _agree_lists(options, ("layers", "layer_depths"), blocks)
    _agree_lists(options, ("layer_widths",), widths)
    _agree_lists(options, ("vqs_enabled", "VQ_turnon"), tuple(int(i in found) for i in range(1, N_POSITIONS + 1)))
    _agree_codes(options, dict(zip(quantizers, n_codes, strict=True)))
    return ResDAVEnetConfig(
        n_mels=stem[2],
        blocks=blocks,  # type: ignore[arg-type]  # four
        widths=widths,  # type: ignore[arg-type]  # five
        kernel_size=kernel[3],
        quantizers=quantizers,
        n_codes=n_codes,
        quantizer=QuantizerConfig(
            decay=float(options.get("EMA_decay", 0.99)),
            commitment=float(options.get("commitment_cost", options.get("VQ_commitment_cost", 1.0))),
            initial_mass=float(options.get("init_ema_mass", 1.0)),
            initial_std=float(options.get("init_std", 1.0)),
            non_negative=bool(options.get("nonneg_init", False)),
        ),
        jitter=float(options.get("jitter_p", options.get("jitter", 0.0))),
        jitter_offsets=LATE,
    )


def _n_blocks(weights: Mapping[str, Tensor], stage: int) -> int:
    """One more than the highest number in the names; gaps are found as missing keys."""
    matches = [re.fullmatch(rf"layer{stage}\.(\d{{1,3}})\..+", name) for name in weights]
    return max((int(match[1]) + 1 for match in matches if match), default=1)


def _shape(weights: Mapping[str, Tensor], name: str, n_axes: int) -> tuple[int, ...]:
    if name not in weights:
        raise BundleError(f"{WHAT} checkpoint: missing {name}.")
    if weights[name].ndim != n_axes:
        raise BundleError(f"{WHAT} checkpoint: {name} has {weights[name].ndim} axes, not {n_axes}.")
    return tuple(weights[name].shape)


def _agree(options: Mapping[str, Any], sizes: Mapping[str, Any]) -> None:
    for name, size in sizes.items():
        if name in options and options[name] != size:
            raise ConfigurationError(f"{WHAT}: {name} is {options[name]}, the checkpoint's tensors say {size}.")


def _agree_lists(options: Mapping[str, Any], names: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    """The command line gives lists as text, "0,1,1,0,0"; the class as lists."""
    for name in names:
        if name in options and _numbers(options[name]) != list(sizes):
            raise ConfigurationError(f"{WHAT}: {name} is {options[name]}, the checkpoint's tensors say {list(sizes)}.")


def _agree_codes(options: Mapping[str, Any], n_codes: Mapping[int, int]) -> None:
    """Sizes of codebooks that are switched off are listed too, and mean nothing."""
    for name in ("codebook_Ks", "VQ_sizes"):
        if name in options:
            listed = _numbers(options[name])
            if len(listed) != N_POSITIONS or any(listed[position - 1] != n for position, n in n_codes.items()):
                raise ConfigurationError(
                    f"{WHAT}: {name} is {options[name]}, the checkpoint's tensors say "
                    f"{', '.join(f'{n} at {position}' for position, n in n_codes.items())}."
                )


def _numbers(value: Any) -> list[int]:
    return [int(item) for item in (value.split(",") if isinstance(value, str) else value)]
