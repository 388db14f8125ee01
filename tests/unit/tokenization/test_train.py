"""Trained tokenizers: same bytes every time, safe special tokens, opened by transformers alone."""

import json
import random
import warnings
from itertools import islice

import pytest
from drawn_texts import TEXTS, train
from transformers import AutoTokenizer

from unblank.cli import main
from unblank.commands import tokenize
from unblank.commands.tokenize import TokenizeSettings
from unblank.data.sources import TextFiles
from unblank.tokenization import special_ids
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import SPECIAL_TOKENS
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

KINDS = ["wordpiece", "unigram", "bpe"]


@pytest.mark.parametrize("kind", KINDS)
def test_auto_tokenizer_opens_the_folders(kind, tmp_path):
    """Also without this library: tests/integration/test_auto_classes.py."""
    tokenizer = train(kind, num_sentinels=2, extra_tokens=["[USER]"])
    tokenizer.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert special_ids(again) == special_ids(tokenizer)
    assert again.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first_and_in_the_same_order_in_every_kind(kind):
    tokenizer = train(kind, num_sentinels=2, extra_tokens=["[USER]"])
    names = [*dict.fromkeys(SPECIAL_TOKENS.values()), "[MASK1]", "[MASK2]", "[USER]"]
    assert tokenizer.convert_ids_to_tokens(list(range(len(names)))) == names
    assert special_ids(tokenizer).sentinels == (10, 11)
    roles = {role: getattr(tokenizer, f"{role}_token") for role in SPECIAL_TOKENS}
    assert roles == SPECIAL_TOKENS


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_inside_text_are_text(kind):
    tokenizer = train(kind, num_sentinels=1, extra_tokens=["[USER]", "[\u25c7x]"])
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    names = [*SPECIAL_TOKENS.values(), "[MASK1]", "[USER]", "[\u25c7x]", "<0x41>", "<|end"]
    draw = random.Random(3)
    for _ in range(100):
        text = "".join(draw.choice([" ", "", "a"]) + draw.choice(names) for _ in range(5))
        (ids,) = encode_texts(tokenizer, [text])
        assert not special & set(ids) - {special_ids(tokenizer).unk}
        if kind != "wordpiece":
            assert tokenizer.decode(ids).strip() == text.strip()


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_characters_never_seen_are_spelt_by_bytes(kind):
    tokenizer = train(kind)
    text = "a \U0001f600 \u0416 \u6f22"
    (ids,) = encode_texts(tokenizer, [text])
    assert special_ids(tokenizer).unk not in ids
    assert tokenizer.decode(ids) == text


def test_all_of_ascii_can_be_written_in_wordpiece():
    tokenizer = train("wordpiece", lowercase=True)
    (ids,) = encode_texts(tokenizer, ["Z9 ~{|}^ q7_@# Zebra"])
    assert special_ids(tokenizer).unk not in ids


@pytest.mark.parametrize("kind", KINDS)
def test_lowercase_makes_case_disappear(kind):
    texts = ["Upper lower UPPER"] * 3
    folded = train(kind, texts, lowercase=True)
    cased = train(kind, texts)
    for text in ("Upper", "UPPER"):
        assert encode_texts(folded, [text]) == encode_texts(folded, [text.lower()])
        assert encode_texts(cased, [text]) != encode_texts(cased, [text.lower()])


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_vocabulary_has_exactly_the_size_asked_for(kind, data_dir):
    source = data_dir / "text_en" / "openstax.validation.jsonl.gz"
    tokenizer = train(kind, islice(TextFiles(paths=(source,)), 6), vocab_size=1000)
    assert len(tokenizer) == 1000 == max(tokenizer.get_vocab().values()) + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error")
def test_a_vocabulary_that_cannot_be_filled_is_announced(kind):
    with pytest.warns(UserWarning, match=r"\b5000 tokens: .*\d+"):
        train(kind, ["hello world"], vocab_size=5000)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_requests_are_refused(kind):
    with pytest.raises(ValueError, match=r"vocab_size\b.*\b100\b"):
        train(kind, vocab_size=100)
    with pytest.raises(ValueError, match="no text"):
        train(kind, ["", " \n"])
    with pytest.raises(ValueError, match=r"'\[MASK\]'"):
        train(kind, extra_tokens=["[MASK]"])


@pytest.mark.parametrize("kind", ["wordpiece"])
def test_an_extra_token_that_text_can_spell_is_refused(kind):
    with pytest.raises(ValueError, match=r"'user'.*'\[user\]'"):
        train(kind, extra_tokens=["user"])


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"'wordpeice'.*wordpiece, unigram, bpe"):
        train_tokenizer(TEXTS, kind="wordpeice", vocab_size=600)


def test_an_iterator_is_as_good_as_a_list():
    for kind in KINDS:
        assert train(kind, iter(TEXTS)).get_vocab() == train(kind).get_vocab()


def test_the_command_trains_reports_and_does_not_overwrite(tmp_path, capsys):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"body": text}) + "\n" for text in [*TEXTS, ""]))
    settings = {
        "train": (str(corpus),),
        "text_field": "body",
        "vocab_size": 600,
        "kind": "bpe",
        "output": tmp_path / "tokenizer",
        "num_sentinels": 3,
    }
    tokenize.run(TokenizeSettings(**settings))
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 (1 empty ones skipped)" in printed
    assert f"{sum(map(len, TEXTS)):,}" in printed
    assert "600 tokens (requested: 600)" in printed
    assert len(special_ids(AutoTokenizer.from_pretrained(tmp_path / "tokenizer")).sentinels) == 3
    with pytest.raises(FileExistsError, match="--overwrite"):
        tokenize.run(TokenizeSettings(**settings))
    tokenize.run(TokenizeSettings(**settings, overwrite=True))


def test_the_command_says_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match="--train"):
        tokenize.parse(["--output", str(tmp_path)])
    with pytest.raises(ValueError, match="--output"):
        tokenize.parse(["--train", str(tmp_path)])


def test_the_command_line_takes_several_files_by_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(TEXTS[0])
    files = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    folder = tmp_path / "tokenizer"
    options = ["--vocab-size", "500", "--kind", "bpe", "--no-lowercase", "--output", str(folder)]
    main(["tokenize", "--train", *files, *options])
    assert len(AutoTokenizer.from_pretrained(folder)) == 500


def test_the_command_says_it_in_one_line_without_a_place_in_the_source(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("hello world")
    options = ["--train", str(tmp_path / "text.txt"), "--output", str(tmp_path / "out")]
    with warnings.catch_warnings(action="always"):
        main(["tokenize", *options, "--kind", "bpe", "--vocab-size", "5000"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "too small" in line]
    assert line.startswith("note: the text is too small for 5000 tokens: the vocabulary has ")
