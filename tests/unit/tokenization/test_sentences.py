"""Sentences end where their script ends them, whatever the tokenizer."""

import gzip
import json
import unicodedata

import numpy as np
import pytest

from unblank.objectives.mixture import build_objective, only
from unblank.objectives.settings import ObjectiveSettings
from unblank.tokenization import special_ids
from unblank.tokenization.sentences import sentence_breaks, sentence_end_flags
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

TEXTS = [
    "One. Two? Three! Four; five: six\u2026 \u4e00\u3002\u4e8c\uff1f\u4e09\uff01 (x) a-b,\nc\n"
] * 9


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 400), ("unigram", 600), ("bpe", 500)])
def test_sentence_ends_are_the_tokens_that_hold_one(kind, size):
    tokenizer = train_tokenizer(
        TEXTS, kind=kind, vocab_size=size, extra_tokens=["[a.b]"], show_progress=False
    )
    flags = sentence_end_flags(tokenizer)
    assert flags.shape == (len(tokenizer),)
    for token_id in range(len(tokenizer)):
        is_special = token_id in tokenizer.added_tokens_decoder
        text = tokenizer.decode([token_id])
        expected = not is_special and any(
            end in text for end in ".?!;:\u3002\uff1f\uff01\uff1b\uff1a\u2026\n"
        )
        assert flags[token_id] == expected, text
    found = "".join(tokenizer.decode([int(i)]) for i in flags.nonzero()[0])
    wanted = ".?!;:\n\u3002" if kind == "bpe" else ".?!;:\u3002"
    assert set(wanted) <= set(found)


SCRIPTS = {
    "Hindi": ("\u0930\u093e\u092e", "\u0964"),
    "Bengali": ("\u0986\u09ae\u09bf", "\u0964"),
    "Urdu": ("\u06a9\u062a\u0627", "\u06d4"),
    "Arabic": ("\u0643\u062a\u0627\u0628", "\u061f"),
    "Amharic": ("\u1230\u120b\u121d", "\u1362"),
    "Armenian": ("\u0570\u0561\u0575", "\u0589"),
    "Syriac": ("\u072b\u0720\u0721", "\u0700"),
    "Burmese": ("\u1019\u103c\u1014\u103a", "\u104b"),
    "Khmer": ("\u1781\u17d2\u1798\u17c2\u179a", "\u17d4"),
    "Sinhala": ("\u0dbd\u0d82", "."),
    "Mongolian": ("\u182e\u1823\u1829", "\u1803"),
    "Thai": ("\u0e44\u0e17\u0e22\u0e14\u0e35", " "),
    "Lao": ("\u0ea5\u0eb2\u0ea7", " "),
    "Tibetan": ("\u0f56\u0f7c\u0f51\u0f0b\u0f66\u0f90\u0f51", "\u0f0d"),
    "Tibetan terma": ("\u0f56\u0f7c\u0f51\u0f0b\u0f66\u0f90\u0f51", "\u0f14"),
    "Tibetan after ga": ("\u0f56\u0f7c\u0f51\u0f0b\u0f61\u0f72\u0f42", " "),
    "Georgian": ("\u10e1\u10d0\u10ee\u10da\u10d8", "."),
    "old Georgian": ("\u10e1\u10d0\u10ee\u10da\u10d8", "\u10fb"),
    "old Sinhala": ("\u0d9c\u0dd9\u0daf\u0dbb", "\u0df4"),
    "Santali": ("\u1c6f\u1c5f\u1c60", "\u1c7e"),
    "Meitei": ("\uabd1\uabe9", "\uabeb"),
    "N'Ko": ("\u07d2\u07ca", "\u07f9"),
    "Lisu": ("\ua4ee\ua4d0", "\ua4ff"),
    "Arabic clauses": ("\u0643\u062a\u0627\u0628", "\u061b"),
    "Amharic clauses": ("\u1230\u120b\u121d", "\u1364"),
    "Greek questions": ("\u03c4\u03b9", "\u037e"),
    "Hebrew verses": ("\u05d0\u05d5\u05e8", "\u05c3"),
    "Khmer texts": ("\u1781\u17d2\u1798\u17c2\u179a", "\u17da"),
}
"""A word of each script and what ends a sentence of it."""


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_sentences_of_every_script_end(script, kind):
    word, end = SCRIPTS[script]
    between = "" if end == " " else " "
    if script.startswith("Tibetan"):
        between = "\u0f0b"  # its syllables are divided so, not by spaces
    sentences = [between.join([word] * (3 + count % 2)) + end for count in range(6)]
    text = "".join(sentences) if end == " " else " ".join(sentences)
    tokenizer = train_tokenizer([text] * 40, kind=kind, vocab_size=600, show_progress=False)
    ids = np.array(tokenizer.encode(text.strip(), add_special_tokens=False))
    breaks = np.flatnonzero(sentence_breaks(ids, sentence_end_flags(tokenizer)))
    assert len(breaks) == 6
    assert breaks[-1] == len(ids) - 1
    parts = np.split(ids, breaks[:-1] + 1)
    norm = [
        unicodedata.normalize("NFKD", tokenizer.decode(part)).replace(" ", "") for part in parts
    ]
    wanted = [unicodedata.normalize("NFKD", one).replace(" ", "") for one in sentences]
    if kind != "wordpiece":  # which drops accents and splits marks off
        assert norm == wanted


