"""Any captioner of transformers that describes a picture unasked: ViT-GPT-2, BLIP, GIT and their kin."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from optophone.core.confidence import confidence_of_scores
from optophone.core.errors import ConfigurationError, PictureError
from optophone.core.protocols import Caption
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary

DEFAULT_BEAM = 3
DEFAULT_LENGTH = 30
_MAX_SYMBOL = 256
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


@dataclass(frozen=True)
class _Generated:
    """Symbols that a model wrote after its prompt, the end included, and their natural-log probabilities."""

    ids: tuple[int, ...]
    log_probs: tuple[float, ...]


class TransformersCaptioner:
    """Picture → pieces of words (a `Captioner`) by a model of transformers.

    Its vocabulary is that of the model's tokenizer; `Caption.text` is what the tokenizer makes of the pieces. The
    confidence is exp(mean log-probability of a piece): it is fitted to nothing, unlike that of our own captioners.

    Args:
        path_or_name: a folder with config.json, preprocessor_config.json, tokenizer files and model.safetensors; or a
            name on the hub ("Salesforce/blip-image-captioning-base"), which transformers downloads or finds in its
            cache.
        revision: of the files on the hub.

    Raises:
        ConfigurationError: no captioner there, or one whose weights are pickled or not whole.
        ModuleNotFoundError: transformers is not installed.
    """

    def __init__(self, path_or_name: str | Path, revision: str | None = None) -> None:
        import transformers

        self.name = str(path_or_name)
        options: dict[str, Any] = {"trust_remote_code": False, "revision": revision or "main"}
        options["local_files_only"] = Path(path_or_name).is_dir()
        try:
            with _quiet(transformers):
                self.processor: Any = transformers.AutoImageProcessor.from_pretrained(self.name, **options)
                self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.name, **options)
                reader: Any = transformers.AutoModelForImageTextToText
                self.model, facts = reader.from_pretrained(
                    self.name, use_safetensors=True, dtype="float32", output_loading_info=True, **options
                )
        except Exception as error:  # transformers, its hub and safetensors raise many kinds on a wrong folder
            raise ConfigurationError(f"{self.name}: {_why_not(error, Path(path_or_name))}") from None
        for problem in ("missing_keys", "mismatched_keys"):
            if facts[problem]:
                first = min(map(str, facts[problem]))
                raise ConfigurationError(f"{self.name}: weights are missing, {first} for one; download it again.")
        self.model.requires_grad_(False).eval()
        self.ends = _end_ids(self.model, self.tokenizer)
        self.vocabulary = _vocabulary_of(self.tokenizer)
        self.search = _search_of(self.model.generation_config)

    @property
    def at_least(self) -> int | None:
        """A side of what a picture may be shrunk to while it is decoded: three times what the model takes."""
        size = getattr(self.processor, "size", None)
        sides = [side for side in dict(size or {}).values() if isinstance(side, int)]
        return 3 * max(sides) if sides else None

    def caption(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Caption]:
        """Describe `picture` (H, W, 3) uint8 RGB; `n_results` captions, best first.

        Of a search, `length_penalty` is that of transformers (the sum of log-probabilities is divided by
        length ** penalty), and beams end as soon as there are enough sentences.

        Raises:
            PictureError: the model cannot prepare a picture of this shape.
            ConfigurationError: the search has groups or forbids repeats, or the model needs more than a picture.
        """
        import transformers

        config = search or self.search
        _check_search(config)
        height, width = picture.shape[:2]
        try:
            pixels = self.processor(images=Image.fromarray(picture), return_tensors="pt")["pixel_values"]
        except (ValueError, ZeroDivisionError) as error:
            raise PictureError(f"A picture of {width} x {height} pixels is not for this captioner ({error}).") from None
        try:
            with _quiet(transformers):
                output = self.model.generate(pixel_values=pixels, **generation_options(config, transformers))
        except (ValueError, TypeError, KeyError, RuntimeError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(f"{self.name}: cannot describe a picture unasked ({reason}).") from None
        captions = [self._caption(written) for written in generated(output, self.ends)]
        if config.method == "sample":
            captions.sort(key=lambda caption: -caption.log_prob)
        return captions

    def _caption(self, written: _Generated) -> Caption:
        ended = bool(written.ids) and written.ids[-1] in self.ends
        ids = written.ids[:-1] if ended else written.ids
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return Caption(
            ids=ids,
            log_prob=sum(written.log_probs),
            confidence=confidence_of_scores(written.log_probs, None),
            token_log_probs=written.log_probs,
            text=" ".join(text.split()),
        )


def generation_options(config: SearchConfig, transformers: Any) -> dict[str, Any]:
    """A search in the words of transformers' `generate`."""
    options: dict[str, Any] = {
        "max_new_tokens": config.max_length,
        "min_new_tokens": config.min_length,
        "no_repeat_ngram_size": config.block_ngram,
        "num_return_sequences": config.n_results,
        "num_beams": config.beam_size if config.method == "beam" else 1,
        "do_sample": config.method == "sample",
        "suppress_tokens": list(config.forbidden) or None,
        "return_dict_in_generate": True,
        "output_logits": True,
        "max_length": None,
    }
    if config.method == "beam":
        options |= {"length_penalty": config.length_penalty, "early_stopping": True}
    if config.method == "sample":
        warpers: list[Any] = [transformers.TemperatureLogitsWarper(config.temperature)]
        warpers += [transformers.TopKLogitsWarper(config.top_k)] if config.top_k else []
        warpers += [transformers.TopPLogitsWarper(config.top_p)] if config.top_p < 1 else []
        draw = GumbelDraw(config.seed)
        options |= {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
        options["logits_processor"] = transformers.LogitsProcessorList([*warpers, draw])
    return options


class GumbelDraw:
    """Draws the next symbol with random numbers of its own, so that a seed says all and no other draw is disturbed.

    The largest of the logits, each with a number of Gumbel's distribution added, is a draw from their softmax; all but
    it become impossible.

    Args:
        seed: the same one draws the same symbols.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores (N, V): 0 for the symbol that is drawn, minus infinity for the others."""
        noise = scores.new_tensor(self.random.gumbel(size=tuple(scores.shape)))
        drawn = (scores + noise).argmax(-1, keepdim=True)
        return scores.new_full(scores.shape, float("-inf")).scatter(1, drawn, 0.0)


def generated(output: Any, ends: Sequence[int]) -> list[_Generated]:
    """What a model wrote, with the log-probabilities that it gave itself: before any search or rule changed them.

    Args:
        output: of `generate`, with `logits`.
        ends: ids that end a sentence.
    """
    beams = getattr(output, "beam_indices", None)
    n_rows, n_symbols = output.sequences.shape
    # The prompt comes first. A row of beams is as long as what was kept, not as what was tried.
    n_written = len(output.logits) if beams is None else int((beams >= 0).sum(1).max())
    found = []
    for row in range(n_rows):
        ids, log_probs = [], []
        for step, number in enumerate(output.sequences[row, n_symbols - n_written :].tolist()):
            source = row if beams is None else int(beams[row, step])
            if source < 0:
                break
            ids.append(number)
            log_probs.append(float(output.logits[step][source].log_softmax(-1)[number]))
            if number in ends:
                break
        found.append(_Generated(tuple(ids), tuple(log_probs)))
    return found


def _check_search(config: SearchConfig) -> None:
    if config.groups > 1:
        raise ConfigurationError("a captioner of transformers searches without groups; leave --diverse out.")
    if config.forbid_repeats:
        raise ConfigurationError("a captioner of transformers writes pieces of words; leave --forbid-repeats out.")


def _search_of(generation: Any) -> SearchConfig:
    """How the model's makers search, as far as they say it."""
    beam = getattr(generation, "num_beams", None) or 1
    penalty = getattr(generation, "length_penalty", None)
    return SearchConfig(
        beam_size=beam if beam > 1 else DEFAULT_BEAM,
        max_length=getattr(generation, "max_new_tokens", None) or DEFAULT_LENGTH,
        length_penalty=max(0.0, 1.0 if penalty is None else penalty),
        length_norm="power",
        block_ngram=getattr(generation, "no_repeat_ngram_size", None) or 0,
    )


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end a sentence, wherever the model keeps them."""
    text = model.config.get_text_config(decoder=True)
    found: list[Any] = [getattr(tokenizer, "eos_token_id", None), getattr(tokenizer, "sep_token_id", None)]
    for place in (model.generation_config, model.config, text):
        found += [getattr(place, "eos_token_id", None), getattr(place, "sep_token_id", None)]
    flat = [one for each in found for one in (each if isinstance(each, list) else [each])]
    return tuple(dict.fromkeys(one for one in flat if isinstance(one, int)))


def _vocabulary_of(tokenizer: Any) -> Vocabulary:
    """The pieces of a tokenizer; those that are none, doubled or too long are named by their number."""
    symbols: dict[str, int] = {}
    for number, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        usable = isinstance(piece, str) and 0 < len(piece) <= _MAX_SYMBOL and piece not in symbols
        symbols[piece if usable else f"<{number}>"] = number
    special = [getattr(tokenizer, name, None) for name in ("pad_token_id", "bos_token_id", "eos_token_id")]
    pad, start, end = (one if one is not None and one < len(symbols) else None for one in special)
    # Pieces keep no places when something else is said, like characters: variants come from one beam, not from groups.
    return Vocabulary("characters", tuple(symbols), pad=pad or 0, start=start, end=end)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the library's advice to programmers, and without its bars."""
    logging = transformers.utils.logging
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def _why_not(error: Exception, folder: Path) -> str:
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickled:
            return (
                f"has no safetensors, only {pickled[0]}, which could run any code; where you trust it, load it with "
                "transformers and save it with save_pretrained."
            )
    reason = " ".join(str(error).split())[:200]
    return (
        "no captioner that transformers can load; give a folder with config.json, preprocessor_config.json, tokenizer "
        f"and model.safetensors, or a name on the hub ({reason})."
    )
