"""The bytes that each token adds to a text, as the tokenizer decodes it.

They are what its own decoder makes of the token after another one, and of the token alone, with
which an answer may begin; only where a token is a part of a character are they read from its name.
Whether the texts of tokens in a row are those bytes in a row is tried, not assumed.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unblank.tokenization.token_bytes import byte_alphabet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TokenBytes", "Vocabulary", "read_token_bytes"]

_BYTE_NAME = re.compile("<0x([0-9A-Fa-f]{2})>")
_TRIES, _TOKENS_A_TRY = 50, 12


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """The bytes of tokens, those of one token after those of the one before.

    Attributes:
        token_ids: int32, in ascending order.
        starts: int64, where the bytes of each begin in `content`.
        lengths: int64, number of bytes of each.
        content: uint8, all bytes.
    """

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    content: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the tokens of a tokenizer add to an answer.

    Attributes:
        first: the first token of an answer.
        later: every other token.
        inner: of these, the ones that begin inside a character.
    """

    first: TokenBytes
    later: TokenBytes
    inner: TokenBytes


def read_token_bytes(
    core: "Tokenizer", token_ids: Sequence[int], *, is_standalone: bool
) -> Vocabulary:
    """Return what tokens add to an answer.

    Args:
        core: of the tokenizer of the model.
        token_ids: those that may be written, in ascending order; an end is none of them.
        is_standalone: whether an answer is decoded by itself, or after the text before it.

    Raises:
        ValueError: the tokenizer decodes tokens in a row in another way than one after another.
    """
    later = _after_another(core, token_ids)
    first = _alone(core, token_ids) if is_standalone else later
    _require_additive(core, first, later, is_standalone=is_standalone)
    inner = {token_id: one for token_id, one in later.items() if one and one[0] & 0xC0 == 0x80}
    as_first = _packed(first)
    return Vocabulary(as_first, _packed(later) if is_standalone else as_first, _packed(inner))


def _after_another(core: "Tokenizer", token_ids: Sequence[int]) -> dict[int, bytes]:
    anchor = _anchor(core)
    before = _decoded(core, [anchor])[0]
    found = {}
    texts = _decoded(core, [[*anchor, token_id] for token_id in token_ids])
    for token_id, text in zip(token_ids, texts, strict=True):
        if text.startswith(before):
            found[token_id] = text[len(before) :].encode("utf-8", "surrogatepass")
    return found | _parts_of_characters(core, token_ids)


def _alone(core: "Tokenizer", token_ids: Sequence[int]) -> dict[int, bytes]:
    texts = _decoded(core, [[token_id] for token_id in token_ids])
    found = {
        token_id: text.encode("utf-8", "surrogatepass")
        for token_id, text in zip(token_ids, texts, strict=True)
    }
    return found | _parts_of_characters(core, token_ids)


def _parts_of_characters(core: "Tokenizer", token_ids: Sequence[int]) -> dict[int, bytes]:
    """Return the bytes of tokens whose names spell them."""
    kinds = set(_decoder_kinds(core))
    names = [core.id_to_token(token_id) or "" for token_id in token_ids]
    if "ByteLevel" in kinds:
        of_character = byte_alphabet()
        spelt = (
            (token_id, [of_character.get(character) for character in name])
            for token_id, name in zip(token_ids, names, strict=True)
        )
        return {token_id: bytes(found) for token_id, found in spelt if None not in found}  # type: ignore[arg-type]
    if "ByteFallback" in kinds:
        matches = zip(token_ids, map(_BYTE_NAME.fullmatch, names), strict=True)
        return {token_id: bytes([int(one[1], 16)]) for token_id, one in matches if one}
    return {}


def _decoder_kinds(core: "Tokenizer") -> Iterator[str]:
    decoder = json.loads(core.to_str())["decoder"] or {}
    for step in (decoder, *decoder.get("decoders", ())):
        yield step.get("type", "")


def _require_additive(
    core: "Tokenizer",
    first: dict[int, bytes],
    later: dict[int, bytes],
    *,
    is_standalone: bool,
) -> None:
    """Raise ValueError unless tokens in a row decode to their bytes in a row."""
    rng = np.random.default_rng(0)
    whole = [token_id for token_id, one in later.items() if _is_whole(one) and b"\n" not in one]
    whole = [token_id for token_id in whole if _is_whole(first.get(token_id, b"\xff"))]
    if not whole:
        return
    anchor = [] if is_standalone else _anchor(core)
    before = "" if is_standalone else _decoded(core, [anchor])[0]
    tries = [rng.choice(whole, _TOKENS_A_TRY).tolist() for _ in range(_TRIES)]
    texts = _decoded(core, [[*anchor, *ids] for ids in tries])
    for (start, *rest), text in zip(tries, texts, strict=True):
        expected = first[start] + b"".join(later[token_id] for token_id in rest)
        if text != before + expected.decode():
            raise ValueError(
                "rules cannot be used with this tokenizer: it decodes tokens in a row in another "
                "way than one after another"
            )


def _is_whole(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _packed(found: dict[int, bytes]) -> TokenBytes:
    lengths = np.array([len(one) for one in found.values()], dtype=np.int64)
    return TokenBytes(
        np.array(list(found), dtype=np.int32),
        np.concatenate([[0], lengths.cumsum()[:-1]]) if len(lengths) else lengths,
        lengths,
        np.frombuffer(b"".join(found.values()), dtype=np.uint8),
    )


def _anchor(core: "Tokenizer") -> list[int]:
    ids: list[int] = core.encode("a", add_special_tokens=False).ids
    return ids


def _decoded(core: "Tokenizer", rows: Sequence[Sequence[int]]) -> list[str]:
    texts: list[str] = core.decode_batch([list(row) for row in rows], skip_special_tokens=False)
    return texts
