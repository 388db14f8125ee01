"""The vocabulary inside a `tokenizer.json`: what can be dropped, and the file without it.

Kept tokens keep their order, scores and merges, so a text whose tokens are all kept is cut as
before: a Unigram's best path, a BPE's merges and a WordPiece's longest matches stay the best, the
first and the longest when others go. Nothing here counts or chooses.
"""

import re
from collections.abc import Collection, Iterable
from copy import deepcopy
from typing import Any

__all__ = ["Merges", "fallback_ids", "merges_of", "token_ids", "unknown_id", "without_tokens"]

Merges = dict[int, list[tuple[int, int]]]
"""Token id -> the pairs of ids that a BPE merges into it."""

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_WORD_START = "\u2581"
_KINDS = ("Unigram", "BPE", "WordPiece")


def token_ids(content: dict[str, Any]) -> dict[str, int]:
    """Return token -> id of a `tokenizer.json`, added tokens included.

    Raises:
        ValueError: a kind of tokenizer that cannot be trimmed.
    """
    model = content["model"]
    if model.get("type") not in _KINDS:
        raise ValueError(
            f"a tokenizer of the kind {model.get('type')!r} cannot be trimmed, only "
            f"{', '.join(_KINDS)}"
        )
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        vocabulary = {piece: place for place, (piece, _) in enumerate(vocabulary)}
    return {**vocabulary, **{token["content"]: token["id"] for token in content["added_tokens"]}}


def fallback_ids(content: dict[str, Any]) -> set[int]:
    """Return the ids that must stay with any corpus: special tokens, and those that spell the rest.

    That is every added token, the unknown token, bytes, and single characters. A Unigram that falls
    back to bytes needs no characters; its piece of lowest score stays, as the score of unknown
    text hangs on it.
    """
    model = content["model"]
    ids = token_ids(content)
    kept = {token["id"] for token in content["added_tokens"]}
    has_bytes = bool(model.get("byte_fallback")) and "<0x00>" in ids
    if has_bytes:
        kept |= {token_id for token, token_id in ids.items() if _BYTE.fullmatch(token)}
    if has_bytes and model["type"] == "Unigram":
        kept |= {ids[_WORD_START]} if _WORD_START in ids else set()
    else:
        kept |= {token_id for token, token_id in ids.items() if len(_bare(token, model)) <= 1}
    if model["type"] == "Unigram":
        scores = [score for _, score in model["vocab"]]
        kept |= {scores.index(min(scores))} | {model["unk_id"]} - {None}
    elif model.get("unk_token") in ids:
        kept.add(ids[model["unk_token"]])
    return kept


def unknown_id(content: dict[str, Any]) -> int | None:
    """Return the id of what cannot be spelt, which need not be the tokenizer's `unk_token`.

    A GLM's `[UNK]` is a command; its SentencePiece vocabulary has an `<unk>` of its own.
    """
    model = content["model"]
    if model["type"] == "Unigram":
        found: int | None = model["unk_id"]
        return found
    return token_ids(content).get(model.get("unk_token"))


def merges_of(content: dict[str, Any]) -> Merges:
    """Return which pairs of tokens make each token; empty unless the tokenizer is a BPE."""
    model, ids = content["model"], token_ids(content)
    merges: Merges = {}
    for left, right in _pairs(model):
        merges.setdefault(ids[_merged(left, right, model)], []).append((ids[left], ids[right]))
    return merges


def without_tokens(content: dict[str, Any], kept_ids: Collection[int]) -> dict[str, Any]:
    """Return a `tokenizer.json` with `kept_ids` only, numbered 0, 1, ... in the old order.

    Args:
        content: of the original file.
        kept_ids: ids to keep, `fallback_ids` and the parts of kept merges among them.
    """
    new_ids = {old: new for new, old in enumerate(sorted(kept_ids))}
    content = deepcopy(content)
    model = content["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [piece for old, piece in enumerate(model["vocab"]) if old in new_ids]
        if model["unk_id"] is not None:
            model["unk_id"] = new_ids[model["unk_id"]]
    else:
        model["vocab"] = {
            token: new_ids[old] for token, old in model["vocab"].items() if old in new_ids
        }
    if model["type"] == "BPE":
        known = model["vocab"]
        model["merges"] = [
            [left, right]
            for left, right in _pairs(model)
            if left in known and right in known and _merged(left, right, model) in known
        ]
    for token in content["added_tokens"]:
        token["id"] = new_ids[token["id"]]
    if content.get("padding"):
        content["padding"]["pad_id"] = new_ids[content["padding"]["pad_id"]]
    _renumber(content.get("post_processor"), new_ids)
    return content


def _bare(token: str, model: dict[str, Any]) -> str:
    """Return a token without the marks of its place in a word."""
    bare = token.removeprefix(model.get("continuing_subword_prefix") or "")
    return bare.removesuffix(model.get("end_of_word_suffix") or "")


def _pairs(model: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the merges in order; older files write a pair as one string."""
    for merge in model.get("merges") or ():
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        yield left, right


def _merged(left: str, right: str, model: dict[str, Any]) -> str:
    return left + right[len(model.get("continuing_subword_prefix") or "") :]


def _renumber(processor: Any, new_ids: dict[int, int]) -> None:
    """Renumber the special tokens that a post-processor puts around texts, in place."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors", ()):
        _renumber(inner, new_ids)
    for role in ("sep", "cls"):
        if isinstance(processor.get(role), list):
            token, old = processor[role]
            processor[role] = [token, new_ids[old]]
    for special in (processor.get("special_tokens") or {}).values():
        special["ids"] = [new_ids[old] for old in special["ids"]]
