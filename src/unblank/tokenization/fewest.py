"""A lower bound of the tokens of a long text, known before it is tokenized.

No token stands for more bytes than the longest one of the vocabulary has: the bytes that the
normaliser leaves, divided by these, are a bound. That does not hold where a run of unknown
characters becomes a single token; there, every word is a token at least. Elsewhere nothing is
known, and 0 is returned.
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["fewest_tokens"]

_SHORT = 50_000
"""Characters that are tokenized in a moment: nothing needs to be known of them."""
_KEEPING = ("ByteLevel", "Metaspace", "Digits")
"""Pre-tokenizers that leave no character out."""
_WORDS = ("WordPiece", "Unigram", "WordLevel")
"""Models that make a token of what they do not know."""
_MOST = 2**20
"""Characters of a text that are looked at: what begins it is part of it."""


def fewest_tokens(tokenizer: "PreTrainedTokenizerFast", text: str) -> int:
    """Return a number of tokens that a text certainly has.

    Args:
        tokenizer: of the model.
        text: plain text; of one that is short nothing is said.
    """
    if len(text) <= _SHORT:
        return 0
    core = tokenizer.backend_tokenizer
    longest = _longest_token(core.to_str())
    beginning = text[: _SHORT if longest is None else _MOST]
    try:
        left = core.normalizer.normalize_str(beginning) if core.normalizer else beginning
        return _fewest_words(core, left) if longest is None else len(left.encode()) // longest
    except UnicodeEncodeError:  # half a surrogate pair: encoding says so
        return 0


def _fewest_words(core: Any, text: str) -> int:
    """Return how many words a text has, without the last one, which may go on."""
    if core.pre_tokenizer is None or type(core.model).__name__ not in _WORDS:
        return 0
    return max(len(core.pre_tokenizer.pre_tokenize_str(text)) - 1, 0)


@lru_cache(maxsize=4)
def _longest_token(content: str) -> int | None:
    """Return the bytes of the longest token, or None where a token may stand for any number."""
    settings = json.loads(content)
    model, added = settings["model"], settings["added_tokens"]
    if not _knows_all_bytes(settings) or any(_takes_spaces(token) for token in added):
        return None
    vocabulary: Any = model["vocab"]
    pieces = vocabulary if isinstance(vocabulary, dict) else [piece for piece, _ in vocabulary]
    names = [*pieces, *(token["content"] for token in added)]
    return max(len(name.encode("utf-8")) for name in names)


def _knows_all_bytes(settings: dict[str, Any]) -> bool:
    """Whether every text is spelt in tokens, so that nothing is unknown or left out."""
    kinds = [part["type"] for part in _parts(settings["pre_tokenizer"])]
    if not set(kinds) <= set(_KEEPING):
        return False
    model = settings["model"]
    if model["type"] == "BPE" and "ByteLevel" in kinds:
        return True
    vocabulary = model["vocab"]
    pieces = vocabulary if isinstance(vocabulary, dict) else {piece for piece, _ in vocabulary}
    bytes_known = all(f"<0x{byte:02X}>" in pieces for byte in range(256))
    return bool(model.get("byte_fallback")) and bytes_known


def _parts(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if pre_tokenizer is None:
        return []
    parts: list[dict[str, Any]] = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return parts


def _takes_spaces(token: dict[str, Any]) -> bool:
    """Whether a token that plain text may spell takes the white space around it."""
    return not token["special"] and (token["lstrip"] or token["rstrip"])
