"""Units of speech from a self-supervised model of transformers: HuBERT, wav2vec 2.0, WavLM."""

import hashlib
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.k_means import nearest
from optophone.core.vocabulary import build_units

MAX_SECONDS = 30  # of one window; longer sound is encoded piece by piece, because attention grows with the square


class SpeechModelUnits:
    """Wave → units (a `UnitEncoder`): the nearest centre to a layer's vector, one every 20 ms.

    Args:
        path_or_name: a folder with config.json, preprocessor_config.json and model.safetensors; or a name on the hub
            ("facebook/hubert-base-ls960"), which transformers downloads or finds in its cache.
        layer: whose output counts, from 1; 0 is what goes into the first.
        centres: a `.npy` (K, D), or a `.npz` with "centres"; as `core.k_means.fit_k_means` finds them in `features`.
        revision: of the files on the hub.

    Raises:
        ConfigurationError: no such model there, one whose weights are not whole, no such layer, or centres that do not
            fit it.
        ModuleNotFoundError: transformers is not installed.

    Source: Hsu et al. 2021, "HuBERT"; Lakhotia et al. 2021, "On generative spoken language modeling from raw audio".
    """

    def __init__(self, path_or_name: str | Path, layer: int, centres: str | Path, revision: str | None = None) -> None:
        import transformers

        self.name, self.layer = str(path_or_name), layer
        options: dict[str, Any] = {"trust_remote_code": False, "revision": revision or "main"}
        options["local_files_only"] = Path(path_or_name).is_dir()
        reader: Any = transformers.AutoModel
        try:
            self.extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(self.name, **options)
            self.model, facts = reader.from_pretrained(
                self.name, use_safetensors=True, dtype="float32", output_loading_info=True, **options
            )
        except Exception as error:  # transformers, its hub and safetensors raise many kinds on a wrong folder
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(
                f"{self.name}: no speech model that transformers can load; give a folder with config.json, "
                f"preprocessor_config.json and model.safetensors, or a name on the hub ({reason})."
            ) from None
        if facts["missing_keys"]:
            first = min(map(str, facts["missing_keys"]))
            raise ConfigurationError(f"{self.name}: weights are missing, {first} for one; download the model again.")
        self.model.requires_grad_(False).eval()
        config = self.model.config
        if not hasattr(config, "conv_stride"):
            raise ConfigurationError(f"{self.name}: no HuBERT, wav2vec 2.0 or WavLM; it takes no wave.")
        if not 0 <= layer <= config.num_hidden_layers:
            raise ConfigurationError(f"{self.name}: layer {layer}: there are 0 to {config.num_hidden_layers}.")
        self.centres = read_centres(Path(centres), config.hidden_size)
        self.vocabulary = build_units(len(self.centres))
        self.sample_rate = int(self.extractor.sampling_rate)

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        return math.prod(self.model.config.conv_stride) / self.sample_rate

    @property
    def content(self) -> str:
        """SHA-256 (hex) of what decides on the units: the model's name, the layer and the centres."""
        facts = f"{Path(self.name).name} {self.layer} ".encode()
        return hashlib.sha256(facts + self.centres.tobytes()).hexdigest()

    def features(self, wave: np.ndarray) -> np.ndarray:
        """(T, D) float32 of `wave` (N,) at `sample_rate`, a vector every `unit_s`.

        Raises:
            AudioError: the wave is shorter than what one vector is made of.
        """
        size = MAX_SECONDS * self.sample_rate
        starts = range(0, len(wave), size)
        found = [
            self._features(wave[start : start + size]) for start in starts if start == 0 or len(wave) - start > 800
        ]
        if not found or not len(found[0]):
            raise AudioError("the sound is too short to have units; give at least 50 milliseconds.")
        return np.concatenate(found)

    def _features(self, wave: np.ndarray) -> np.ndarray:
        inputs = self.extractor(wave, sampling_rate=self.sample_rate, return_tensors="pt")
        try:
            output = self.model(inputs["input_values"], output_hidden_states=True)
        except RuntimeError:  # shorter than the convolutions' reach
            return np.zeros((0, self.centres.shape[1]), np.float32)
        return output.hidden_states[self.layer][0].numpy()

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Ids (S,) int64 of `vocabulary`, one per `unit_s`, of `wave` (N,) at `sample_rate`."""
        return nearest(self.features(wave), self.centres)[0] + len(self.vocabulary) - len(self.centres)


def read_centres(path: Path, dim: int) -> np.ndarray:
    """Centres (K, dim) float32 of a `.npy`, or of "centres" in a `.npz`.

    Raises:
        ConfigurationError: missing, pickled (then with the way out), or of another size.
    """
    try:
        content = np.load(path, allow_pickle=False)
        centres = content["centres"] if isinstance(content, np.lib.npyio.NpzFile) else content
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such centres; give a .npy of K rows.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise ConfigurationError(
            f"{path}: no plain centres; of a pickled k-means that you trust make them by numpy.save('centres.npy', "
            "joblib.load(FILE).cluster_centers_)."
        ) from None
    if centres.dtype.kind != "f" or centres.ndim != 2 or len(centres) == 0 or centres.shape[1] != dim:
        raise ConfigurationError(f"{path}: centres of shape {centres.shape}; this model's vectors have {dim} features.")
    if not np.isfinite(centres).all():
        raise ConfigurationError(f"{path}: centres that are no numbers; make them again.")
    return np.ascontiguousarray(centres, np.float32)
