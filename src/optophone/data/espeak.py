"""espeak-ng as it is installed, for the speech and the phones of data sets."""

from optophone.core.espeak import Espeak, EspeakConfig, EspeakLibrary, EspeakProgram


def load_espeak(config: EspeakConfig) -> Espeak:
    """The library where it is installed, else the program; DataError with a hint where neither is."""
    try:
        import espeakng_loader
    except ImportError:
        return EspeakProgram(config)
    return EspeakLibrary(config, espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
