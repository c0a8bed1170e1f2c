"""A direct model that goes by way of units, from a bundle."""

from collections.abc import Iterator

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.errors import TextError
from optophone.core.protocols import Intention, SpokenMel
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.runtime.onnx_captioner import OnnxCaptioner
from optophone.runtime.onnx_parallel import OnnxParallel


class OnnxJoint:
    """Picture → units → mel (a `DirectModel`): the graphs of a captioner and of a parallel voice in one bundle.

    The units are searched for first; then they are said, the first frames early where the bundle says how far its
    frames depend on each other (see `OnnxParallel`).

    Args:
        bundle: an opened bundle of kind "direct" and class "joint"; see `OnnxCaptioner` and `OnnxParallel`.
        threads: of the graphs.

    Raises:
        BundleError: something is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.captioner, self.voice = OnnxCaptioner(bundle, threads), OnnxParallel(bundle, threads)
        self.name = self.captioner.name
        self.mel_spec = self.voice.mel_spec
        self.vocabulary: Vocabulary | None = self.captioner.vocabulary
        self.search, self.picture_spec = self.captioner.search, self.captioner.picture_spec

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        """The units to say of `picture` (H, W, 3) uint8: `search.n_results` captions at most, the best first."""
        return [Intention(caption.ids, caption) for caption in self.captioner.caption(picture, search)]

    def mel(self, picture: np.ndarray | Intention) -> SpokenMel:
        """Speak what is in a picture, or what `intend` found.

        Raises:
            TextError: the search found no units.
        """
        return self.voice.mel(self._units(picture))

    def stream(self, picture: np.ndarray | Intention) -> Iterator[np.ndarray]:
        """The same mel in chunks (M, t).

        Raises:
            TextError: the search found no units.
        """
        return self.voice.stream(self._units(picture))

    def _units(self, picture: np.ndarray | Intention) -> np.ndarray:
        intention = picture if isinstance(picture, Intention) else next(iter(self.intend(picture)), None)
        if intention is None:
            raise TextError("the model found nothing to say of this picture; try another search, such as sampling.")
        return np.array(intention.source, np.int64)
