"""How likely words follow one another, counted in sentences."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BEGIN, END = "<s>", "</s>"
_DISCOUNT = 0.5  # of absolute discounting
_NEVER = 1e-9  # the probability that a word is the beginning of a sentence, which is where one begins

Gram = tuple[str, ...]


@dataclass(frozen=True)
class WordNgrams:
    """An n-gram model that backs off to shorter histories.

    Args:
        probabilities: of order 1, 2 and so on: gram to the probability of its last word after the others.
        weights: of histories of length 1, 2 and so on: what the probability of a word that never followed there is
            multiplied with, after the shorter history.
    """

    probabilities: tuple[Mapping[Gram, float], ...]
    weights: tuple[Mapping[Gram, float], ...]

    @property
    def order(self) -> int:
        """The longest gram."""
        return len(self.probabilities)

    @property
    def words(self) -> list[str]:
        """All words, in alphabetical order."""
        return sorted(gram[0] for gram in self.probabilities[0] if gram[0] not in (BEGIN, END))

    def log_prob(self, history: Gram, word: str) -> float:
        """Natural logarithm of the probability of `word`, or of `END`, after `history`, which begins with `BEGIN`.

        Raises:
            KeyError: there is no such word.
        """
        log_weight = 0.0
        for length in range(min(self.order - 1, len(history)), 0, -1):
            recent = history[-length:]
            probability = self.probabilities[length].get((*recent, word))
            if probability is not None:
                return log_weight + math.log(probability)
            log_weight += math.log(self.weights[length - 1].get(recent, 1.0))
        return log_weight + math.log(self.probabilities[0][(word,)])


def count_ngrams(sentences: Sequence[Sequence[str]], order: int) -> WordNgrams:
    """The n-grams of `sentences`, interpolated by absolute discounting: P(w|h) = (c(hw) - d) / c(h) + λ(h) P(w|h').

    Source: Ney, Essen & Kneser 1994, "On structuring probabilistic dependences in stochastic language modelling".
    """
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        symbols = (BEGIN, *sentence, END)
        for n in range(1, order + 1):
            counts[n - 1].update(symbols[i : i + n] for i in range(len(symbols) - n + 1))
    del counts[0][(BEGIN,)]
    total = counts[0].total()
    probabilities = [{gram: count / total for gram, count in counts[0].items()}]
    all_weights: list[dict[Gram, float]] = []
    for n in range(2, order + 1):
        histories: Counter[Gram] = Counter()
        kinds: Counter[Gram] = Counter()
        for gram, count in counts[n - 1].items():
            histories[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        weights = {history: _DISCOUNT * kinds[history] / histories[history] for history in histories}
        lower = probabilities[-1]
        probabilities.append(
            {
                gram: (count - _DISCOUNT) / histories[gram[:-1]] + weights[gram[:-1]] * lower[gram[1:]]
                for gram, count in counts[n - 1].items()
            }
        )
        all_weights.append(weights)
    probabilities[0][(BEGIN,)] = _NEVER
    return WordNgrams(tuple(probabilities), tuple(all_weights))
