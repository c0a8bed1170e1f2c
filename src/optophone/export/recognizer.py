"""A recogniser as a bundle: one graph from mel to letters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.ctc_search import CtcSearchConfig
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, log_mel
from optophone.core.vocabulary import Vocabulary
from optophone.export.differences import largest_difference, worse
from optophone.export.onnx_graph import export_graph
from optophone.export.training_facts import ExportError, TrainingFacts
from optophone.models.recognizers.ctc import CtcRecognizer
from optophone.runtime.onnx_recognizer import LOG_PROBS, MEL, RECOGNIZER_GRAPH, OnnxRecognizer

LARGEST_DIFFERENCE = 1e-3
_TRACED_FRAMES = 64


@dataclass(frozen=True)
class TrainedRecognizer:
    """A recogniser at the end of its training.

    Args:
        model: the network.
        vocabulary: of the letters.
        mel: layout of the frames it reads.
        facts: where it comes from.
        search: how known words are found.
    """

    model: CtcRecognizer
    vocabulary: Vocabulary
    mel: MelSpec
    facts: TrainingFacts
    search: CtcSearchConfig = field(default_factory=CtcSearchConfig)

    def __post_init__(self) -> None:
        sizes = self.model.config
        if (self.mel.n_mels, len(self.vocabulary)) != (sizes.n_mels, sizes.n_symbols):
            raise ConfigurationError(f"{self.facts.name}: mel or letters are not those of its network; train it again.")


class RecognizerGraph(nn.Module):
    """One utterance, nothing padded."""

    def __init__(self, model: CtcRecognizer) -> None:
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor) -> Tensor:
        """(1, M, T) → (1, V, T')."""
        return self.model(mel).log_probs


def export_recognizer(trained: TrainedRecognizer, folder: Path, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """Write the bundle `folder / "fp32"` and check it through the runtime. It judges others, so it is not rounded.

    Args:
        trained: what to export.
        folder: a scratch folder.
        examples: waves (N,) at the mel's sample rate, on which the letters' probabilities are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: the graph's probabilities differ from the model's.
    """
    facts = trained.facts
    with BundleWriter(
        folder / "fp32",
        kind="recognizer",
        cls="ctc",
        name=facts.name,
        configuration={"search": to_mapping(trained.search), facts.section: facts.to_mapping()},
        vocabulary=trained.vocabulary,
        mel=trained.mel,
        data_manifest_hash=facts.data_hash,
    ) as writer:
        axes = {MEL: {2: "frames"}, LOG_PROBS: {2: "heard"}}
        example = torch.zeros(1, trained.mel.n_mels, _TRACED_FRAMES)
        graph = RecognizerGraph(trained.model.eval())
        export_graph(graph, writer.path(RECOGNIZER_GRAPH), {MEL: example}, [LOG_PROBS], axes)
    difference = compare(trained, folder / "fp32", examples)
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{facts.name}: the graph's letters differ from the model's by {difference:.2g}.")
    return {"precision": "fp32", "difference_from_torch": difference, "n_compared": len(examples)}


@torch.no_grad()
def compare(trained: TrainedRecognizer, bundle: Path, examples: Sequence[np.ndarray]) -> float:
    """The largest difference of log-probabilities between graph and model."""
    recognizer, worst = OnnxRecognizer(open_bundle(bundle)), 0.0
    for wave in examples:
        expected = trained.model(torch.from_numpy(log_mel(wave, trained.mel))[None]).log_probs[0]
        found = recognizer.log_probs(wave, trained.mel.sample_rate)
        worst = worse(worst, largest_difference([found], [expected]))
    return worst
