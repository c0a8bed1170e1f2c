"""Learning from pictures and captions that do not belong together, beside the pairs of a captioner's training."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import CaptionBatch
from optophone.models.captioners.bottleneck import BottleneckConfig
from optophone.models.captioners.captioner import Captioner
from optophone.models.captioners.image_unit_match import ImageUnitMatch
from optophone.models.captioners.no_picture import NoPicture
from optophone.models.captioners.symbol_encoder import SymbolEncoder, SymbolEncoderConfig
from optophone.training.back_translation import BackTranslation, BackTranslationConfig
from optophone.training.describing import regions_of
from optophone.training.experiment import Objective
from optophone.training.pseudo_labels import Labelling, PseudoLabels, PseudoLabelsConfig
from optophone.training.skip_modal_bottleneck import SkipModal, SkipModalConfig
from optophone.training.unit_language_model import LanguageModel, LanguageModelConfig
from optophone.training.unpaired_method import Method, Pairs, Surroundings


@dataclass(frozen=True)
class UnpairedConfig:
    """The methods, each by its own section; any of them together.

    Captions alone are those of the training pictures without pairs; where every picture has its pairs
    (`data.pairs_share` 1), all captions. Pictures alone are those without pairs.

    Args:
        speech: a column (or, for words and characters, a data set with texts) whose utterances are the captions alone
            instead: speech about something else, as a control, or more of it.
        speech_limit: captions alone that are used, the first so many of a fixed order; 0 for all.
        language_model: captions alone with no picture.
        pseudo_labels: pictures alone with captions of the captioner's own.
        back_translation: captions alone with guessed pictures.
        bottleneck: captions alone through the bottleneck that pictures go through; needs `decoder.bottleneck`.
    """

    speech: str | None = None
    speech_limit: int = 0
    language_model: LanguageModelConfig | None = None
    pseudo_labels: PseudoLabelsConfig | None = None
    back_translation: BackTranslationConfig | None = None
    bottleneck: SkipModalConfig | None = None

    def __post_init__(self) -> None:
        """Refuse a section without a method."""
        methods = [field.name for field in fields(self) if not field.name.startswith("speech")]
        if all(getattr(self, name) is None for name in methods):
            raise ConfigurationError(f"unpaired: give at least one of {', '.join(methods)}.")
        if self.speech_limit < 0:
            raise ConfigurationError(f"unpaired: speech_limit is {self.speech_limit}; give 0 or more.")

    @property
    def alone_until(self) -> int:
        """The first step with pairs."""
        return 0 if self.language_model is None else self.language_model.alone_until


class UnpairedCaptioner(nn.Module):
    """A captioner with the networks beside it that only its training needs.

    Args:
        captioner: what is trained; its weights keep their names.
        helpers: by name.
    """

    def __init__(self, captioner: Captioner, helpers: nn.ModuleDict) -> None:
        super().__init__()
        self.encoder, self.decoder = captioner.encoder, captioner.decoder
        self.helpers = helpers

    @property
    def captioner(self) -> Captioner:
        """The captioner alone."""
        return Captioner(self.encoder, self.decoder)


class Sizes(NamedTuple):
    """What helpers are built for: V symbols, D features a region, and the decoder's bottleneck."""

    n_symbols: int
    region_dim: int
    bottleneck: BottleneckConfig | None = None


def with_helpers(captioner: Captioner, config: UnpairedConfig, sizes: Sizes) -> UnpairedCaptioner:
    """`captioner` beside new networks for the methods of `config`.

    Raises:
        ConfigurationError: a bottleneck for speech that pictures do not go through.
    """
    n_symbols, region_dim, bottleneck = sizes
    helpers: dict[str, nn.Module] = {}
    if config.language_model:
        helpers["no_picture"] = NoPicture(region_dim)
    if config.pseudo_labels:
        helpers["match"] = ImageUnitMatch(n_symbols, region_dim, config.pseudo_labels.dim)
    if config.back_translation:
        helpers["back_translation"] = SymbolEncoder(SymbolEncoderConfig(n_symbols, region_dim))
    if config.bottleneck:
        if bottleneck is None:
            raise ConfigurationError("unpaired.bottleneck: pictures need one too; give decoder.bottleneck its sizes.")
        tokens = SymbolEncoderConfig(n_symbols, bottleneck.dim, config.bottleneck.n_tokens)
        helpers["speech"] = SymbolEncoder(tokens)
    return UnpairedCaptioner(captioner, nn.ModuleDict(helpers))


def build_methods(
    config: UnpairedConfig, around: Surroundings, vocabulary: Vocabulary, search: SearchConfig, longest: int
) -> list[Method]:
    """The methods of `config`.

    Raises:
        ConfigurationError: pictures alone are asked for and there are none.
    """
    methods: list[Method] = []
    if config.language_model:
        methods.append(LanguageModel(config.language_model, around))
    if config.back_translation:
        methods.append(BackTranslation(config.back_translation, around))
    if config.bottleneck:
        methods.append(SkipModal(config.bottleneck, around))
    if config.pseudo_labels:
        if around.pictures is None:
            raise ConfigurationError(
                "unpaired.pseudo_labels: every picture has its captions; give data.pairs_share less than 1."
            )
        methods.append(PseudoLabels(config.pseudo_labels, around, vocabulary, search, longest))
    return methods


def callbacks_of(methods: list[Method]) -> list[Callback]:
    """What the methods do between steps."""
    return [Labelling(method) for method in methods if isinstance(method, PseudoLabels)]


class UnpairedObjective:
    """The losses of the pairs with those of the methods; validated as the pairs alone would be.

    Args:
        pairs: the captioner's objective.
        methods: in the order in which they draw by chance.
        pad: the id that does not count.
        alone_until: before this step the loss of the pairs is left out.
    """

    def __init__(self, pairs: Objective, methods: list[Method], pad: int, alone_until: int = 0) -> None:
        self.pairs, self.methods, self.pad, self.alone_until = pairs, methods, pad, alone_until

    def training_loss(self, model: Any, batch: CaptionBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """All losses together. Those of the pairs come first, so that they are what they are without the others."""
        batch = batch._replace(pictures=regions_of(model, batch.pictures))
        total: Tensor | None = None
        terms: dict[str, Tensor] = {}
        if step >= self.alone_until:
            total, terms = self.pairs.training_loss(model, batch, step)
        seen = Pairs(batch.pictures, batch.regions_mask, batch.targets, batch.targets != self.pad)
        for method in self.methods:
            for name, loss in method.losses(model, seen, step).items():
                total, terms[name] = loss if total is None else total + loss, loss
        assert total is not None, "nothing is learned"
        return total, {**terms, "loss": total}

    def validate(self, model: Any, batch: Any) -> None:
        """As the pairs alone."""
        self.pairs.validate(model, batch)

    def measures(self) -> dict[str, float]:
        """As the pairs alone."""
        return self.pairs.measures()

    def show(self, model: Any, writer: Any, step: int) -> None:
        """As the pairs alone."""
        self.pairs.show(model, writer, step)
