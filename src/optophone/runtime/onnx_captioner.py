"""A captioner from a bundle, run by ONNX Runtime: an encoder graph once, then a step graph per symbol."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.confidence import ConfidenceConfig, confidence_of_scores
from optophone.core.configuration import from_mapping
from optophone.core.errors import BundleError
from optophone.core.picture import PictureSpec, prepare_picture
from optophone.core.protocols import Caption
from optophone.core.regions import RegionSpec, pad_regions
from optophone.core.search import Hypothesis, SearchConfig
from optophone.core.search import search as search_captions
from optophone.runtime.mean_picture import read_mean_picture, required
from optophone.runtime.session import Graph, SessionConfig, numbered, step_threads


def confidence_of(hypothesis: Hypothesis, config: ConfidenceConfig | None) -> float:
    """0..1 for a hypothesis: see `confidence_of_scores`."""
    return confidence_of_scores(hypothesis.token_log_probs, config)


class OnnxCaptioner:
    """Picture, or region features, → symbols (a `Captioner`).

    Args:
        bundle: an opened bundle of kind "captioner" with `encoder.onnx`, `step.onnx` and a vocabulary. Of its
            configuration these keys are read: `search` (a `SearchConfig`), `confidence` (a `ConfidenceConfig`), and
            `regions` (a `RegionSpec`) where the manifest has no picture specification: its encoder graph then takes
            `regions` (B, R, D) and `regions_mask` (B, R) instead of `picture` (B, 3, H, W). For guidance it needs a
            `MeanPicture`.
        threads: for the encoder, and for a large step graph (`step_threads`).

    Raises:
        BundleError: a graph, the vocabulary or what it takes is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.name = manifest.name
        self.vocabulary = bundle.vocabulary()
        self.start, self.end = self.vocabulary.start, self.vocabulary.end
        if self.start is None or self.end is None:
            raise BundleError(f"{bundle.folder}: a captioner's vocabulary needs a start and an end symbol.")
        configuration = manifest.configuration
        self.takes = manifest.picture or _optional(RegionSpec, configuration, "regions", bundle)
        if self.takes is None:
            raise BundleError(f"{bundle.folder}: the captioner's manifest has no picture specification.")
        self.search = _optional(SearchConfig, configuration, "search", bundle) or SearchConfig()
        self.confidence = _optional(ConfidenceConfig, configuration, "confidence", bundle)
        self.encoder = Graph(bundle.file("encoder.onnx"), SessionConfig(threads=threads))
        step = bundle.file("step.onnx")
        self.step_graph = Graph(step, SessionConfig(threads=step_threads(step.stat().st_size, threads)))
        self._check_graphs()
        self.mean_picture = read_mean_picture(bundle, self.memory_names, self.state_names)

    def _check_graphs(self) -> None:
        self.encoder.require(inputs=["picture"] if self.takes_pictures else ["regions", "regions_mask"])
        self.memory_names = numbered(self.encoder.outputs, "memory")
        self.state_names = numbered(self.encoder.outputs, "state")
        self.step_graph.require(inputs=["ids", *self.memory_names, *self.state_names], outputs=["log_probs"])
        names = self.step_graph.outputs
        self.next_state_index = [i for i, name in enumerate(names) if name not in ("log_probs", "attention")]
        if len(self.next_state_index) != len(self.state_names):
            raise BundleError(
                f"{self.step_graph.path}: the encoder graph begins {len(self.state_names)} states but the step graph "
                f"returns {len(self.next_state_index)}; export the bundle again."
            )
        self.log_probs_index = names.index("log_probs")
        self.attention_index = names.index("attention") if "attention" in names else None

    @property
    def takes_pictures(self) -> bool:
        """Whether it looks at pictures; otherwise it reads the features of regions."""
        return isinstance(self.takes, PictureSpec)

    @property
    def picture_spec(self) -> PictureSpec:
        """What pictures its encoder takes; only where `takes_pictures`."""
        assert isinstance(self.takes, PictureSpec), f"{self.name} reads region features"
        return self.takes

    def caption(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Caption]:
        """Describe a picture.

        Args:
            picture: (H, W, 3) uint8 RGB; (R, D) float32 where it reads regions.
            search: how to search; None takes the bundle's own `search`.

        Returns:
            `n_results` captions at most, best first; fewer when the search ended with fewer.

        Raises:
            ConfigurationError: guidance is asked for and the bundle has no mean picture.
        """
        return self.captions([picture], search)[0]

    def captions(self, pictures: Sequence[np.ndarray], search: SearchConfig | None = None) -> list[list[Caption]]:
        """Describe several pictures together: for each, what `caption` returns."""
        memory, state = self.begin(self.prepare(pictures))
        assert self.start is not None
        assert self.end is not None
        config = search or self.search
        without = None
        if config.guidance:
            means = required(self.mean_picture, self.name).in_place_of(memory, state)
            without = (*means[0], *means[1])
        found = search_captions(
            self._step, memory + state, self.start, self.end, config, len(pictures), len(memory), without
        )
        return [[self._caption(hypothesis) for hypothesis in hypotheses] for hypotheses in found]

    def prepare(self, pictures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The inputs of the encoder graph for several pictures, or for the regions of several pictures."""
        if self.takes_pictures:
            return {"picture": np.stack([prepare_picture(picture, self.picture_spec) for picture in pictures])}
        regions, regions_mask = pad_regions(pictures)
        return {"regions": regions, "regions_mask": regions_mask}

    def begin(self, feeds: dict[str, np.ndarray]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Memory and initial decoder state for what `prepare` returned."""
        values = dict(zip(self.encoder.outputs, self.encoder.run(feeds), strict=True))
        return tuple(values[name] for name in self.memory_names), tuple(values[name] for name in self.state_names)

    def encode(self, pictures: np.ndarray) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Memory and initial decoder state of prepared `pictures` (B, 3, H, W) float32."""
        return self.begin({"picture": pictures})

    def _step(self, ids: np.ndarray, state: tuple) -> tuple[np.ndarray, np.ndarray | None, tuple]:
        """One symbol further; `state` is the memory, which stays, and the decoder's state after it."""
        feeds = {"ids": ids, **dict(zip(self.memory_names + self.state_names, state, strict=True))}
        values = self.step_graph.run(feeds)
        if np.isnan(values[self.log_probs_index]).any():
            raise BundleError(f"{self.step_graph.path}: gives values that are no numbers; export the bundle again.")
        attention = None if self.attention_index is None else values[self.attention_index]
        memory = state[: len(self.memory_names)]
        return values[self.log_probs_index], attention, memory + tuple(values[i] for i in self.next_state_index)

    def _caption(self, hypothesis: Hypothesis) -> Caption:
        return Caption(
            ids=hypothesis.ids,
            log_prob=hypothesis.log_prob,
            confidence=confidence_of(hypothesis, self.confidence),
            attention=self._attention_grid(hypothesis),
            token_log_probs=hypothesis.token_log_probs,
        )

    def _attention_grid(self, hypothesis: Hypothesis) -> np.ndarray | None:
        """(S, rows, columns) from (S, R), where R is a grid of the picture's proportions; None where it is not."""
        attention = hypothesis.attention
        if attention is None or not self.takes_pictures:
            return None
        attention = attention[: len(hypothesis.ids)]
        n_regions = attention.shape[1]
        rows = round(math.sqrt(n_regions * self.picture_spec.height / self.picture_spec.width))
        if rows < 1 or n_regions % rows:
            return None
        return attention.reshape(len(attention), rows, n_regions // rows)


def _optional(cls: type, configuration: Any, key: str, bundle: Bundle) -> Any:
    """The dataclass `cls` under `key` of the configuration, or None where the key is absent."""
    value = configuration.get(key)
    return None if value is None else from_mapping(cls, value, f"{bundle.folder}: configuration.{key}")
