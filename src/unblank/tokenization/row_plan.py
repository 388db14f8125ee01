"""Which rows of an embedding table a new vocabulary takes over from an old one, token by token.

A token is known by what it spells, whatever the kind of tokenizer writes for a space or a
continuation, a special token by its role or its name. What the old vocabulary lacks starts from the
mean of the pieces into which the old tokenizer divides its spelling.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import SpecialIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["RowPlan", "plan_rows"]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Where each row of the new table comes from.

    Attributes:
        sources: for every new id the old ids whose mean its row becomes; none is the mean of all.
        num_kept: tokens that both vocabularies have, special ones included.
        num_from_pieces: tokens that start from the mean of their pieces.
    """

    sources: tuple[tuple[int, ...], ...]
    num_kept: int
    num_from_pieces: int

    @property
    def num_from_all(self) -> int:
        """Tokens that the old tokenizer cannot spell, which start from the mean of all."""
        return len(self.sources) - self.num_kept - self.num_from_pieces


def plan_rows(
    new: "PreTrainedTokenizerFast",
    old: "PreTrainedTokenizerFast",
    new_ids: SpecialIds,
    old_ids: SpecialIds,
) -> RowPlan:
    """Return the plan of the rows for another vocabulary.

    Args:
        new: tokenizer that a model gets.
        old: tokenizer that it was trained with.
        new_ids: special ids of `new`.
        old_ids: special ids of `old`.
    """
    places = {text: token_id for token_id, text in _spellings(old).items()}
    spelt = _spellings(new)
    kept = _same_special(new, old, new_ids, old_ids)
    kept |= {i: places[text] for i, text in spelt.items() if i not in kept and text in places}
    names = {token_id: token for token, token_id in new.get_vocab().items()}
    others = [i for i in range(max(names) + 1) if i not in kept]
    texts = [spelt.get(i, names.get(i, "")) for i in others]
    pieces = {
        new_id: tuple(piece for piece in ids if piece != old_ids.unk)
        for new_id, ids in zip(others, encode_texts(old, texts, warn_on_unknown=False), strict=True)
    }
    sources = tuple((kept[i],) if i in kept else pieces[i] for i in range(max(names) + 1))
    return RowPlan(sources, len(kept), sum(map(bool, pieces.values())))


def _same_special(
    new: "PreTrainedTokenizerFast",
    old: "PreTrainedTokenizerFast",
    new_ids: SpecialIds,
    old_ids: SpecialIds,
) -> dict[int, int]:
    """Return new id -> old id of special tokens of the same role, else of the same name."""
    names = {token.content: i for i, token in old.added_tokens_decoder.items() if token.special}
    same = {
        i: names[token.content]
        for i, token in new.added_tokens_decoder.items()
        if token.special and token.content in names
    }
    same |= dict(zip(new_ids.sentinels, old_ids.sentinels, strict=False))
    new_roles = asdict(new_ids)
    roles = {role: old_id for role, old_id in asdict(old_ids).items() if isinstance(old_id, int)}
    return same | {new_roles[role]: old_id for role, old_id in roles.items()}


def _spellings(tokenizer: "PreTrainedTokenizerFast") -> dict[int, str]:
    """Return id -> text of every token that is no special one; a word begins with a space."""
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    ordinary = {i: token for token, i in tokenizer.get_vocab().items() if i not in special}
    if core["model"]["type"] == "WordPiece":
        prefix = core["model"]["continuing_subword_prefix"]
        return {
            i: token.removeprefix(prefix) if token.startswith(prefix) else f" {token}"
            for i, token in ordinary.items()
        }
    if "ByteLevel" in json.dumps(core["decoder"]):
        decoder = tokenizer.backend_tokenizer.decoder
        decoded = {i: decoder.decode([token]) for i, token in ordinary.items()}
        return {i: ordinary[i] if "\ufffd" in text else text for i, text in decoded.items()}
    return {i: token.replace("\u2581", " ") for i, token in ordinary.items()}
