"""Blanks in text become ids and come back; everything else stays text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.tokenization import special_ids
from unblank.tokenization.encoding import (
    decode_with_blanks,
    encode_texts,
    encode_with_blanks,
    text_encoder,
)
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

TEXTS = [
    "I saw a big dog, and the cats ran.",
    "The dog ate fixed things. Why? The cats saw it!",
] * 5
BLANKS = ["[MASK]", "[sMASK]", "[gMASK]"]
SIZES = {"wordpiece": 400, "unigram": 600, "bpe": 400}
_CACHE: dict = {}


def tokenizer_of(kind):
    if kind not in _CACHE:
        _CACHE[kind] = train_tokenizer(
            TEXTS, kind=kind, vocab_size=SIZES[kind], show_progress=False
        )
    return _CACHE[kind]


kinds = pytest.mark.parametrize("kind", list(SIZES))
words = st.sampled_from(["dog", "cats", "saw", "ran.", "Why?", "[SEP]", "<|endoftext|>", "x1", "["])
natural = st.lists(words | st.sampled_from(BLANKS), min_size=1, max_size=12).map(" ".join)
wild = st.lists(
    st.sampled_from([*BLANKS, " ", "  ", "\n", "\u4e00", "e\u0301", "[MASK", "]"]) | words
).map("".join)


@kinds
def test_no_texts_have_no_ids(kind):
    assert encode_texts(tokenizer_of(kind), []) == []


@kinds
@given(text=natural)
def test_natural_text_comes_back_as_written(kind, text):
    tokenizer = tokenizer_of(kind)
    shown = decode_with_blanks(tokenizer, encode_with_blanks(tokenizer, text))
    if kind == "wordpiece":  # it does not keep the spaces around punctuation
        shown, text = (string.replace(" ", "") for string in (shown, text))
    assert shown == text


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@given(text=wild)
def test_ids_come_back_whatever_the_text(kind, text):
    tokenizer = tokenizer_of(kind)
    ids = encode_with_blanks(tokenizer, text)
    shown = decode_with_blanks(tokenizer, ids)
    if kind == "unigram":  # the white space it folds is settled after one round
        ids = encode_with_blanks(tokenizer, shown)
        shown = decode_with_blanks(tokenizer, ids)
    assert encode_with_blanks(tokenizer, shown) == ids


@kinds
@given(text=wild)
def test_blanks_are_where_the_text_has_them_and_nothing_else_is_special(kind, text):
    tokenizer = tokenizer_of(kind)
    special = special_ids(tokenizer)
    ids = encode_with_blanks(tokenizer, text)
    names = dict(zip(special.blanks, BLANKS, strict=True))
    found = [names[i] for i in ids if i in names]
    rest = text
    for name in found:
        position = rest.index(name)
        assert not any(blank in rest[:position] for blank in BLANKS)
        rest = rest[position + len(name) :]
    assert not any(blank in rest for blank in BLANKS)
    control = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    assert not (control - {*special.blanks, special.unk}) & set(ids)


@kinds
@pytest.mark.parametrize("number", range(1, 8))
def test_a_blank_takes_the_place_of_a_words_own_tokens(kind, number):
    # What training sees: a word's tokens, its leading space among them, replaced by one mask.
    tokenizer = tokenizer_of(kind)
    before = TEXTS[0].split(" ")
    start = len(encode_texts(tokenizer, [" ".join(before[:number])])[0])
    stop = len(encode_texts(tokenizer, [" ".join(before[: number + 1])])[0])
    ids = encode_texts(tokenizer, [TEXTS[0]])[0]
    expected = [*ids[:start], special_ids(tokenizer).mask, *ids[stop:]]
    text = " ".join([*before[:number], "[MASK]", *before[number + 1 :]])
    assert encode_with_blanks(tokenizer, text) == expected
    filled = [*expected[:start], *ids[start:stop], *expected[start + 1 :]]
    assert decode_with_blanks(tokenizer, filled) == TEXTS[0]


@kinds
def test_transformers_reads_blanks_the_same_way(kind):
    tokenizer = tokenizer_of(kind)
    for text in (
        "I saw [MASK] dog, and [sMASK] ran.",
        "[gMASK]",
        "The dog [MASK]",
        "fix[MASK]ed [MASK]x",
    ):
        assert tokenizer(text)["input_ids"] == encode_with_blanks(tokenizer, text)


@kinds
def test_control_tokens_are_not_shown_and_unknown_ones_are(kind):
    tokenizer = tokenizer_of(kind)
    special = special_ids(tokenizer)
    ids = encode_with_blanks(tokenizer, "The [MASK] dog")
    wrapped = [special.cls, *ids, special.sop, special.eop, special.eos, special.pad]
    assert decode_with_blanks(tokenizer, wrapped) == "The [MASK] dog"
    assert "[UNK]" in decode_with_blanks(tokenizer, [*ids, special.unk])


@kinds
def test_encoding_text_leaves_the_tokenizer_as_it_was(kind):
    tokenizer = tokenizer_of(kind)
    text = "[MASK] <|endoftext|> dog"
    before = tokenizer(text)["input_ids"]
    core = text_encoder(tokenizer)
    (plain,) = encode_texts(tokenizer, [text])
    assert plain == core.encode(text, add_special_tokens=False).ids
    assert plain != before
    assert tokenizer(text)["input_ids"] == before


@kinds
def test_empty_text_has_no_ids(kind):
    tokenizer = tokenizer_of(kind)
    assert encode_with_blanks(tokenizer, "") == []
    assert decode_with_blanks(tokenizer, []) == ""