def test_a_space_and_a_part_of_a_letter_begin_a_word():
    """Bytes are merged with the space before them, when letters that begin words are many."""
    letters = [chr(code) for code in range(0xE01, 0xE2F)]
    text = " ".join(f"{one}\u0e01\u0e32" for one in letters)
    tokenizer = train_tokenizer([text] * 40, kind="bpe", vocab_size=290, show_progress=False)
    ids = np.array(tokenizer.encode(text, add_special_tokens=False))
    assert any(tokenizer.decode([one]) == " \ufffd" for one in ids)
    # The first word ends in a part of a letter, which says nothing.
    assert sentence_breaks(ids, sentence_end_flags(tokenizer)).sum() == len(letters) - 1


def test_an_english_space_ends_nothing():
    tokenizer = train_tokenizer(TEXTS, kind="bpe", vocab_size=500, show_progress=False)
    ids = np.array(tokenizer.encode("One Two. Three a b", add_special_tokens=False))
    breaks = sentence_breaks(ids, sentence_end_flags(tokenizer))
    assert breaks.sum() == 1


def test_at_most_twice_the_asked_share_is_hidden_in_every_language(data_dir):
    path = data_dir / "parallel" / "ntrex" / "dev.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    documents: dict[str, list[dict]] = {}
    for row in rows:
        documents.setdefault(row["doc"], []).append(row)
    settings = only("sentence", ObjectiveSettings())
    too_much, num_whole = [], {}
    for language in ("eng", "hin", "mya", "khm", "amh", "urd", "hye", "tha"):
        texts = [" ".join(row[language] for row in rows) for rows in documents.values()][:12]
        tokenizer = train_tokenizer(texts, kind="bpe", vocab_size=1500, show_progress=False)
        special, flags = special_ids(tokenizer), sentence_end_flags(tokenizer)
        objective = build_objective(settings, special, flags, 1024)
        num_whole[language] = 0
        for number, text in enumerate(texts):
            ids = tokenizer.encode(text, add_special_tokens=False)[:500]
            tokens = np.array([special.cls, *ids, special.eos])
            example = objective(tokens, np.random.default_rng(number))
            num_blanks = int((example.input_ids[: example.prefix_length] == special.smask).sum())
            share = (len(tokens) - example.prefix_length + num_blanks) / len(tokens)
            if share > 2 * settings.mask_ratio:
                too_much.append((language, share))
            last = example.labels[np.flatnonzero(example.labels == special.eop) - 1]
            num_whole[language] += int(sentence_breaks(last[last >= 0], flags).sum())
    assert not too_much
    assert all(num_whole.values())
