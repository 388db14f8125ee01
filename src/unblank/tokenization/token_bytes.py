"""The bytes of text that each token of a vocabulary stands for.

Their sum over the tokens of a text is the text, as the tokenizer normalises it, so that a loss of
tokens becomes one of bytes, which can be compared between languages and vocabularies. WordPiece
forgets spaces: there a token that begins a word stands for a space, too.
"""

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["byte_alphabet", "token_bytes"]

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_WORD_START = "\u2581"
_INSIDE = "##"


def token_bytes(tokenizer: "PreTrainedTokenizerFast") -> list[bytes]:
    """Return id -> bytes of UTF-8; nothing for special and added tokens.

    A token that is only a part of a character stands for some of its bytes.
    """
    core = tokenizer.backend_tokenizer
    content = json.loads(core.to_str())
    names = core.get_vocab(with_added_tokens=True)
    added = {token["content"] for token in content["added_tokens"]}
    is_byte_level = "ByteLevel" in json.dumps(content["decoder"])
    is_wordpiece = content["model"]["type"] == "WordPiece"
    alphabet = byte_alphabet() if is_byte_level else {}
    found = [b""] * (max(names.values()) + 1)
    for name, token_id in names.items():
        if name in added:
            continue
        if is_byte_level:
            found[token_id] = bytes(alphabet[char] for char in name if char in alphabet)
        elif match := _BYTE.fullmatch(name):
            found[token_id] = bytes([int(match[1], 16)])
        elif is_wordpiece:
            spelt = name.removeprefix(_INSIDE) if name.startswith(_INSIDE) else f" {name}"
            found[token_id] = spelt.encode()
        else:
            found[token_id] = name.replace(_WORD_START, " ").encode()
    return found


def byte_alphabet() -> dict[str, int]:
    """Return character -> the byte that GPT-2's byte-level BPE writes so."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in shown)
    return {chr(byte): byte for byte in shown} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }
