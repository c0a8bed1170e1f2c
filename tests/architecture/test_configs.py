"""Every configuration in `configs/` is read strictly, builds its model, and takes a step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core import k_means_units as core_k_means_units
from optophone.core.configuration import to_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import build_letters, build_units, build_words
from optophone.data.captioned_pictures import CaptionedPictures, encode_captions
from optophone.data.captioned_regions import RegionBatch
from optophone.data.heard_speech import HeardBatch
from optophone.data.speaker_segments import SpeakerSegmentBatch
from optophone.data.speech import SpeechBatch, build_speech_vocabulary, collate
from optophone.data.spoken_mels import SpokenMelBatch
from optophone.data.spoken_pictures import SpokenPictureBatch
from optophone.data.steps import StepItems
from optophone.data.unit_column import UnitColumn
from optophone.data.unit_symbols import UnitSymbols
from optophone.data.voice_segments import SegmentBatch
from optophone.models.acoustic.parallel import Prosody
from optophone.models.detectors.photograph_classifier import PhotographClassifier
from optophone.models.encoders.residual_grid import PictureClassifier, ResidualGrid
from optophone.training import (
    aligning,
    captioning,
    direct_speech,
    parallel_synthesis,
    recognizing,
    synthesis,
    unit_learning,
    vocoding,
    vocos_training,
    wavenet_units,
)
from optophone.training.aligned_speech import align
from optophone.training.aligning import AligningExperiment, AligningObjective
from optophone.training.captioning import CaptioningExperiment, CaptioningObjective
from optophone.training.classification import ClassificationExperiment, ClassificationObjective, LabelledPictures
from optophone.training.configuration_file import read_configuration
from optophone.training.direct_batch import direct_batch
from optophone.training.direct_speech import LESSONS, DirectExperiment
from optophone.training.k_means_learning import KMeansLearningExperiment
from optophone.training.optimization import build_optimizer, learning_rate_factor
from optophone.training.parallel_synthesis import ParallelExperiment, ParallelObjective
from optophone.training.photograph import (
    BalancedStatistics,
    PhotographExperiment,
    PhotographObjective,
    PhotographStatistics,
)
from optophone.training.recognizing import RecognizingExperiment, RecognizingObjective
from optophone.training.run import build_experiment
from optophone.training.self_critical import SelfCriticalReward
from optophone.training.synthesis import SynthesisExperiment, SynthesisObjective
from optophone.training.unit_learning import UnitLearningExperiment, UnitLearningObjective
from optophone.training.vocoding import VocoderExperiment, VocoderObjective
from optophone.training.vocos_training import VocosExperiment, VocosObjective
from optophone.training.wavenet_units import WaveNetUnitsExperiment, WaveNetUnitsObjective

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
WEIGHTS = ("weights", "encoder_weights", "captioner_weights", "voice_weights", "encoder_from")
UNITS = ["12 7 99 3 12", "0 55 1", "8 9"]
CAPTIONS = ["a brown dog runs across the green grass with a stick", "the dog is outside", "two dogs play"]

Built = tuple[torch.nn.Module, Tensor]


@pytest.fixture(params=CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def read(path: Path) -> dict[str, Any]:
    """The configuration; weights that other runs make are left out."""
    mapping = read_configuration(path)
    return {**mapping, **{name: None for name in WEIGHTS if name in mapping}}


def step_encoder(experiment: ClassificationExperiment) -> Built:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    model = PictureClassifier(ResidualGrid(experiment.model), 5, experiment.dropout)
    batch = LabelledPictures(pictures, np.array([4, 1]), experiment.data)[StepItems(0, 0, [0, 1])]
    return model, ClassificationObjective(5, experiment.label_smoothing).training_loss(model, batch, 0)[0]


def step_captioner(experiment: CaptioningExperiment) -> Built:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    over_units = experiment.data.symbols == "units"
    texts, vocabulary = (UNITS, build_units(100)) if over_units else (CAPTIONS, build_words(CAPTIONS))
    rows = [{"id": str(i), "captions": texts[i:]} for i in range(2)]
    captions = encode_captions(rows, vocabulary)
    model = captioning.build_model(experiment, vocabulary)
    if experiment.frozen_views:
        model.encoder.requires_grad_(False)
    reward = SelfCriticalReward(captions, experiment.self_critical) if experiment.self_critical else None
    objective: Any = CaptioningObjective(experiment, vocabulary, rows, reward)
    source = CaptionedPictures(pictures, captions, vocabulary, experiment.data)
    batch = source[StepItems(0, 0, [0, 1])]
    shown: Tensor | RegionBatch = torch.zeros(1, 3, experiment.data.size, experiment.data.size)
    if experiment.data.regions is not None:
        shown = RegionBatch(torch.randn(2, 3, experiment.encoder.n_features), torch.tensor([[1, 1, 1], [1, 0, 0]]) > 0)
        batch = batch._replace(pictures=shown.regions, regions_mask=shown.regions_mask)
    learner: Any = model
    step = 0
    if experiment.unpaired:
        around = captioning.surroundings(experiment, captions, [0], source, vocabulary)
        learner, objective, _ = captioning.learn_unpaired(experiment, model, objective, around, vocabulary)
        step = experiment.trainer.max_steps - 1  # when every method has begun
    loss, _ = objective.training_loss(learner, batch, step)
    model.eval()
    with torch.no_grad():
        objective.validate(model, shown)
    return learner, loss


def step_acoustic(experiment: SynthesisExperiment) -> Built:
    over_units = experiment.data.symbols == "units"
    vocabulary = build_units(1024) if over_units else build_speech_vocabulary()
    first, second = ("1 2 3 4 5 1023", "6 7 8 9 0") if over_units else ("a dog.", "dogs.")
    n_speakers = 2 if experiment.data.speakers else 0
    model = synthesis.build_model(experiment, vocabulary, n_speakers)
    batch = SpeechBatch(
        torch.tensor([vocabulary.encode(first), [*vocabulary.encode(second), vocabulary.pad]]),
        torch.tensor([6, 5]),
        torch.randn(2, experiment.data.mel.n_mels, 13),
        torch.tensor([13, 9]),
        torch.tensor([1, 0]) if n_speakers else None,
    )
    objective = SynthesisObjective(experiment.loss, experiment.data.mel, vocabulary)
    return model, objective.training_loss(model, batch, 0)[0]


def step_aligner(experiment: AligningExperiment) -> Built:
    vocabulary, n_mels = build_speech_vocabulary(), experiment.data.mel.n_mels
    ids = [torch.tensor(vocabulary.encode(text)) for text in ("a dog.", "dogs.")]
    model = aligning.build_model(experiment, vocabulary, 2)
    speech = collate(ids, [torch.randn(n_mels, n) for n in (18, 10)], [0, 1])
    return model, AligningObjective(vocabulary).training_loss(model, speech, 0)[0]


def step_parallel(experiment: ParallelExperiment) -> Built:
    over_units, n_mels = experiment.kind == "unit-to-mel", experiment.data.mel.n_mels
    vocabulary = build_units(100) if over_units else build_speech_vocabulary()
    texts = ("3 14 99 0 1 2", "5 6 7 8 9") if over_units else ("a dog.", "dogs.")
    ids, mels = [torch.tensor(vocabulary.encode(text)) for text in texts], [torch.randn(n_mels, n) for n in (18, 10)]
    speech = collate(ids, mels, None if over_units else [0, 1])
    prosody = None if over_units else Prosody(torch.rand(2, 18), torch.ones(2, 18))
    voice = parallel_synthesis.build_model(experiment, vocabulary, 0 if over_units else 2)
    model = parallel_synthesis.with_judges(voice, experiment)
    objective = ParallelObjective(experiment.loss, experiment.data.mel, vocabulary, experiment.adversary)
    batch = align(speech, [np.full(6, 3), np.full(5, 2)], prosody)
    return model, objective.training_loss(model, batch, 0)[0]


def step_photograph(experiment: PhotographExperiment) -> Built:
    statistics = PhotographStatistics(np.ones((3, 6), np.float32), np.zeros((3, 6), np.float32))
    model = PhotographClassifier(6, experiment.model)
    batch = BalancedStatistics(statistics, experiment.data.batch_size)[StepItems(0, 0, [])]
    return model, PhotographObjective(experiment.label_smoothing).training_loss(model, batch, 0)[0]


def step_vocoder(experiment: VocoderExperiment) -> Built:
    spec = experiment.data.mel
    batch = SegmentBatch(torch.randn(2, spec.n_mels, 1024 // spec.hop_length + 1), 0.1 * torch.randn(2, 1024))
    model = vocoding.build_model(experiment)
    return model, VocoderObjective(experiment).training_loss(model, batch, 0)[0]


def step_vocos(experiment: VocosExperiment) -> Built:
    spec = experiment.data.mel
    n_samples = max(experiment.spectral.transforms)
    batch = SegmentBatch(torch.randn(2, spec.n_mels, n_samples // spec.hop_length + 1), 0.1 * torch.randn(2, n_samples))
    model = vocos_training.build_model(experiment)
    return model, VocosObjective(experiment).training_loss(model, batch, experiment.trainer.max_steps)[0]


def step_units(experiment: UnitLearningExperiment) -> Built:
    model = unit_learning.build_model(experiment)
    assert model.picture is not None
    if experiment.frozen_views:
        model.picture.encoder.requires_grad_(False)
    levels = -80 * torch.rand(2, experiment.data.bank.n_mels, 60)
    batch = SpokenPictureBatch(torch.randn(2, 4, experiment.encoder.n_features), levels, torch.tensor([60, 45]))
    return model, UnitLearningObjective().training_loss(model, batch, 0)[0]


def step_wavenet_units(experiment: WaveNetUnitsExperiment) -> Built:
    model = wavenet_units.build_model(experiment, n_speakers=2)
    sizes = model.config
    n_frames = (1 + 2 * sizes.context_units) * sizes.encoder.frames_per_unit
    levels = -80 * torch.rand(2, experiment.data.bank.n_mels, n_frames)
    mask = torch.ones(2, n_frames, dtype=torch.bool)
    batch = SpeakerSegmentBatch(levels, mask, 0.1 * torch.randn(2, sizes.samples_per_unit), torch.tensor([1, -1]))
    return model, WaveNetUnitsObjective(experiment).training_loss(model, batch, 0)[0]


def step_direct(experiment: DirectExperiment) -> Built:
    vocabulary = build_units(100) if experiment.data.units else None
    ids = [torch.tensor([3, 14, 99, 5]), torch.tensor([6, 7])]
    mels = [torch.randn(experiment.data.mel.n_mels, n) - 5 for n in (12, 5)]
    durations = [np.full(4, 3), np.array([2, 3])]
    model = direct_speech.build_model(experiment, vocabulary)
    if experiment.frozen_views:
        model.encoder.requires_grad_(False)
    speech = collate(ids if vocabulary else [one[:0] for one in ids], mels)
    pictures = torch.randn(2, 4, experiment.encoder.n_features)
    units = UnitSymbols(UnitColumn(None, vocabulary, "lossless", 0.04)) if vocabulary else None  # type: ignore[arg-type]
    objective = LESSONS[experiment.model.name].build(experiment, experiment.typed_loss(), units)
    batch = direct_batch(SpokenMelBatch(pictures, speech, tuple(durations) if vocabulary else None))
    return model, objective.training_loss(model, batch, 0)[0]


def step_recognizer(experiment: RecognizingExperiment) -> Built:
    model = recognizing.build_model(experiment)
    mel = torch.randn(2, experiment.data.mel.n_mels, 50)
    batch = HeardBatch(mel, torch.tensor([50, 41]), torch.tensor([[5, 6, 6], [9, 0, 0]]), torch.tensor([3, 1]), 0)
    return model, RecognizingObjective(build_letters(), experiment.data.names).training_loss(model, batch, 0)[0]


# A new kind of training says here how it takes its first step.
STEPS: dict[str, Callable[[Any], Built]] = {
    "encoder": step_encoder,
    "captioner": step_captioner,
    "acoustic": step_acoustic,
    "parallel-acoustic": step_parallel,
    "aligner": step_aligner,
    "unit-to-mel": step_parallel,
    "vocoder": step_vocoder,
    "vocos": step_vocos,
    "photograph": step_photograph,
    "units": step_units,
    "wavenet-units": step_wavenet_units,
    "recognizer": step_recognizer,
    "direct": step_direct,
}


def fit_k_means_units(experiment: KMeansLearningExperiment) -> None:
    random, n_codes = np.random.default_rng(0), experiment.k_means.n_codes
    waves = [random.normal(0, 0.1, 16000).astype(np.float32) for _ in range(1 + n_codes // 10)]
    units = core_k_means_units.fit_k_means_units(waves, replace(experiment.k_means, n_steps=2), experiment.model)
    assert len(units.vocabulary) == n_codes + 3


# What is learned in one go, without steps, says here how it learns from noise.
FITS: dict[str, Callable[[Any], None]] = {"k-means-units": fit_k_means_units}


def test_there_are_configurations_of_every_kind() -> None:
    assert {read(path)["kind"] for path in CONFIGS} == set(STEPS) | set(FITS)


def test_it_takes_a_step(path: Path) -> None:
    torch.manual_seed(0)
    experiment, _ = build_experiment(read(path), path.name)
    if experiment.kind in FITS:
        FITS[experiment.kind](experiment)
        return
    model, loss = STEPS[experiment.kind](experiment)
    assert loss.shape == ()
    assert bool(loss.isfinite())
    optimizer = build_optimizer(model.named_parameters(), experiment.optimizer)
    loss.backward()
    optimizer.step()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained
    assert all(bool(parameter.isfinite().all()) for parameter in trained)


def test_it_says_the_same_when_written_out_and_read_again(path: Path) -> None:
    experiment, _ = build_experiment(read_configuration(path), path.name)
    assert build_experiment(to_mapping(experiment), "again")[0] == experiment


def test_its_schedule_ends_within_the_run(path: Path) -> None:
    experiment, _ = build_experiment(read_configuration(path), path.name)
    if experiment.kind in FITS:
        pytest.skip("is learned without steps")
    steps = experiment.trainer.max_steps
    assert experiment.optimizer.warmup_steps < steps
    last = learning_rate_factor(steps - 1, steps, experiment.optimizer)
    assert 0 < last <= 1
    for first, _ in getattr(experiment.data, "sizes", ()):
        assert first < steps, "a size that never comes"


def test_its_mel_is_the_one_that_bundles_share(path: Path) -> None:
    experiment, _ = build_experiment(read_configuration(path), path.name)
    with_mel = SynthesisExperiment | ParallelExperiment | VocoderExperiment | VocosExperiment | RecognizingExperiment
    with_mel |= DirectExperiment
    if isinstance(experiment, with_mel):
        assert experiment.data.mel == MelSpec()


def test_names_are_taken_once() -> None:
    """A run goes to the folder of its name."""
    names = [read(path)["name"] for path in CONFIGS]
    assert len(set(names)) == len(names)


def test_weights_come_from_runs_that_are_configured() -> None:
    names = {read_configuration(path)["name"] for path in CONFIGS}
    for path in CONFIGS:
        for option in WEIGHTS:
            weights = read_configuration(path).get(option)
            if weights:
                assert Path(weights).parts[:-1] in {("work", name) for name in names}, f"{path.name}: {option}"
        run = read_configuration(path).get("aligner_from")
        assert run is None or Path(run).parts in {("work", name) for name in names}, path.name


def test_unknown_options_are_errors(path: Path) -> None:
    sections: list[str | None] = [None]
    sections += [name for name, value in read(path).items() if isinstance(value, dict)]
    for section in sections:
        if section == "decoder":
            continue
        mapping = read(path)
        (mapping[section] if section else mapping)["misspelt"] = 1
        with pytest.raises(ConfigurationError, match="misspelt"):
            build_experiment(mapping, path.name)


def test_unknown_options_of_the_decoder_are_errors() -> None:
    for path in CONFIGS:
        mapping = read(path)
        if mapping["kind"] == "captioner":
            mapping["decoder"]["options"]["misspelt"] = 1
            experiment, _ = build_experiment(mapping, path.name)
            with pytest.raises(ConfigurationError, match="misspelt"):
                captioning.build_model(experiment, build_words(CAPTIONS))
