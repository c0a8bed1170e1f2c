"""Training of captioners: by cross-entropy, end to end or over a frozen encoder; or by self-critical sampling."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.errors import ConfigurationError
from optophone.core.picture import PictureSpec
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import (
    CaptionBatch,
    CaptionedPictures,
    CaptionedPicturesConfig,
    KnownRegions,
    build_vocabulary,
    encode_captions,
)
from optophone.data.captioned_regions import CaptionedRegions, RegionBatch, RegionBatches
from optophone.data.captions_alone import CaptionsAlone, read_other_speech
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.data.packed_regions import PackedRegions
from optophone.data.pairs import alone, exchange_captions, paired_rows, plan_over
from optophone.data.pictures import as_batch, normalize, resized
from optophone.data.pictures_alone import PicturesAlone
from optophone.data.sharded_pictures import Pictures, ShardedPictures
from optophone.data.steps import Plan, sharded_plan, shuffled_plan
from optophone.data.unit_symbols import UnitSymbols, read_unit_symbols
from optophone.data.written_captions import pictures_of, written_rows
from optophone.evaluation.captions import Tokenizer, score_captions, tokenize_words
from optophone.evaluation.document_frequency import cached_document_frequency
from optophone.evaluation.phone_error import phone_error_rate, tokenize_phones
from optophone.evaluation.unit_error import loop_rate, tokenize_units, unit_error_rate
from optophone.models.captioners.build import FAMILY, DecoderConfig, build_captioner
from optophone.models.captioners.captioner import Captioner, HasAuxiliaryLosses
from optophone.models.encoders.build import EncoderConfig
from optophone.models.encoders.given_regions import GivenRegionsConfig
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.training.bundled_encoder import load_encoder
from optophone.training.caption_loss import caption_cross_entropy, doubly_stochastic_penalty
from optophone.training.describing import describe, regions_of
from optophone.training.experiment import Objective, TrainerConfig, Training, fit, training_loader
from optophone.training.frozen_regions import compute_regions
from optophone.training.optimization import OptimizerConfig
from optophone.training.processes import count, first_before_others, is_first, weight_of_mean
from optophone.training.scheduled_sampling import ScheduledSamplingConfig, mix_inputs
from optophone.training.self_critical import SelfCriticalConfig, SelfCriticalReward, sample_captions, self_critical_loss
from optophone.training.unpaired import (
    Sizes,
    UnpairedCaptioner,
    UnpairedConfig,
    UnpairedObjective,
    build_methods,
    callbacks_of,
    with_helpers,
)
from optophone.training.unpaired_method import Method, Surroundings
from optophone.training.weights import load_weights, save_weights

WEIGHTS = "captioner.safetensors"
TrainingSet = CaptionedPictures | KnownRegions | CaptionedRegions
_TOKENIZERS: dict[str, Tokenizer] = {"phones": tokenize_phones, "units": tokenize_units}


@dataclass(frozen=True)
class CaptioningExperiment:
    """A whole configuration of kind "captioner".

    Args:
        encoder: options of the encoder that is meant by them: `widths` and `depths` of a residual grid, or `depth` of
            a ResNet; or `n_features` alone where `data.regions` are read instead of pictures.
        encoder_weights: safetensors of a pretrained encoder to start from.
        captioner_weights: safetensors of a whole captioner to start from.
        encoder_from: safetensors of a whole captioner whose encoder alone is taken, or the folder of its bundle.
        frozen_views: 0 trains the encoder too; above, the encoder is frozen and looks once at this many views of each
            picture: as it is, mirrored, then random ones.
        attention_penalty: factor of the doubly stochastic penalty (Xu et al. 2015, equation 14).
        scheduled_sampling: when and how often cross-entropy training reads the captioner's own symbols.
        self_critical: train by reward instead of cross-entropy; needs `captioner_weights`.
        unpaired: learn from pictures and captions that do not belong together, too; see docs/less-parallel.md.
        search: of the validation, and the exported captioner's default. Its lengths, and what `block_ngram` blocks, are
            counted in words whatever the symbols; collapsed units never come twice in a row, unless its
            `forbid_repeats` is false.
    """

    kind: Literal["captioner"]
    name: str
    data: CaptionedPicturesConfig
    encoder: EncoderConfig = field(default_factory=ResidualGridConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    encoder_weights: str | None = None
    captioner_weights: str | None = None
    encoder_from: str | None = None
    frozen_views: int = 0
    label_smoothing: float = 0.0
    attention_penalty: float = 0.0
    scheduled_sampling: ScheduledSamplingConfig | None = None
    self_critical: SelfCriticalConfig | None = None
    unpaired: UnpairedConfig | None = None
    search: SearchConfig = field(default_factory=SearchConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        """Refuse methods by cross-entropy beside training by reward."""
        if self.self_critical and self.unpaired:
            raise ConfigurationError("unpaired: trains by cross-entropy; leave self_critical out.")

    def search_in_symbols(self) -> SearchConfig:
        """`search` with its lengths counted in the symbols of the data, and no repeats where these have none."""
        n, search = self.data.symbols_per_word, self.search
        collapsed = self.data.symbols == "units" and self.data.run_length == "collapsed"
        return replace(
            search,
            max_length=n * search.max_length,
            min_length=n * search.min_length,
            block_ngram=n * search.block_ngram,
            forbid_repeats=True if search.forbid_repeats is None and collapsed else search.forbid_repeats,
        )

    def decoder_in_symbols(self) -> DecoderConfig:
        """`decoder` with places for the longest captions, where it has places and symbols are no words."""
        config, member = self.decoder, FAMILY.get(self.decoder.name)
        places = {option.name: option.default for option in fields(member.config)} if member else {}
        if self.data.symbols == "words" or "max_length" not in places:
            return config
        given = config.options.get("max_length", places["max_length"])
        n_places = max(given, self.data.longest, self.search_in_symbols().max_length)
        return replace(config, options={**config.options, "max_length": n_places})


class CaptioningObjective:
    """Losses of a captioner, and the scores of its captions of the development pictures."""

    def __init__(
        self,
        experiment: CaptioningExperiment,
        vocabulary: Vocabulary,
        dev_rows: list[Row],
        reward: SelfCriticalReward | None,
    ) -> None:
        self.experiment, self.vocabulary, self.dev_rows, self.reward = experiment, vocabulary, dev_rows, reward
        self.captions: list[str] = []
        self.n_unfinished = 0
        self.looks: list[tuple[Tensor, str, np.ndarray]] = []

    def training_loss(self, model: Any, batch: CaptionBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy with its penalty, or the self-critical loss."""
        if self.reward is not None:
            return self._self_critical(model, batch, self.reward)
        regions = regions_of(model, batch.pictures)
        inputs = batch.inputs
        if self.experiment.scheduled_sampling:
            probability = self.experiment.scheduled_sampling.probability(step)
            inputs = mix_inputs(model.decoder, regions, batch.regions_mask, inputs, probability)
        output = model.decoder(regions, batch.regions_mask, inputs, self.experiment.data.captions_per_picture)
        loss = caption_cross_entropy(output.logits, batch.targets, self.vocabulary.pad, self.experiment.label_smoothing)
        counted = batch.targets != self.vocabulary.pad
        loss = loss * weight_of_mean(counted.sum())
        terms = {"cross_entropy": loss}
        if self.experiment.attention_penalty:
            penalty = doubly_stochastic_penalty(output.attention, counted, batch.regions_mask)
            n_regions = len(batch.pictures) if batch.regions_mask is None else batch.regions_mask.sum()
            penalty = penalty * weight_of_mean(n_regions)
            terms["attention_penalty"] = penalty
            loss = loss + self.experiment.attention_penalty * penalty
        if isinstance(model.decoder, HasAuxiliaryLosses):
            auxiliary = model.decoder.auxiliary_losses(output, batch.targets, self.vocabulary.pad)
            terms |= auxiliary
            loss = loss + sum(auxiliary.values())
        return loss, {"loss": loss, **terms}

    def _self_critical(
        self, model: Any, batch: CaptionBatch, reward: SelfCriticalReward
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sample, reward, and raise the probability of what was better than its siblings.

        Dropout stays off: the samples come from the network that is judged.
        """
        model.eval()
        regions, mask = regions_of(model, batch.pictures), batch.regions_mask
        longest = self.experiment.data.longest
        sampled = sample_captions(model.decoder, regions, self.vocabulary, reward.config, longest, mask)
        rewards = reward.score(sampled, batch.indices)
        temperature = reward.config.temperature
        loss = self_critical_loss(model.decoder, regions, sampled, rewards, self.vocabulary, temperature, mask)
        return loss, {"loss": loss, "reward": rewards.mean()}

    def validate(self, model: Any, batch: Tensor | RegionBatch) -> None:
        """Captions of a batch of development pictures (B, 3, H, W), or of their regions."""
        shown, mask = batch if isinstance(batch, RegionBatch) else (batch, None)
        search = self.experiment.search_in_symbols()
        found = describe(model.decoder, model.encoder(shown), self.vocabulary, search, mask)
        for picture, (best, *_) in zip(shown, found, strict=True):
            text = self.vocabulary.decode(best.ids)
            self.captions.append(text)
            self.n_unfinished += not best.finished
            if len(self.looks) < 4 and best.attention is not None:
                self.looks.append((picture.cpu(), text, best.attention))

    def measures(self) -> dict[str, float]:
        """Scores against the human captions; of phones and units also how many are wrong."""
        rows = self.dev_rows[: len(self.captions)]
        hypotheses = {row["id"]: caption for row, caption in zip(rows, self.captions, strict=True)}
        references = {row["id"]: row["captions"] for row in rows}
        kind, n_unfinished = self.vocabulary.kind, self.n_unfinished
        self.captions, self.n_unfinished = [], 0
        scored = score_captions(hypotheses, references, tokenizer=_TOKENIZERS.get(kind, tokenize_words))
        names = ("bleu_1", "bleu_4", "cider_d", "n_distinct_captions", "mean_length")
        found = {name: float(getattr(scored.scores, name)) for name in names}
        if kind == "phones":
            found["phone_error_rate"] = phone_error_rate(hypotheses, references)
        if kind == "units":
            found["unit_error_rate"] = unit_error_rate(hypotheses, references)
            found["loop_rate"] = loop_rate(hypotheses.values())
            found["unfinished"] = n_unfinished / len(rows)
        return found

    def show(self, model: Any, writer: Any, step: int) -> None:
        """Captions, and where each symbol looked."""
        looks, self.looks = self.looks, []
        writer.add_text("dev/captions", "\n\n".join(text for _, text, _ in looks), step)
        for i, (picture, _, attention) in enumerate(looks):
            if len(attention) and picture.ndim == 3:  # an untrained captioner may say nothing; regions cannot be drawn
                writer.add_image(f"dev/attention_{i}", attention_strip(picture, attention), step)


def attention_strip(picture: Tensor, attention: np.ndarray) -> Tensor:
    """The picture once per symbol side by side, bright where the symbol looked: (3, H, S · W), 0..1.

    Args:
        picture: (3, H, W) normalised.
        attention: (S, R) over a square grid.
    """
    side = round(attention.shape[1] ** 0.5)
    weights = torch.from_numpy(attention[:, : side * side]).float().view(-1, 1, side, side)
    weights = torch.nn.functional.interpolate(weights, picture.shape[1:], mode="bilinear")
    weights = weights / weights.amax((2, 3), keepdim=True).clamp(min=1e-8)
    grey = (picture.float().mean(0, keepdim=True) * 0.25 + 0.5).clamp(0, 1)
    panels = grey * (0.25 + 0.75 * weights)
    return panels.expand(-1, 3, -1, -1).permute(1, 2, 0, 3).flatten(2)


def dev_pictures(dataset: Dataset, config: CaptionedPicturesConfig, rows: list[Row] | None = None) -> list[Tensor]:
    """The development pictures, or those of `rows` alone, in batches (50, 3, size, size)."""
    rows = (dataset.rows("dev") if rows is None else rows)[: config.dev_limit or None]
    packed = pictures_of(dataset, "dev", rows, config.size)
    spec = PictureSpec(config.size, config.size)
    chunks = (resized(packed[first : first + 50], spec) for first in range(0, len(packed), 50))
    return [normalize(as_batch(chunk), spec) for chunk in chunks]


def read_units(config: CaptionedPicturesConfig) -> UnitSymbols | None:
    """The units that captions are written in; None where they are written in something else."""
    return None if config.units is None else read_unit_symbols(config.units, config.run_length)


def read_regions(experiment: CaptioningExperiment) -> PackedRegions | None:
    """The region features that are read instead of pictures; None where pictures are.

    Raises:
        ConfigurationError: data and encoder contradict each other.
    """
    given, folder = isinstance(experiment.encoder, GivenRegionsConfig), experiment.data.regions
    if given != (folder is not None):
        raise ConfigurationError("data.regions and an encoder of n_features alone need each other; give both or none.")
    if folder is None:
        return None
    if experiment.frozen_views:
        raise ConfigurationError("frozen_views: data.regions are there already; leave it at 0.")
    regions = PackedRegions(read_dataset(folder))
    if regions.dim != experiment.encoder.n_features:
        raise ConfigurationError(
            f"encoder.n_features is {experiment.encoder.n_features}, the regions in {folder} have {regions.dim}."
        )
    return regions


def build_model(experiment: CaptioningExperiment, vocabulary: Vocabulary) -> Captioner:
    """The captioner with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    model = build_captioner(experiment.encoder, experiment.decoder_in_symbols(), len(vocabulary), experiment.data.size)
    if experiment.captioner_weights:
        load_weights(model, experiment.captioner_weights)
    elif experiment.encoder_from:
        load_encoder(model.encoder, experiment.encoder_from)
    elif experiment.encoder_weights:
        load_weights(model.encoder, experiment.encoder_weights)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def shown_pictures(
    experiment: CaptioningExperiment,
    pictures: Pictures,
    captions: list[list[list[int]]],
    vocabulary: Vocabulary,
    model: Captioner,
    cache: Path,
) -> CaptionedPictures | KnownRegions:
    """The training pictures (n, H, W, 3); or, with `frozen_views`, what the encoder, which is frozen, sees in them."""
    source = CaptionedPictures(pictures, captions, vocabulary, experiment.data)
    if not experiment.frozen_views:
        return source
    torch.set_num_threads(experiment.trainer.threads)
    with first_before_others():
        regions = compute_regions(model.encoder, source, experiment.frozen_views, cache)
    model.encoder.requires_grad_(False)
    return KnownRegions(regions, source)


def run_captioning(experiment: CaptioningExperiment, folder: Path) -> None:
    """Train the captioner; writes `vocabulary.json` and `captioner.safetensors` into `folder`."""
    if experiment.self_critical and not experiment.captioner_weights:
        raise ConfigurationError("self_critical: needs captioner_weights to start from; train by cross-entropy first.")
    _check_processes(experiment)
    data, regions = experiment.data, read_regions(experiment)
    dataset, units = read_dataset(data.folder), read_units(data)
    rows = written_rows(dataset, "train", data.symbols, units)
    dev_rows = written_rows(dataset, "dev", data.symbols, units)
    vocabulary = build_vocabulary(rows, data)
    if is_first():
        vocabulary.save(folder / "vocabulary.json")
    written = encode_captions(rows, vocabulary)
    if is_first():
        _tell_of_cuts(written, data.longest)
    paired = paired_rows(rows, data.pairs_share, data.pairs_seed)
    captions = exchange_captions(written, rows, paired, data.pairs_seed) if data.pairs_shuffled else written
    model = build_model(experiment, vocabulary)
    if regions is not None:
        training_set: TrainingSet = CaptionedRegions(regions, regions.ids_of(rows), captions, vocabulary, data)
    else:
        pictures, cache = pictures_of(dataset, "train", rows, data.largest), folder.parent / "regions"
        training_set = shown_pictures(experiment, pictures, captions, vocabulary, model, cache)
    reward = _reward(experiment, dataset, vocabulary, units, captions) if experiment.self_critical else None
    objective: Objective = CaptioningObjective(experiment, vocabulary, dev_rows, reward)
    learner: Captioner | UnpairedCaptioner = model
    methods: list[Method] = []
    if experiment.unpaired:
        around = surroundings(experiment, written, paired, training_set, vocabulary)
        learner, objective, methods = learn_unpaired(experiment, model, objective, around, vocabulary)
    training = Training(learner, objective, experiment.optimizer, experiment.trainer)
    plan = plan_over(plan_of(training_set, paired, data, experiment.trainer.seed), paired)
    train, dev = training_loader(training_set, plan, experiment.trainer), _dev_loader(dataset, data, dev_rows, regions)
    fit(training, train, dev, folder, experiment.trainer, callbacks_of(methods))
    trained: Any = training.best_model
    if is_first():
        save_weights(trained.captioner if experiment.unpaired else trained, folder / WEIGHTS)


def plan_of(training_set: TrainingSet, paired: list[int], data: CaptionedPicturesConfig, seed: int) -> Plan:
    """The order of the `paired` pictures: at random, or by shards where they are read from these."""
    pictures = training_set.pictures if isinstance(training_set, CaptionedPictures) else None
    if isinstance(pictures, ShardedPictures):
        shards = [pictures.shards[place] for place in paired]
        return sharded_plan(shards, data.batch_size, data.shards_at_once, seed)
    return shuffled_plan(len(paired), data.batch_size, seed)


def _check_processes(experiment: CaptioningExperiment) -> None:
    """Refuse to share among processes what would not be the same as in one."""
    if count() == 1:
        return
    member = FAMILY.get(experiment.decoder.name)
    without = {
        "self_critical": experiment.self_critical is not None,
        "unpaired": experiment.unpaired is not None,
        f"decoder {experiment.decoder.name!r}, which has losses of its own,": member is not None
        and hasattr(member.decoder, "auxiliary_losses"),
    }
    refused = [name for name, is_there in without.items() if is_there]
    if refused:
        raise ConfigurationError(f"{refused[0]} trains in one process; start it without torchrun.")
    if experiment.data.batch_size < count():
        raise ConfigurationError(
            f"data.batch_size is {experiment.data.batch_size}, which {count()} processes cannot share; give more."
        )


def _dev_loader(
    dataset: Dataset, data: CaptionedPicturesConfig, rows: list[Row], regions: PackedRegions | None
) -> DataLoader:
    """The development pictures, or their regions."""
    if regions is None:
        return DataLoader(dev_pictures(dataset, data, rows), batch_size=None)  # type: ignore[arg-type]
    return DataLoader(RegionBatches(regions, regions.ids_of(rows[: data.dev_limit or None])), batch_size=None)


def _reward(
    experiment: CaptioningExperiment,
    dataset: Dataset,
    vocabulary: Vocabulary,
    units: UnitSymbols | None,
    captions: list[list[list[int]]],
) -> SelfCriticalReward:
    """By the captions that belong to the pictures, in the document frequencies of all."""
    assert experiment.self_critical is not None
    written = "" if units is None else f" {units.column.dataset.hash()} {units.run_length}"
    key = f"{dataset.hash()} train {vocabulary.hash}{written}"
    return SelfCriticalReward(
        captions, experiment.self_critical, cached_document_frequency(dataset.folder, key, lambda: captions)
    )


def learn_unpaired(
    experiment: CaptioningExperiment,
    model: Captioner,
    pairs: Objective,
    around: Surroundings,
    vocabulary: Vocabulary,
) -> tuple[UnpairedCaptioner, UnpairedObjective, list[Method]]:
    """Captioner and objective with all that `unpaired` adds to them, and its methods."""
    config = experiment.unpaired
    assert config is not None
    sizes = Sizes(len(vocabulary), experiment.encoder.n_features, experiment.decoder.bottleneck)
    search, longest = experiment.search_in_symbols(), experiment.data.longest
    methods = build_methods(config, around, vocabulary, search, longest)
    objective = UnpairedObjective(pairs, methods, vocabulary.pad, config.alone_until)
    return with_helpers(model, config, sizes), objective, methods


def surroundings(
    experiment: CaptioningExperiment,
    captions: list[list[list[int]]],
    paired: list[int],
    training_set: TrainingSet,
    vocabulary: Vocabulary,
) -> Surroundings:
    """The pictures and captions of the training data that do not belong together, or captions from elsewhere."""
    config, data, seed = experiment.unpaired, experiment.data, experiment.trainer.seed
    assert config is not None
    unpaired = alone(len(captions), paired)
    if config.speech:
        said = read_other_speech(config.speech, data, vocabulary)
    else:
        said = [caption for place in unpaired or paired for caption in captions[place]]
    order = np.random.default_rng(data.pairs_seed).permutation(len(said))[: config.speech_limit or None]
    print(f"{len(paired)} pictures with captions, {len(unpaired)} alone; {len(order)} captions alone", flush=True)
    return Surroundings(
        captions=CaptionsAlone([said[i] for i in order], vocabulary, data.longest, seed),
        pictures=PicturesAlone(training_set, unpaired, seed) if unpaired else None,
        n_captions=data.batch_size * data.captions_per_picture,
        n_pictures=data.batch_size,
        pad=vocabulary.pad,
        label_smoothing=experiment.label_smoothing,
    )


def _tell_of_cuts(captions: list[list[list[int]]], longest: int) -> None:
    """Say how many captions lose their end: a captioner that seldom sees one does not learn to end."""
    lengths = np.array([len(caption) for several in captions for caption in several])
    if (lengths > longest).any():
        share = (lengths > longest).mean()
        print(f"{share:.1%} of the captions are longer than {longest} symbols and lose their end", flush=True)
