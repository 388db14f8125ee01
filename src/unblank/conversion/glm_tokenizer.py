"""The tokenizers of GLM and MultiGLM, rebuilt from the user's own vocabulary files.

The original programs put command tokens ([CLS], [MASK], <|startofpiece|>, ...) after a known
vocabulary, each in its own order; here each gets the id that the weights were trained with. Command
tokens are cut out of a text first and the pieces between them are encoded as texts of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from unblank.conversion.sentencepiece import read_sentencepiece, sentencepiece_core
from unblank.conversion.vocabulary import PublishedVocabulary, read_merges, read_token_ids
from unblank.tokenization.special import (
    CLS_TOKEN,
    DBLOCK_TOKEN,
    EOP_TOKEN,
    EOS_TOKEN,
    GMASK_TOKEN,
    MASK_TOKEN,
    SEP_TOKEN,
    SMASK_TOKEN,
    SOP_TOKEN,
    UNK_TOKEN,
    special_ids,
)
from unblank.tokenization.wrapping import with_special_roles
from unblank.untrusted.opening import tokenizer_in

__all__ = ["GlmTokenizer", "build_glm_tokenizer"]

_STRIPPING_TOKENS = (MASK_TOKEN, SMASK_TOKEN, GMASK_TOKEN)
"""White space before them is removed: the answer brings its own."""
_WORDPIECE_NAMES = {"pad": "[PAD]", "eos": "[PAD]"}
_ROBERTA_NAMES = {"<s>": CLS_TOKEN, "</s>": EOS_TOKEN, "<unk>": UNK_TOKEN, "<mask>": MASK_TOKEN}
"""RoBERTa's own strings -> what the original program calls these tokens."""
_GPT2_COMMANDS = (
    SOP_TOKEN, EOP_TOKEN, CLS_TOKEN, MASK_TOKEN, SEP_TOKEN, UNK_TOKEN, GMASK_TOKEN, SMASK_TOKEN,
    DBLOCK_TOKEN,
)  # fmt: skip
_SENTENCEPIECE_COMMANDS = (
    EOS_TOKEN, SEP_TOKEN, CLS_TOKEN, MASK_TOKEN, UNK_TOKEN, "[UNUSED]", SOP_TOKEN, EOP_TOKEN,
    SMASK_TOKEN,
)  # fmt: skip
"""With a string for the id that was never given to a token."""
_ONE_MASK = {"smask": MASK_TOKEN, "gmask": MASK_TOKEN, "dblock": MASK_TOKEN}
"""The models without task masks, where [MASK] serves every purpose."""
_ONE_MASK_ALONE = (
    "this vocabulary has no [sMASK] and [gMASK]: [MASK] serves every purpose, as in training"
)


@dataclass(frozen=True, slots=True)
class GlmTokenizer:
    """A rebuilt tokenizer.

    Attributes:
        tokenizer: `special_ids` understands it.
        kind: whose vocabulary it is.
        traps: what to know about it, as lines.
    """

    tokenizer: PreTrainedTokenizerFast
    kind: str
    traps: tuple[str, ...]


def build_glm_tokenizer(
    vocabulary: PublishedVocabulary, *, gmask_is_eop: bool = False
) -> GlmTokenizer:
    """Return the tokenizer that a GLM with this vocabulary was trained with.

    Args:
        vocabulary: files of BERT, GPT-2, RoBERTa or a SentencePiece model, or a ready tokenizer.
        gmask_is_eop: in a SentencePiece vocabulary, `[gMASK]` has the id of `<|endofpiece|>`, as in
            GLM-10B-Chinese.

    Raises:
        ValueError: damaged files, or a vocabulary without the tokens that every GLM needs.
    """
    if vocabulary.kind == "sentencepiece":
        return _sentencepiece(vocabulary, gmask_is_eop)
    return _BUILDERS[vocabulary.kind](vocabulary)


def _wordpiece(vocabulary: PublishedVocabulary) -> GlmTokenizer:
    ids = read_token_ids(vocabulary)
    _require(vocabulary, ids, ("[PAD]", CLS_TOKEN, SEP_TOKEN, UNK_TOKEN, MASK_TOKEN))
    core = Tokenizer(models.WordPiece(ids, unk_token=UNK_TOKEN))
    has_capitals = any(token.isalpha() and token != token.lower() for token in ids)
    core.normalizer = normalizers.BertNormalizer(lowercase=not has_capitals)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    names = ("[PAD]", UNK_TOKEN, CLS_TOKEN, SEP_TOKEN, MASK_TOKEN, SOP_TOKEN, EOP_TOKEN)
    _add(core, names, strips_left=False)
    traps = (
        _ONE_MASK_ALONE,
        "texts end with [PAD], as in training; the Hugging Face port uses [SEP]",
    )
    kind = "BERT WordPiece" + ("" if has_capitals else ", lower case")
    return GlmTokenizer(with_special_roles(core, _WORDPIECE_NAMES | _ONE_MASK), kind, traps)


