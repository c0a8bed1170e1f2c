"""How the layers that read and write symbols begin."""

from torch import nn

from optophone.core.errors import ConfigurationError


def initialize_symbols(embedding: nn.Embedding, output: nn.Linear, tied: bool) -> None:
    """Small weights for the embedding and the output layer; tied, they share one matrix.

    Source: Press and Wolf 2017, "Using the Output Embedding to Improve Language Models".

    Raises:
        ConfigurationError: tied, and the output layer reads another number of features than the embedding has.
    """
    nn.init.uniform_(embedding.weight, -0.1, 0.1)
    nn.init.uniform_(output.weight, -0.1, 0.1)
    nn.init.zeros_(output.bias)
    if tied:
        if output.weight.shape != embedding.weight.shape:
            read, embedded = output.in_features, embedding.embedding_dim
            raise ConfigurationError(f"tied_embeddings: the output layer reads {read} features, not {embedded}.")
        output.weight = embedding.weight
