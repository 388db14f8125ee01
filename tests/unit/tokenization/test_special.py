"""The special tokens are found by role in tokenizers of several makes."""

from dataclasses import fields

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from unblank.tokenization import SpecialIds, special_ids
from unblank.tokenization.special import SPECIAL_TOKENS, add_sentinels, encoder_decoder_ids


def tokenizer_of(names: list[str], **roles: str) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    return PreTrainedTokenizerFast(tokenizer_object=core, **roles)


def test_roles_and_fields_are_the_same():
    names = {field.name for field in fields(SpecialIds)}
    assert set(SPECIAL_TOKENS) == names - {"sentinels", "prompt"}


def test_tokens_are_found_by_their_strings_alone():
    names = [*dict.fromkeys(SPECIAL_TOKENS.values()), "[MASK1]", "[MASK2]", "[MASK4]"]
    ids = special_ids(tokenizer_of(names))
    assert (ids.pad, ids.eos, ids.cls, ids.dblock) == (0, 0, 1, 9)
    assert ids.blanks == (4, 5, 6)
    assert ids.sentinels == (10, 11)


def test_an_attribute_counts_more_than_the_usual_string():
    names = ["<pad>", "<m>", *dict.fromkeys(SPECIAL_TOKENS.values())]
    ids = special_ids(
        tokenizer_of(names, pad_token="<pad>", extra_special_tokens={"gmask_token": "<m>"})
    )
    assert (ids.pad, ids.gmask, ids.eos) == (0, 1, 2)


def test_all_missing_tokens_are_named():
    with pytest.raises(ValueError, match=r"\[gMASK\] \(gmask\), .*\[dBLOCK\] \(dblock\)"):
        special_ids(tokenizer_of(["[UNK]", "[MASK]", "[sMASK]"]))


def foreign_tokenizer(*more):
    words = ["<s>", "<pad>", "</s>", "<unk>", "rain", "<mask>", *more]
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, "<unk>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, cls_token="<s>", bos_token="<s>", pad_token="<pad>",
        eos_token="</s>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip


def test_an_encoder_s_own_tokenizer_shares_ids_between_roles_and_takes_sentinels():
    tokenizer = foreign_tokenizer()
    assert encoder_decoder_ids(tokenizer).sentinels == ()
    assert add_sentinels(tokenizer, 3) == 3
    assert add_sentinels(tokenizer, 3) == 0
    ids = encoder_decoder_ids(tokenizer)
    assert (ids.cls, ids.pad, ids.eos, ids.sop, ids.mask) == (0, 1, 2, 2, 5)
    assert ids.sentinels == (6, 7, 8)


def test_the_published_sentinels_are_found():
    tokenizer = foreign_tokenizer("<mask_0>", "<mask_1>")
    assert encoder_decoder_ids(tokenizer).sentinels == (6, 7)


def test_a_tokenizer_without_an_end_is_refused_by_role():
    tokenizer = foreign_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"\beos\b"):
        encoder_decoder_ids(tokenizer)


def test_a_tokenizer_without_a_mask_has_the_unknown_token_in_its_place():
    tokenizer = foreign_tokenizer()
    tokenizer.mask_token = None
    assert encoder_decoder_ids(tokenizer).mask == tokenizer.unk_token_id
