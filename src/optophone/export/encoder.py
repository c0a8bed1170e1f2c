"""A picture encoder as a bundle: its weights, for captioners that are imported or trained with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from optophone.core.bundle import Bundle, BundleWriter
from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import BundleError
from optophone.core.picture import PictureSpec
from optophone.export.import_facts import ImportFacts
from optophone.export.training_facts import ExportError
from optophone.models.encoders.resnet import ResNet, ResNetConfig

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder with its weights.

    Args:
        model: pictures (B, 3, H, W) → regions (B, R, D).
        picture: what pictures it is best at.
        facts: where it comes from.
    """

    model: ResNet
    picture: PictureSpec
    facts: ImportFacts


def export_encoder(trained: TrainedEncoder, folder: Path) -> None:
    """Write the bundle `folder`.

    Raises:
        ExportError: a weight is not finite.
    """
    state = {name: value.detach().contiguous() for name, value in trained.model.state_dict().items()}
    for name, value in state.items():
        if not value.isfinite().all():
            raise ExportError(f"{trained.facts.name}: {name} holds values that are not finite.")
    configuration = {
        "encoder": to_mapping(trained.model.config),
        trained.facts.section: trained.facts.to_mapping(),
    }
    with BundleWriter(
        folder,
        kind="encoder",
        cls="resnet",
        name=trained.facts.name,
        configuration=configuration,
        picture=trained.picture,
    ) as writer:
        save_file(state, writer.path(WEIGHTS))


def load_encoder(bundle: Bundle, grid: tuple[int, int] | None = None) -> ResNet:
    """The encoder of a bundle, in evaluation mode; `grid` is the rows and columns of regions, None as it was written.

    Raises:
        BundleError: of another kind or class, or its weights do not fit.
        ConfigurationError: a grid that is none.
    """
    manifest = bundle.manifest
    if manifest.kind != "encoder" or manifest.cls != "resnet":
        raise BundleError(f"{bundle.folder}: this is a {manifest.kind} ({manifest.cls}); a ResNet encoder is needed.")
    options: dict[str, Any] = dict(manifest.configuration.get("encoder", {}))
    if grid is not None:
        options["grid"] = list(grid)
    config = from_mapping(ResNetConfig, options, f"{bundle.folder}: configuration.encoder")
    with torch.device("meta"):  # shapes only; the weights take their place
        model = ResNet(config)
    try:
        model.load_state_dict(load_file(bundle.file(WEIGHTS)), strict=True, assign=True)
    except (SafetensorError, RuntimeError):
        raise BundleError(f"{bundle.folder}: {WEIGHTS} does not fit its configuration; import it again.") from None
    return model.requires_grad_(True).eval()
