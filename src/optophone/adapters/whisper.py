"""Whisper as a recogniser, through transformers: a far better ear than ours, and a far larger one."""

from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError
from optophone.core.text import spoken_words

SAMPLE_RATE = 16000
MAX_SECONDS = 30  # of one window; longer sound is heard piece by piece
MAX_SYMBOLS = 200


class WhisperRecognizer:
    """Wave → words (a `SpeechRecognizer`), by a Whisper model, greedily, in English.

    Args:
        path_or_name: a folder with config.json, preprocessor_config.json, tokenizer files and model.safetensors; or a
            name on the hub ("openai/whisper-base.en"), which transformers downloads or finds in its cache.
        revision: of the files on the hub.

    Raises:
        ConfigurationError: no Whisper there, or one whose weights are not whole.
        ModuleNotFoundError: transformers is not installed.

    Source: Radford et al. 2022, "Robust speech recognition via large-scale weak supervision".
    """

    def __init__(self, path_or_name: str | Path, revision: str | None = None) -> None:
        import transformers

        self.name = str(path_or_name)
        options: dict[str, Any] = {"trust_remote_code": False, "revision": revision or "main"}
        options["local_files_only"] = Path(path_or_name).is_dir()
        try:
            self.processor: Any = transformers.WhisperProcessor.from_pretrained(self.name, **options)
            whisper: Any = transformers.WhisperForConditionalGeneration
            self.model, facts = whisper.from_pretrained(
                self.name, use_safetensors=True, output_loading_info=True, **options
            )
        except Exception as error:  # transformers, its hub and safetensors raise many kinds on a wrong folder
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(
                f"{self.name}: no Whisper that transformers can load; give a folder with config.json, "
                f"preprocessor_config.json, tokenizer and model.safetensors, or a name on the hub ({reason})."
            ) from None
        if facts["missing_keys"]:
            first = sorted(facts["missing_keys"])[0]
            raise ConfigurationError(f"{self.name}: weights are missing, {first} for one; download the model again.")
        self.model.requires_grad_(False).eval()
        multilingual = getattr(self.model.generation_config, "is_multilingual", False)
        self.options: dict[str, Any] = {"language": "en", "task": "transcribe"} if multilingual else {}

    def hear(self, wave: np.ndarray, sample_rate: int) -> list[str]:
        """The words of `wave` (N,), numbers spelled out; none where it is silent."""
        if not np.any(wave):
            return []
        wave = resample(wave, sample_rate, SAMPLE_RATE)
        size = MAX_SECONDS * SAMPLE_RATE
        return [word for start in range(0, len(wave), size) for word in self._hear_window(wave[start : start + size])]

    def _hear_window(self, wave: np.ndarray) -> list[str]:
        inputs = self.processor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        n_symbols = min(MAX_SYMBOLS, self.model.config.max_target_positions // 2)
        ids = self.model.generate(inputs.input_features, max_new_tokens=n_symbols, **self.options)
        return spoken_words(self.processor.batch_decode(ids, skip_special_tokens=True)[0])
