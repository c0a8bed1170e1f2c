"""The networks of a bundle in eager PyTorch, doing the work that the bundle does."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.picture import load_picture, prepare_picture
from optophone.core.search import SearchConfig, search
from optophone.models.acoustic.parallel import ParallelAcoustic, ParallelConfig, frames_of
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config
from optophone.models.captioners.build import DecoderConfig, build_captioner
from optophone.models.captioners.captioner import Captioner
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.pipelines import TokenPipeline
from optophone.runtime.load import open_part, open_system
from optophone.runtime.onnx_parallel import OnnxParallel

WEIGHTS = "model.safetensors"
CONFIGS = Path(__file__).resolve().parents[1] / "configs"


class TorchBaseline:
    """Captioner and acoustic model of a system bundle as PyTorch modules.

    Args:
        model: folder or name of a system bundle.
        threads: for PyTorch.

    Raises:
        ValueError: the configuration of a part does not say how to build it.
    """

    def __init__(self, model: str | None, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        system = open_system(model)
        captioner, acoustic = open_part(system, "captioner"), open_part(system, "acoustic")
        self.captioner = build_torch_captioner(captioner).eval()
        self.acoustic = build_torch_acoustic(acoustic).eval()
        self.has_weights = all(
            load_weights(module, bundle) for module, bundle in ((self.captioner, captioner), (self.acoustic, acoustic))
        )
        self.weights = "trained weights" if self.has_weights else "random weights in networks of the same configuration"

    def prepare(self, describe: TokenPipeline, photo: Path) -> "Work":
        """What the runtime does for `photo`, to be done again."""
        description = describe.caption(photo)[0]
        utterances = describe.utterances(description)
        lasting = [frames_per_symbol(describe.voice.acoustic, ids) for ids in utterances]
        n_symbols = len(description.ids)
        config = dataclasses.replace(describe.search, n_results=1)
        if not self.has_weights:  # random networks find no end by themselves
            config = dataclasses.replace(config, min_length=n_symbols, max_length=n_symbols + 1)
        spoken = (
            sum(int(one.sum()) for one in lasting) * describe.voice.acoustic.mel_spec.hop_length / describe.sample_rate
        )
        return Work(self, describe, photo, config, utterances, lasting, round(spoken, 3))


@dataclass
class Work:
    """One photo: the search over the captioner, then as many frames of the voice, then the same vocoder.

    `lasting` are the frames of each symbol of an utterance where the voice says them at once; else of the whole.
    """

    baseline: TorchBaseline
    pipeline: TokenPipeline
    photo: Path
    search: SearchConfig
    utterances: list[np.ndarray]
    lasting: list[np.ndarray]
    duration_s: float

    @torch.inference_mode()
    def describe(self) -> None:
        """Photo to words."""
        captioner: Any = self.pipeline.describer.captioner
        model: Captioner = self.baseline.captioner
        picture = load_picture(self.photo, at_least=self.pipeline.describer.at_least)
        memory, state = model.begin(torch.from_numpy(prepare_picture(picture, captioner.picture_spec))[None])
        n_memory = len(memory)

        def step(ids: np.ndarray, rows: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray, tuple[Tensor, ...]]:
            log_probs, attention, after = model.step(torch.from_numpy(ids), rows[:n_memory], rows[n_memory:])
            return log_probs.numpy(), attention.numpy(), (*rows[:n_memory], *after)

        search(step, (*memory, *state), captioner.start, captioner.end, self.search, 1, n_memory)

    @torch.inference_mode()
    def speak(self) -> None:
        """Photo to the whole wave."""
        self.describe()
        for ids, lasting in zip(self.utterances, self.lasting, strict=True):
            self.pipeline.voice.vocoder.wave(self.mel(torch.from_numpy(ids), lasting).numpy())

    def mel(self, ids: Tensor, lasting: np.ndarray) -> Tensor:
        """The mel (M, T) of `ids` (S,)."""
        model = self.baseline.acoustic
        if isinstance(model, ParallelAcoustic):
            encoded, _ = model.encode(ids[None], None)
            return model.speak(model.lay_out(encoded, frames_of([lasting])))[0]
        return model.infer(ids[None], max_frames=int(lasting.sum()), stop_threshold=1.0).mel_after[0]


def frames_per_symbol(acoustic: Any, ids: np.ndarray) -> np.ndarray:
    """Frames of each of `ids` (S,) in the runtime's voice; of all together (1,) in one with attention."""
    if isinstance(acoustic, OnnxParallel):
        return acoustic.lay_out(ids)[1]
    return np.array([acoustic.mel(ids).mel.shape[1]])


def network_options(bundle: Bundle) -> Mapping[str, Any]:
    """How the network of a part is built: from the bundle's configuration, else from the training configuration.

    Raises:
        ValueError: neither says so.
    """
    needed = {"encoder", "decoder"} if bundle.manifest.kind == "captioner" else {"model"}
    if needed <= set(bundle.manifest.configuration):
        return bundle.manifest.configuration
    for path in sorted(CONFIGS.rglob("*.yaml")):
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
        if options.get("name") == bundle.manifest.name and needed <= set(options):
            return options
    raise ValueError(f"neither the bundle nor configs/ says how the network of {bundle.manifest.name} is built")


def build_torch_captioner(bundle: Bundle) -> Captioner:
    """The captioner of a bundle with random weights."""
    options = network_options(bundle)
    encoder = from_mapping(ResidualGridConfig, options["encoder"], "encoder")
    decoder = from_mapping(DecoderConfig, options["decoder"], "decoder")
    assert bundle.manifest.picture is not None
    return build_captioner(encoder, decoder, len(bundle.vocabulary()), bundle.manifest.picture.height)


def build_torch_acoustic(bundle: Bundle) -> Tacotron2 | ParallelAcoustic:
    """The acoustic model of a bundle with random weights."""
    options = {**network_options(bundle)["model"], "n_symbols": len(bundle.vocabulary())}
    if bundle.manifest.cls == "parallel":
        return ParallelAcoustic(from_mapping(ParallelConfig, options, "model"), bundle.mel_spec())
    return Tacotron2(from_mapping(Tacotron2Config, options, "model"))


def load_weights(module: nn.Module, bundle: Bundle) -> bool:
    """Load the weights of a bundle, if it has any; whether it had."""
    if WEIGHTS not in bundle.manifest.files:
        return False
    module.load_state_dict(load_file(bundle.file(WEIGHTS)))
    return True
