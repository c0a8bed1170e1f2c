"""Picture → descriptions: a captioner with its way of searching and its words of doubt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optophone.core.errors import ConfigurationError, TextError
from optophone.core.picture import load_picture
from optophone.core.protocols import Caption, Captioner, Judgement, PhotographDetector
from optophone.core.regions import RegionSpec, load_regions
from optophone.core.search import SearchConfig
from optophone.pipelines.results import Description

NO_PHOTOGRAPH = "I cannot tell what this picture shows. It does not look like a photograph."
BLANK = "I cannot tell what this picture shows. It looks blank."


@dataclass(frozen=True)
class Hedge:
    """Words of doubt, spoken before a caption.

    Args:
        below: confidence under which they are said.
        say: the words, for instance "I am not sure, but perhaps: ".
    """

    below: float
    say: str


class Describer:
    """Picture → descriptions.

    Args:
        captioner: picture → symbols.
        search: how captions are searched for unless a call says otherwise.
        hedges: words of doubt; of those whose threshold is above the confidence, the lowest threshold's are said.
        at_least: pixels a side that suffice: large JPEG files may be decoded at a fraction of their size.
        regions: what region features the captioner reads, where it reads these instead of pictures.
        detector: judges whether a picture is a photograph at all; what is none is refused in words, so a captioner
            that writes none refuses nothing.
    """

    def __init__(
        self,
        captioner: Captioner,
        search: SearchConfig | None = None,
        hedges: Sequence[Hedge] = (),
        at_least: int | None = None,
        regions: RegionSpec | None = None,
        detector: PhotographDetector | None = None,
    ) -> None:
        self.captioner = captioner
        self.detector = None if regions is not None else detector
        self.at_least = at_least
        self.regions = regions
        self.search = search or SearchConfig()
        self.hedges = tuple(sorted(hedges, key=lambda hedge: hedge.below))
        self.writes_text = captioner.vocabulary.kind in ("words", "characters")

    def caption(
        self,
        picture: Any,
        *,
        variants: int = 1,
        seed: int | None = None,
        search: SearchConfig | None = None,
        hedge: bool = True,
        force: bool = False,
    ) -> list[Description]:
        """Describe a picture: at least one description and at most `variants`, all different, best first.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) uint8 array; where the captioner reads regions, what
                `load_regions` takes.
            variants: how many different descriptions; fewer where the search finds no more.
            seed: of a sampling search.
            search: how to search; None takes the bundle's own way.
            hedge: whether an unsure description gets words of doubt.
            force: whether to describe even what does not look like a photograph.

        Raises:
            PictureError: the picture cannot be read.
            DataError: the region features cannot be read, or it is a picture where they are needed.
            ConfigurationError: an option is out of range.
        """
        in_words = self.captioner.vocabulary.kind == "words"
        config = search_for(search or self.search, variants, seed, in_words)
        loaded = self._load(picture)
        judgement = self.detector.judge(loaded) if self.detector is not None else None
        if judgement is not None and not (judgement.is_photograph or force) and self.writes_text:
            return [_refusal(judgement)]
        found: dict[str, Description] = {}
        for caption in self.captioner.caption(loaded, config):
            text = self.captioner.vocabulary.decode(caption.ids) if caption.text is None else caption.text
            if text and text not in found:
                found[text] = self._description(text, caption, judgement, hedge)
        if not found:
            raise TextError("the captioner found no words for this picture; try another search, such as sampling.")
        return list(found.values())[:variants]

    def _description(self, text: str, caption: Caption, judgement: Judgement | None, hedge: bool) -> Description:
        confidence = caption.confidence
        if judgement is not None and not judgement.is_photograph:
            confidence *= judgement.probability  # a caption of what is no photograph cannot be right
        return Description(
            text,
            confidence,
            caption.ids,
            caption.log_prob,
            hedge=self._words_of_doubt(confidence) if hedge and self.writes_text else "",
            attention=caption.attention,
            photograph=None if judgement is None else judgement.probability,
            token_log_probs=caption.token_log_probs,
        )

    def _load(self, source: Any) -> np.ndarray:
        """The picture (H, W, 3) uint8, or the regions (R, D) float32."""
        if self.regions is not None:
            return load_regions(source, self.regions.dim)
        return load_picture(source, at_least=self.at_least)

    def _words_of_doubt(self, confidence: float) -> str:
        return next((hedge.say for hedge in self.hedges if confidence < hedge.below), "")


def _refusal(judgement: Judgement) -> Description:
    """What is said of a picture that is no photograph."""
    text = BLANK if judgement.is_blank else NO_PHOTOGRAPH
    return Description(text, 0.0, (), 0.0, photograph=judgement.probability, refused=True)


def search_for(search: SearchConfig, variants: int, seed: int | None, in_words: bool) -> SearchConfig:
    """`search` with enough results for so many variants: some of them will be the same words again.

    Variants in words are searched for by diverse beams, one group for each, unless `search.diversity` is 0: the next
    best sentences of one beam differ in a word or two. Symbols smaller than words do not keep their places when
    something else is said, so avoiding them would only misspell.
    """
    if variants < 1:
        raise ConfigurationError(f"variants: {variants} is too few; ask for 1 or more.")
    if seed is not None:
        search = replace(search, seed=seed)
    if variants == 1:
        return replace(search, n_results=1)
    n_results = 2 * variants
    if search.method == "sample":
        return replace(search, n_results=n_results)
    if not in_words or search.diversity == 0:
        beam_size = max(search.beam_size, n_results)
        return replace(search, method="beam", n_results=n_results, beam_size=beam_size, groups=1)
    groups = search.groups if search.groups > 1 else variants
    beam_size = groups * max(-(-search.beam_size // groups), -(-n_results // groups))
    return replace(search, method="beam", finished="aside", n_results=n_results, beam_size=beam_size, groups=groups)
