"""Retrieval accuracy of translations from the states of a model, by language and layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.aligning.states import sentence_states
from unblank.data.drawing import draw_from_files
from unblank.data.fields import is_visible
from unblank.data.language_sources import parse_entry
from unblank.data.parallel import read_parallel, read_parallel_pairs
from unblank.languages import find_language
from unblank.metrics.retrieval import retrieval_accuracy

__all__ = ["Alignment", "measure_alignment", "read_translations"]

_ENGLISH = "en"

_Translations = Mapping[str, Sequence[tuple[str, str]]]
"""Language -> (sentence, the same in English)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """What was measured of a model.

    Attributes:
        to_english: language -> accuracy of each layer, in percent, when English is searched.
        from_english: the same when the language is searched.
        states: language -> float32[L + 1, N, D], English among them.
    """

    to_english: Mapping[str, list[float]]
    from_english: Mapping[str, list[float]]
    states: Mapping[str, NDArray[np.float32]]

    @property
    def means(self) -> list[float]:
        """Mean accuracy of each layer over languages and both directions."""
        both = [*self.to_english.values(), *self.from_english.values()]
        return [fmean(values) for values in zip(*both, strict=True)]

    @property
    def best_layer(self) -> int:
        """The layer with the highest mean, 0 are the embeddings; of equal ones the first."""
        return max(range(len(self.means)), key=lambda layer: self.means[layer])

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as values that JSON can hold."""
        return {
            "mean_by_layer": self.means,
            "best_layer": self.best_layer,
            "to_english": dict(self.to_english),
            "from_english": dict(self.from_english),
        }


def read_translations(
    entry: str, *, limit: int, english_field: str = "eng", languages: Sequence[str] = ()
) -> dict[str, list[tuple[str, str]]]:
    """Return sentences and their English, of each language a fixed random choice.

    Args:
        entry: `FILE:{lang}` with one field a language, or `FILE@{lang}` with English beside each.
        limit: sentences of a language, at most.
        english_field: field of the English side of `FILE@{lang}`.
        languages: codes of those to keep; none keeps all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the entry has no languages, one that is wanted is not there, or only English.
    """
    parts = parse_entry(entry)
    if parts.language:
        found = read_parallel_pairs(parts, english_field)
    else:
        aligned = read_parallel(parts)
        english = aligned.pop(_ENGLISH, [])
        found = {code: list(zip(some, english, strict=False)) for code, some in aligned.items()}
    kept = {
        code: [pair for pair in pairs if all(map(is_visible, pair))]
        for code, pairs in found.items()
    }
    wanted = [find_language(code).code for code in languages]
    for code in wanted:
        if not kept.get(code):
            raise ValueError(f"no sentences in {code} in {entry}: there are {', '.join(kept)}")
    chosen = {
        code: draw_from_files(pairs, limit, lambda pair: "one file, all")
        for code, pairs in kept.items()
        if pairs and code != _ENGLISH and (not wanted or code in wanted)
    }
    if not chosen:
        raise ValueError(f"{entry} has no sentences in another language with their English")
    return chosen


def measure_alignment(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    translations: _Translations,
    *,
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda done: None,
) -> Alignment:
    """Return how well translations find one another by the states of a model.

    English sentences that several languages have are read once.

    Args:
        model: of any family.
        tokenizer: of the model.
        translations: of each language; English is searched among those of the same language.
        batch_size: sentences of a forward pass.
        advance: called with the number of sentences that were just done.
    """
    model.eval()

    def states_of(sentences: Sequence[str]) -> NDArray[np.float32]:
        return sentence_states(model, tokenizer, sentences, batch_size=batch_size, advance=advance)

    english = list(dict.fromkeys(other for pairs in translations.values() for _, other in pairs))
    places = {sentence: place for place, sentence in enumerate(english)}
    english_states = states_of(english)
    to_english, from_english, states = {}, {}, {}
    for code, pairs in translations.items():
        own = states_of([sentence for sentence, _ in pairs])
        others = english_states[:, [places[other] for _, other in pairs]]
        layers = list(zip(own, others, strict=True))
        to_english[code] = [retrieval_accuracy(*layer) for layer in layers]
        from_english[code] = [retrieval_accuracy(other, one) for one, other in layers]
        states[code] = own
    first = next(iter(translations.values()))
    states[_ENGLISH] = english_states[:, [places[other] for _, other in first]]
    return Alignment(to_english=to_english, from_english=from_english, states=states)
