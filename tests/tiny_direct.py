"""Configurations of kind "direct" that train on tiny data, three steps each, and tiny members of the family."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.search import SearchConfig
from optophone.core.unit_origin import UnitOrigin
from optophone.core.vocabulary import build_units
from optophone.data.unit_column import UnitColumn
from optophone.data.unit_symbols import UnitSymbols
from optophone.export.direct import TrainedDirect
from optophone.models.direct import Ends
from optophone.models.direct.build import DirectConfig, build_direct
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.training.joint_objective import JointLossConfig, JointObjective
from tiny_datasets import MEL, captioner_experiment
from tiny_models import FACTS

N_UNITS, REGION_DIM, GRID = 9, 6, (2, 3)
SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=16, f_max=4000.0)
ENDS = Ends(REGION_DIM, GRID, SPEC, build_units(N_UNITS))
CAPTIONER = {"dim": 16, "n_heads": 2, "n_layers": 1, "n_encoder_layers": 1, "feed_forward_dim": 24, "dropout": 0.0}
LAYERS = {"n_symbol_layers": 1, "n_duration_layers": 1, "n_frame_layers": 1, "dropout": 0.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "joint": {
        "captioner": {"name": "transformer", "options": {**CAPTIONER, "max_length": 64}},
        "voice": {"prosody": False, "dim": 8, "hidden_dim": 12, **LAYERS},
    },
    "show-and-speak": {
        "memory_dim": 8,
        "attention_dim": 6,
        "location_filters": 2,
        "attention_rnn_dim": 10,
        "decoder_rnn_dim": 10,
        "prenet_dims": [6, 6],
        "postnet_dim": 6,
        "postnet_convolutions": 2,
        "reduction_factor": 2,
        "max_frames": 24,
    },
    "transformer": {
        "frames_per_step": 3,
        "n_levels": 3,
        "n_codes": 8,
        **CAPTIONER,
        "max_length": 40,
        "level_dim": 12,
        "refiner_dim": 8,
        "refiner_hidden_dim": 12,
    },
}


def direct_experiment(member: str, pictures: Path, speech: Path, units: Path | None = None) -> dict[str, Any]:
    """A configuration of kind "direct" on `write_spoken_captions`; with `units` for the member "joint"."""
    base = captioner_experiment(pictures)
    return {
        "kind": "direct",
        "name": f"tiny-{member}",
        "data": {
            "pictures": str(pictures),
            "speech": str(speech),
            **({"units": str(units)} if member == "joint" else {}),
            "batch_size": 4,
            "captions_per_picture": 2,
            "size": 16,
            "mel": {name: getattr(MEL, name) for name in MEL.__dataclass_fields__},
        },
        "model": {"name": member, "options": OPTIONS[member]},
        "codes": {"n_steps": 3, "n_passes": 1},
        "encoder": base["encoder"],
        "search": {"beam_size": 2, "max_length": 20},
        "optimizer": {"learning_rate": 1e-3},
        "trainer": base["trainer"],
    }


def joint_objective(loss: JointLossConfig) -> JointObjective:
    """The objective of the joint model over the units of `ENDS`; only their vocabulary matters."""
    column = UnitColumn(None, ENDS.vocabulary, "lossless", 0.02)  # type: ignore[arg-type]
    return JointObjective(loss, SearchConfig(beam_size=2, max_length=20), UnitSymbols(column))


def tiny_direct(member: str, size: int = 16) -> TrainedDirect:
    """A direct model with random weights that do something: it ends by itself, and no two pictures sound alike."""
    torch.manual_seed(7)
    encoder = ResidualGridConfig(widths=(4, REGION_DIM), depths=(1, 1))
    model = build_direct(encoder, DirectConfig(member, OPTIONS[member]), SPEC, size, ENDS.vocabulary)
    speaker: Any = model.speaker
    with torch.no_grad():
        for name, parameter in speaker.named_parameters():
            if parameter.ndim > 1 and not name.startswith("captioner."):
                parameter.normal_(std=0.5)
        for _ in range(10):
            model.train().encoder(torch.randn(8, 3, size, size))
        if member == "joint":
            speaker.voice.duration.bias.fill_(1.6)
        if member == "show-and-speak":
            speaker.decoder.stop.bias.fill_(-12.0)
        if member == "transformer":
            speaker.codes.set_centres(np.random.default_rng(0).normal(-5, 2, speaker.codes.centres.shape))
            speaker.trunk.output.bias[speaker.end] = 1.0
    vocabulary, origin = None, None
    if member == "joint":
        vocabulary, origin = ENDS.vocabulary, UnitOrigin("tiny-units", "0" * 64, None, 0.02, "collapsed")
    search = SearchConfig(beam_size=2, max_length=8)
    picture = PictureSpec(size, size)
    return TrainedDirect(model.eval(), member, picture, SPEC, search, FACTS, vocabulary, origin)
