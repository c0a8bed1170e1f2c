"""A tiny parallel acoustic model whose weights do something, for tests."""

from pathlib import Path

import numpy as np
import torch

from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.export.parallel import TrainedParallel, export_parallel
from optophone.export.training_facts import TrainingFacts
from optophone.models.acoustic.parallel import ParallelAcoustic, ParallelConfig

SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=16, f_max=4000.0)
TINY_PARALLEL = ParallelConfig(
    n_symbols=12,
    dim=8,
    hidden_dim=12,
    n_symbol_layers=1,
    n_duration_layers=1,
    n_pitch_layers=1,
    n_frame_layers=2,
    symbol_kernel_size=3,
    frame_kernel_size=3,
)


def tiny_parallel(config: ParallelConfig = TINY_PARALLEL, seed: int = 1) -> ParallelAcoustic:
    """Random weights; symbols last about five frames."""
    torch.manual_seed(seed)
    model = ParallelAcoustic(config, SPEC).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
        model.duration.weight.mul_(0.3)
        model.duration.bias.fill_(1.8)
    return model


def write_parallel(folder: Path) -> Path:
    """Its bundle, in float32, over a few letters."""
    vocabulary = Vocabulary("characters", ("_", *"abcdefghi ."))
    trained = TrainedParallel(tiny_parallel(), vocabulary, SPEC, TrainingFacts("tiny", "tones", "0", "none"))
    export_parallel(trained, folder, "fp32", [np.array([1, 2, 3, 4, 11]), np.array([5, 6, 11])])
    return folder / "fp32"