def _bpe(vocabulary: PublishedVocabulary) -> GlmTokenizer:
    ids = read_token_ids(vocabulary)
    is_roberta = _ROBERTA_NAMES.keys() <= ids.keys()
    if not is_roberta:
        _require(vocabulary, ids, (EOS_TOKEN,))
    ids = {_ROBERTA_NAMES.get(token, token): i for token, i in ids.items()} if is_roberta else ids
    try:
        core = Tokenizer(models.BPE(ids, read_merges(vocabulary)))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ValueError(
            f"{vocabulary.files[1]} does not fit {vocabulary.files[0]}: {error}"
        ) from None
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if not is_roberta:
        _add(core, (EOS_TOKEN, *_GPT2_COMMANDS))
        return GlmTokenizer(with_special_roles(core), "GPT-2 BPE", ())
    _add(core, (*_ROBERTA_NAMES.values(), SOP_TOKEN, EOP_TOKEN))
    traps = (
        _ONE_MASK_ALONE,
        f"[MASK] is {ids[MASK_TOKEN]}, as in training; the Hugging Face port maps it to "
        f"{len(ids) + 2}",
    )
    tokenizer = with_special_roles(core, _ONE_MASK | {"sep": EOS_TOKEN})
    return GlmTokenizer(tokenizer, "RoBERTa BPE", traps)


def _sentencepiece(vocabulary: PublishedVocabulary, gmask_is_eop: bool) -> GlmTokenizer:
    read = read_sentencepiece(vocabulary.files[0])
    rest = (DBLOCK_TOKEN,) if gmask_is_eop else (GMASK_TOKEN, DBLOCK_TOKEN)
    commands = (*_SENTENCEPIECE_COMMANDS, *rest)
    core = sentencepiece_core(read, commands=(*commands, GMASK_TOKEN))
    kind = f"SentencePiece of {len(read.pieces)} pieces"
    if not gmask_is_eop:
        _add(core, commands)
        return GlmTokenizer(with_special_roles(core), kind, ())
    # Both strings are one token: [gMASK] in a text is read as the other, and shown for it.
    core.normalizer = normalizers.Sequence(
        [normalizers.Replace(GMASK_TOKEN, EOP_TOKEN), core.normalizer]
    )
    core.decoder = decoders.Sequence([decoders.Replace(EOP_TOKEN, GMASK_TOKEN), core.decoder])
    _add(core, commands, normalized=(EOP_TOKEN,))
    trap = (
        f"[gMASK] and <|endofpiece|> are both {core.token_to_id(EOP_TOKEN)}, as in training; the "
        "Hugging Face port copies the row to another id"
    )
    return GlmTokenizer(with_special_roles(core, {"gmask": EOP_TOKEN}), kind, (trap,))


def _ready(vocabulary: PublishedVocabulary) -> GlmTokenizer:
    path = vocabulary.files[0]
    tokenizer = tokenizer_in(path.parent)
    special_ids(tokenizer)
    return GlmTokenizer(tokenizer, "ready tokenizer.json", ())


_BUILDERS: dict[str, Callable[[PublishedVocabulary], GlmTokenizer]] = {
    "wordpiece": _wordpiece,
    "bpe": _bpe,
    "tokenizer.json": _ready,
}


def _require(vocabulary: PublishedVocabulary, ids: dict[str, int], tokens: tuple[str, ...]) -> None:
    missing = [token for token in tokens if token not in ids]
    if missing:
        raise ValueError(
            f"{vocabulary.files[0]} has no {', '.join(missing)}: it is not the vocabulary of a GLM"
        )


def _add(
    core: Tokenizer,
    names: tuple[str, ...],
    *,
    strips_left: bool = True,
    normalized: tuple[str, ...] = (),
) -> None:
    """Make tokens special; those that the vocabulary lacks are appended in this order."""
    core.add_special_tokens(
        [
            AddedToken(
                name,
                special=True,
                normalized=name in normalized,
                lstrip=strips_left and (name in _STRIPPING_TOKENS or name in normalized),
            )
            for name in names
        ]
    )
