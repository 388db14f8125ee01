"""How a tokenizer treats each language: how long its text becomes, and what is lost.

Tokens a word, a character and a byte, what share of the tokens are only parts of a character, what
normalisation changes, and the tax: how many tokens the same sentences take, compared with English
(Petrov et al. 2023 call it the premium).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from unblank.languages import find_language, language_name
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.fidelity import count_words
from unblank.tokenization.special import special_ids
from unblank.tokenization.token_bytes import token_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["LanguageRow", "describe_languages", "group_means", "length_counts"]

_ENGLISH = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthCounts:
    """What a text consists of.

    Attributes:
        words: as white space cuts it.
        characters: code points.
        num_bytes: of UTF-8.
        tokens: of the tokenizer.
        fallback: of these, those that are only a part of a character, or unknown.
        changed: words that normalisation changes.
    """

    words: int
    characters: int
    num_bytes: int
    tokens: int
    fallback: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRow:
    """One language of the report.

    Attributes:
        language: code; the entry if it has none.
        name: in English.
        script: ISO 15924, empty if it is not known.
        counts: of its text.
        kept: share of the words (runs of letters, marks and digits) that survive a round trip.
        tax: tokens of the parallel sentences, divided by those of the English ones; None without.
        num_parallel: of these sentences.
    """

    language: str
    name: str
    script: str
    counts: LengthCounts
    kept: float
    tax: float | None
    num_parallel: int

    @property
    def ratios(self) -> dict[str, float]:
        """The numbers of the report by name; shares are in percent."""
        counts = self.counts
        found = {
            "tokens a word": counts.tokens / max(counts.words, 1),
            "tokens a character": counts.tokens / max(counts.characters, 1),
            "tokens a byte": counts.tokens / max(counts.num_bytes, 1),
            "fallback %": 100 * counts.fallback / max(counts.tokens, 1),
            "changed %": 100 * counts.changed / max(counts.words, 1),
            "kept %": 100 * self.kept,
        }
        return found if self.tax is None else {**found, "tax": self.tax}

    def as_json(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {**asdict(self), **self.ratios}


def length_counts(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> LengthCounts:
    """Return what texts consist of."""
    spelt = token_bytes(tokenizer)
    unknown = special_ids(tokenizer).unk
    partial = {number for number, piece in enumerate(spelt) if _is_partial(piece)} | {unknown}
    encoded = encode_texts(tokenizer, texts, warn_on_unknown=False)
    words = [word for text in texts for word in text.split()]
    normalizer = tokenizer.backend_tokenizer.normalizer
    return LengthCounts(
        words=len(words),
        characters=sum(map(len, texts)),
        num_bytes=sum(len(text.encode()) for text in texts),
        tokens=sum(map(len, encoded)),
        fallback=sum(number in partial for ids in encoded for number in ids),
        changed=0
        if normalizer is None
        else sum(_bare(normalizer.normalize_str(word)) != word for word in words),
    )


def describe_languages(
    tokenizer: "PreTrainedTokenizerFast",
    texts: Mapping[str, Sequence[str]],
    parallel: Mapping[str, Sequence[str]] | None = None,
) -> list[LanguageRow]:
    """Return a row for each language, in their order.

    Args:
        tokenizer: any that transformers opens.
        texts: code of a language (or an entry without one) -> its documents. Languages that are
            only in `parallel` are described by those sentences.
        parallel: code -> sentences, of all languages the same in the same order; an empty one is
            missing. English must be among them.

    Raises:
        ValueError: if the parallel sentences have no English, or languages differ in their number.
    """
    aligned = dict(parallel or {})
    if aligned and _ENGLISH not in aligned:
        raise ValueError(
            f"the parallel sentences are in {', '.join(aligned)}: the tax, which compares with "
            "English, needs it (en), too"
        )
    if len({len(sentences) for sentences in aligned.values()}) > 1:
        raise ValueError(
            "the languages have different numbers of parallel sentences: give as many in each"
        )
    lengths = {
        code: [len(ids) for ids in encode_texts(tokenizer, sentences, warn_on_unknown=False)]
        for code, sentences in aligned.items()
    }
    rows = []
    for code in dict.fromkeys([*texts, *aligned]):
        own = [text for text in texts.get(code) or aligned[code] if text]
        tax, num_parallel = _tax(lengths, code)
        words = count_words(tokenizer, own)
        rows.append(
            LanguageRow(
                language=code,
                name=_name(code),
                script=_script(code),
                counts=length_counts(tokenizer, own),
                kept=words.kept / max(words.total, 1),
                tax=tax,
                num_parallel=num_parallel,
            )
        )
    return rows


def group_means(rows: Sequence[LanguageRow]) -> dict[str, dict[str, float]]:
    """Return script -> name -> mean over its languages with equal weight, most languages first."""
    groups: dict[str, list[LanguageRow]] = {}
    for row in rows:
        groups.setdefault(row.script or "?", []).append(row)
    return {
        script: {name: _mean(row.ratios.get(name) for row in some) for name in _names(some)}
        for script, some in sorted(groups.items(), key=lambda item: -len(item[1]))
    }


def _names(rows: Sequence[LanguageRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.ratios))


def _mean(values: Iterable[float | None]) -> float:
    return fmean(value for value in values if value is not None)


def _tax(lengths: Mapping[str, Sequence[int]], code: str) -> tuple[float | None, int]:
    """Return the ratio to English over the sentences that both have, and their number."""
    if code not in lengths:
        return None, 0
    pairs = zip(lengths[code], lengths[_ENGLISH], strict=True)
    both = [(own, english) for own, english in pairs if own and english]
    if not both:
        return None, 0
    return sum(own for own, _ in both) / sum(english for _, english in both), len(both)


def _is_partial(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return False


def _bare(normalized: str) -> str:
    return normalized.replace("\u2581", " ").strip()


def _name(code: str) -> str:
    try:
        return language_name(code)
    except ValueError:
        return code


def _script(code: str) -> str:
    try:
        return find_language(code).script
    except ValueError:
        return ""
