"""What the vocabulary of a folder is: its kind, what it does to case and accents, special ids."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unblank.tokenization.special import BLANK_TOKENS
from unblank.untrusted.json_text import read_json_object

__all__ = ["vocabulary_facts"]

_KINDS = {"WordPiece": "wordpiece", "Unigram": "unigram", "BPE": "bpe"}
_MOST_SHOWN = 14


def vocabulary_facts(folder: Path) -> dict[str, str]:
    """Return the facts of `tokenizer.json` for people.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    content = read_json_object(folder / "tokenizer.json")
    model = content.get("model")
    model = model if isinstance(model, Mapping) else {}
    vocabulary = model.get("vocab")
    vocabulary = vocabulary if isinstance(vocabulary, Mapping | list) else ()
    added = content.get("added_tokens")
    added = [one for one in (added if isinstance(added, list) else ()) if isinstance(one, Mapping)]
    own = vocabulary.values() if isinstance(vocabulary, Mapping) else range(len(vocabulary))
    ids = {one for one in (*own, *(one.get("id") for one in added)) if isinstance(one, int)}
    special = {str(one.get("content")): one.get("id") for one in added if one.get("special")}
    shown = [f"{name} {number}" for name, number in list(special.items())[:_MOST_SHOWN]]
    more = len(special) - len(shown)
    blanks = [name for name in BLANK_TOKENS if name in special]
    kind = str(model.get("type", "unknown"))
    return {
        "kind": _KINDS.get(kind, kind),
        "tokens": f"{len(ids):,}",
        "case": "lower-cased" if _lower_cases(content) else "kept",
        "accents": "removed" if _strips_accents(content) else "kept",
        "blanks": ", ".join(blanks) or "none",
        "special ids": ", ".join(shown) + (f" and {more:,} more" if more else ""),
    }


def _normalizers(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = [content.get("normalizer")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield one
            inner = one.get("normalizers")
            waiting += inner if isinstance(inner, list) else []


def _lower_cases(content: Mapping[str, Any]) -> bool:
    return any(
        one.get("type") == "Lowercase"
        or (one.get("type") == "BertNormalizer" and one.get("lowercase"))
        for one in _normalizers(content)
    )


def _strips_accents(content: Mapping[str, Any]) -> bool:
    for one in _normalizers(content):
        if one.get("type") == "StripAccents":
            return True
        if one.get("type") == "BertNormalizer":
            asked = one.get("strip_accents")
            # Without a word about it, BERT's removes accents where it lower-cases.
            if asked or (asked is None and one.get("lowercase")):
                return True
    return False
