"""The special tokens of blank infilling: their strings, and their ids in a given tokenizer.

Only names and numbers; training a tokenizer is in `train`, encoding text that holds blanks is in
`encoding`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unblank.unicode import require_unicode

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "BLANK_TOKENS",
    "CLS_TOKEN",
    "DBLOCK_TOKEN",
    "EOP_TOKEN",
    "EOS_TOKEN",
    "GMASK_TOKEN",
    "MASK_TOKEN",
    "PAD_TOKEN",
    "SEP_TOKEN",
    "SMASK_TOKEN",
    "SOP_TOKEN",
    "SPECIAL_TOKENS",
    "UNK_TOKEN",
    "SpecialIds",
    "add_extra_tokens",
    "add_sentinels",
    "encoder_decoder_ids",
    "give_prompt",
    "require_special_names",
    "sentinel_token",
    "special_ids",
]

PAD_TOKEN = EOS_TOKEN = "<|endoftext|>"
CLS_TOKEN = "[CLS]"
SEP_TOKEN = "[SEP]"
UNK_TOKEN = "[UNK]"
MASK_TOKEN = "[MASK]"
SMASK_TOKEN = "[sMASK]"
GMASK_TOKEN = "[gMASK]"
SOP_TOKEN = "<|startofpiece|>"
EOP_TOKEN = "<|endofpiece|>"
DBLOCK_TOKEN = "[dBLOCK]"

BLANK_TOKENS = (MASK_TOKEN, SMASK_TOKEN, GMASK_TOKEN)

SPECIAL_TOKENS: dict[str, str] = {
    "pad": PAD_TOKEN,
    "eos": EOS_TOKEN,
    "cls": CLS_TOKEN,
    "sep": SEP_TOKEN,
    "unk": UNK_TOKEN,
    "mask": MASK_TOKEN,
    "smask": SMASK_TOKEN,
    "gmask": GMASK_TOKEN,
    "sop": SOP_TOKEN,
    "eop": EOP_TOKEN,
    "dblock": DBLOCK_TOKEN,
}
"""Role -> string, in the order of the ids (pad and eos are one token)."""

_SENTINEL_NAMES = (("[MASK{}]", 1), ("<mask_{}>", 0), ("<extra_id_{}>", 0))
"""Names of sentinels (this library, DeltaLM and GanLM, T5), and the first number of each."""

_COMMON_ROLES = ("pad", "eos", "cls", "unk")
"""Roles that every tokenizer of an encoder-decoder has; fine-tuned models may lack the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """The id of each special token; the published vocabularies let some roles share an id.

    Attributes:
        pad: fills rows; carries no loss.
        eos: end of a document (the same token as `pad` here and in every published GLM).
        cls: starts every sample.
        sep: between two texts.
        unk: text that the vocabulary cannot spell.
        mask: blank of a few tokens, `[MASK]`.
        smask: blank of whole sentences, `[sMASK]`.
        gmask: blank of a long passage, `[gMASK]`.
        sop: first input of a filled span.
        eop: last target of a filled span.
        dblock: replaces input tokens of Part B at random (block mask).
        sentinels: `[MASK1]`, `[MASK2]`, ... if the tokenizer has them.
        prompt: ids of trained prompt vectors, see `give_prompt`.
    """

    pad: int
    eos: int
    cls: int
    sep: int
    unk: int
    mask: int
    smask: int
    gmask: int
    sop: int
    eop: int
    dblock: int
    sentinels: tuple[int, ...] = ()
    prompt: tuple[int, ...] = ()

    @property
    def start(self) -> tuple[int, ...]:
        """The ids that begin Part A: cls, and the prompt if there is one."""
        return (self.cls, *self.prompt)

    @property
    def blanks(self) -> tuple[int, int, int]:
        """The ids that stand for a blank: mask, smask, gmask."""
        return (self.mask, self.smask, self.gmask)


def sentinel_token(number: int) -> str:
    """Return the string of sentinel `number`, counted from 1: `[MASK1]`, `[MASK2]`, ..."""
    return f"[MASK{number}]"


def special_ids(tokenizer: "PreTrainedTokenizerFast") -> SpecialIds:
    """Return the ids of the special tokens of a transformers tokenizer.

    A role is looked up as the tokenizer's attribute (`sop_token_id`, ...), then by its usual string
    in the vocabulary, as older published tokenizers have the tokens but not the attributes.

    Raises:
        ValueError: if a token is missing; the message names all that are.
    """
    core = tokenizer.backend_tokenizer
    found: dict[str, int] = {}
    for role, token in SPECIAL_TOKENS.items():
        token_id = getattr(tokenizer, f"{role}_token_id", None)
        token_id = core.token_to_id(token) if token_id is None else token_id
        if token_id is not None:
            found[role] = token_id
    missing = [f"{SPECIAL_TOKENS[role]} ({role})" for role in SPECIAL_TOKENS if role not in found]
    if missing:
        raise ValueError(
            f"the tokenizer ({tokenizer.name_or_path or 'in memory'}) lacks special tokens of "
            f"blank infilling: {', '.join(missing)}. Train one with `unblank tokenize`, or add "
            "them with tokenizer.add_special_tokens(...) and resize the model's embeddings"
        )
    prompt = tuple(getattr(tokenizer, "prompt_ids", ()))
    return SpecialIds(**found, sentinels=_sentinel_ids(core), prompt=prompt)


