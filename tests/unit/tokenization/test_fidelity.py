"""What tokenizers keep, asked from the tokenizers; text of every script comes back by default."""

import unicodedata

import pytest

from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.fidelity import count_words, describe_tokenizer, is_lowercased
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

KINDS = ["wordpiece", "unigram", "bpe"]
# French, Turkish, Vietnamese, Greek, Arabic with its vowels, Persian with a joiner, Hindi, Thai.
WORDS = (
    "\u00c9t\u00e9 d\u00e9j\u00e0 \u0130stanbul ti\u1ebfng Vi\u1ec7t "
    "\u1f49\u03b4\u03cd\u03c3\u03c3\u03b5\u03b9\u03b1 "
    "\u0643\u064e\u062a\u064e\u0628\u064e \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 "
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22"
)


def train(kind, lowercase=False, text=WORDS):
    return train_tokenizer(
        [text] * 3, kind=kind, vocab_size=900, lowercase=lowercase, show_progress=False
    )


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_every_script_come_back_by_default(kind):
    tokenizer = train(kind)
    (ids,) = encode_texts(tokenizer, [WORDS])
    assert tokenizer.decode(ids).strip() == WORDS
    counts = count_words(tokenizer, [WORDS])
    assert (counts.total, counts.kept, counts.unknown) == (10, 10, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_of_an_accent_are_one(kind):
    tokenizer = train(kind)
    taken_apart = unicodedata.normalize("NFD", WORDS)
    assert taken_apart != WORDS
    assert encode_texts(tokenizer, [taken_apart]) == encode_texts(tokenizer, [WORDS])
    counts = count_words(tokenizer, [taken_apart])
    assert counts.kept == counts.total


def test_words_that_change_or_have_no_token_are_counted():
    tokenizer = train("wordpiece", lowercase=True, text="Paris is not far from Orl\u00e9ans")
    counts = count_words(tokenizer, ["not Paris not Orl\u00e9ans \u6771\u4eac far"])
    assert (counts.total, counts.kept, counts.unknown) == (6, 3, 1)
    assert str(counts) == "50.0% of words survive a round trip"


def test_text_without_words_is_counted_by_what_stands_between_spaces():
    smileys = "\U0001f600\U0001f603 \U0001f604"
    unknown = count_words(train("wordpiece"), [smileys])
    assert (unknown.total, unknown.kept, unknown.unknown) == (2, 0, 2)
    known = count_words(train("wordpiece", text=smileys), [smileys])
    assert (known.total, known.kept, known.unknown) == (2, 2, 0)
    assert count_words(train("wordpiece"), [""]).total == 0


def test_only_the_beginning_is_read():
    assert count_words(train("bpe"), ["one two", "three four"], num_characters=7).total == 2
    assert count_words(train("bpe"), ["one two"] * 3, num_characters=10).total == 3


def test_the_description_is_what_the_tokenizer_does():
    tokenizer = train("wordpiece", lowercase=True)
    assert is_lowercased(tokenizer)
    assert describe_tokenizer(tokenizer).endswith("tokens, lower-cased, accents dropped")
    for kind in KINDS:
        cased = train(kind)
        assert not is_lowercased(cased)
        size = len(cased)
        assert describe_tokenizer(cased) == f"{kind} of {size:,} tokens, cased, accents kept"
    assert describe_tokenizer(train("bpe", lowercase=True)).endswith("lower-cased, accents kept")
