"""Whether two tokenizers give the same ids, by what they are made of and not by their size."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["vocabulary_differences"]

_PARTS = {
    "model": "merges or scores of tokens",
    "normalizer": "normalizer",
    "pre_tokenizer": "pre-tokenizer",
    "decoder": "decoder",
}
"""Parts of `tokenizer.json` that decide ids and texts, and how they are called; no text is cut or
framed, so truncation, padding and the post-processor decide nothing here."""


def vocabulary_differences(
    tokenizer: "PreTrainedTokenizerFast", own: "PreTrainedTokenizerFast"
) -> list[str]:
    """Return in what a tokenizer differs from a model's own; nothing if its ids mean the same.

    Further tokens after the model's own are no difference.

    Args:
        tokenizer: that a model shall use.
        own: that the model was trained with.
    """
    found = [_moved(tokenizer.get_vocab(), own.get_vocab())]
    content, own_content = (json.loads(one.backend_tokenizer.to_str()) for one in (tokenizer, own))
    for part, name in _PARTS.items():
        if _without_ids(content[part]) != _without_ids(own_content[part]):
            found.append(f"another {name}" if part != "model" else f"other {name}")
    special, own_special = _special(tokenizer), _special(own)
    if roles := sorted(role for role, name in own_special.items() if special.get(role) != name):
        found.append(f"other special tokens ({', '.join(roles)})")
    return [difference for difference in found if difference]


def _moved(ids: Mapping[str, int], own: Mapping[str, int]) -> str:
    num_moved = sum(ids.get(token) != token_id for token, token_id in own.items())
    return f"{num_moved:,} of {len(own):,} tokens have another id or none" if num_moved else ""


def _without_ids(part: Any) -> Any:
    """Return a part without the ids of tokens, which are compared by themselves."""
    if isinstance(part, dict) and isinstance(part.get("vocab"), dict):
        return {name: value for name, value in part.items() if name != "vocab"}
    return part


def _special(tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
    """Return the role of each special token, and the strings that are never divided."""
    roles = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    added = tokenizer.added_tokens_decoder.values()
    return roles | {token.content: token.special for token in added}