def give_prompt(tokenizer: "PreTrainedTokenizerFast", first_id: int, count: int) -> None:
    """Let every Part A made with this tokenizer begin with the ids of a trained prompt.

    The ids belong to no text and to no row of the embedding table; they are not saved with the
    tokenizer but by who owns the vectors.

    Args:
        tokenizer: of a GLM, from now on with `SpecialIds.prompt`.
        first_id: rows of the model's embedding table.
        count: vectors.
    """
    tokenizer.prompt_ids = tuple(range(first_id, first_id + count))


def encoder_decoder_ids(tokenizer: "PreTrainedTokenizerFast") -> SpecialIds:
    """Return the ids of an encoder-decoder's special tokens; `eos` ends texts and targets.

    With a tokenizer of this library, `eos` is the end of a piece, as the end of a document also
    stands for padding. With any other (XLM-R's, for example) the decoder starts with `eos`, and
    roles that it does not know share ids: what GLM calls the start of a piece is that start. A
    model that was fine-tuned without a row for its mask has the unknown token in its place.

    Raises:
        ValueError: if a token is missing.
    """
    core = tokenizer.backend_tokenizer
    if core.token_to_id(SOP_TOKEN) is not None:
        ids = special_ids(tokenizer)
        return replace(ids, eos=ids.eop)
    roles = (*_COMMON_ROLES, "mask")
    names = {role: getattr(tokenizer, f"{role}_token_id", None) for role in roles}
    found = {role: token_id for role, token_id in names.items() if token_id is not None}
    missing = [role for role in _COMMON_ROLES if role not in found]
    if missing:
        raise ValueError(
            f"the tokenizer ({tokenizer.name_or_path or 'in memory'}) lacks special tokens: "
            f"{', '.join(missing)}. Set them with tokenizer.add_special_tokens(...), or train one "
            "with `unblank tokenize`"
        )
    end, mask = found["eos"], found.setdefault("mask", found["unk"])
    return SpecialIds(
        **found, sep=end, sop=end, eop=end, smask=mask, gmask=mask, dblock=mask,
        sentinels=_sentinel_ids(core),
    )  # fmt: skip


def add_sentinels(tokenizer: "PreTrainedTokenizerFast", count: int) -> int:
    """Give the tokenizer sentinels up to `count`, after all its tokens; return how many are new."""
    missing = range(len(_sentinel_ids(tokenizer.backend_tokenizer)) + 1, count + 1)
    names = [sentinel_token(number) for number in missing]
    return int(tokenizer.add_tokens(names, special_tokens=True))


def add_extra_tokens(tokenizer: "PreTrainedTokenizerFast", names: Sequence[str]) -> int:
    """Give a tokenizer further special tokens, after all its tokens; return how many are new.

    Args:
        tokenizer: that exists; it is changed in place.
        names: of the tokens; those that it has as special tokens stay as they are.

    Raises:
        ValueError: as for `require_special_names`, or it has one as an ordinary token, which text
            spells.
    """
    require_special_names(names)
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    vocabulary = tokenizer.get_vocab()
    new = [name for name in names if name not in special]  # adding one again would change its flags
    for name in new:
        if name in vocabulary:
            raise ValueError(
                f"the extra token {name!r} is an ordinary token of this vocabulary already, which "
                f"text spells: write it with brackets, for example '[{name}]'"
            )
    return int(tokenizer.add_tokens(new, special_tokens=True))


def require_special_names(names: Sequence[str]) -> None:
    """Refuse what can not be the names of special tokens.

    Raises:
        ValueError: one is empty or white space, occurs twice, or holds a lone surrogate.
    """
    for name in names:
        require_unicode(name, f"the extra token {name!r}")
        if not name.strip():
            raise ValueError(f"the extra token {name!r} shows nothing: leave it out")
    (most, count), *_ = Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise ValueError(f"the special token {most!r} occurs twice: leave one out")


def _sentinel_ids(core: "Tokenizer") -> tuple[int, ...]:
    for template, first in _SENTINEL_NAMES:
        ids: list[int] = []
        while (token_id := core.token_to_id(template.format(first + len(ids)))) is not None:
            ids.append(token_id)
        if ids:
            return tuple(ids)
    return ()
