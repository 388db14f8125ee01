"""Odd texts and numbers as arguments of the Python interface: each is refused by its name."""

import itertools
import random
import re

import pytest
from counts import hard_count
from tiny_models import encoder_decoder, tiny_unblank

from unblank.api import Unblank
from unblank.cli import main
from unblank.data.shards import prepare_corpus
from unblank.metrics.text import score_texts
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.train import train_tokenizer
from unblank.trimming.trim import trim_model

NUM_TEXTS = hard_count(5, 160)
LONE = ["\ud800", "\udbff", "\udc00", "\udfff", "\ude00\ud83d", "\ud83d \ude00"]


@pytest.fixture(scope="module")
def glm():
    return tiny_unblank("bpe")


@pytest.fixture(scope="module")
def deltalm():
    return Unblank(*encoder_decoder("deltalm"))


def texts_with_a_lone_surrogate():
    draw = random.Random(0)
    for _ in range(NUM_TEXTS):
        before, after = (
            "".join(draw.choices("ab \u00e9\u4e2d\U0001f600\n", k=draw.randrange(30)))
            for _ in range(2)
        )
        yield before + draw.choice(LONE) + after


def calls_with(text, glm, deltalm):
    blank = f"{text} [MASK]"
    return [
        lambda: glm.fill(blank),
        lambda: glm.fill(["a [MASK]", blank]),
        lambda: glm.fill_stream(blank),
        lambda: glm.generate(text),
        lambda: glm.generate_stream(text),
        lambda: glm.score(blank, ["a"]),
        lambda: glm.score("a [MASK]", ["a", text]),
        lambda: deltalm.generate(["a", text]),
        lambda: deltalm.score(text, ["a"]),
        lambda: deltalm.score("a", [text]),
        lambda: encode_texts(glm.tokenizer, [text]),
        lambda: score_texts([text], [["a"]], ["exact_match"]),
        lambda: score_texts(["a"], [["a", text]], ["exact_match"]),
    ]


def test_a_lone_surrogate_is_named_wherever_a_text_goes_in(glm, deltalm, tally):
    count = 0
    for text in texts_with_a_lone_surrogate():
        for call in calls_with(text, glm, deltalm):
            with pytest.raises(ValueError, match=r"U\+D[89A-F][0-9A-F]{2}, half of a surrogate"):
                call()
            count += 1
    tally("odd arguments", tried=count, named=count)


@pytest.mark.parametrize(
    "words",
    [
        ("fill", "a \udcff [MASK]"),
        ("generate", "a \udcff"),
        ("score", "a [MASK]", "--candidates", "b", "\udcff"),
        ("score", "\udcff [MASK]", "--candidates", "b"),
    ],
)
def test_a_command_line_that_is_not_utf_8_is_named(glm, tmp_path, words, capsys):
    glm.model.save_pretrained(tmp_path)
    glm.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main([words[0], str(tmp_path), *words[1:]])
    assert stopped.value.code
    assert re.search(r"U\+DCFF, half of a surrogate pair|not UTF-8", capsys.readouterr().err)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_lone_surrogate_in_a_document_is_named(kind, glm, tmp_path):
    documents = ["a cat sat on a mat"] * 40 + ["a \ud83d cat"]
    with pytest.raises(ValueError, match=r"U\+D83D"):
        train_tokenizer(documents, kind=kind, vocab_size=600, show_progress=False)
    with pytest.raises(ValueError, match=r"U\+D83D"):
        train_tokenizer(
            documents[:40], kind=kind, vocab_size=600, extra_tokens=["\ud83d"], show_progress=False
        )
    (tmp_path / "a.jsonl").write_text('{"text": "a cat"}\n{"text": "a \\ud83d cat"}\n')
    with pytest.raises(ValueError, match=r"U\+D83D|surrogate|a\.jsonl"):
        prepare_corpus(
            tmp_path / "a.jsonl", glm.tokenizer, cache_dir=tmp_path / "c", show_progress=False
        )


@pytest.mark.parametrize("value", [3, None, 2.5, b"a", [3], ["a [MASK]", None], [["a"]]])
def test_what_is_no_text_is_named(glm, value):
    for call in (glm.fill, glm.generate, lambda text: glm.score(text, ["a"])):
        with pytest.raises((TypeError, ValueError), match=r"text|source|candidates"):
            call(value)


def test_nothing_gives_nothing(glm, deltalm):
    for model in (glm, deltalm):
        assert model.score([], []) == model.generate([]) == []
    assert glm.fill([]) == []


COUNTS = ("max_tokens", "num_beams", "num_return", "min_tokens", "no_repeat_ngram", "top_k", "seed")
REALS = ("temperature", "top_p", "length_penalty")


@pytest.mark.parametrize("name", [*COUNTS, *REALS, "batch_size"])
def test_numbers_that_are_none_are_named(glm, name):
    wrong = [float("nan"), float("inf"), -float("inf"), "3", True, [1]]
    wrong += [2.0, 1.5] if name not in REALS else [1e300]
    calls = (lambda **o: glm.fill("a [MASK]", **o), lambda **o: glm.generate("a", **o))
    for value, call in itertools.product(wrong, calls):
        if name == "temperature" and value == 1e300:
            continue  # a very even draw
        with pytest.raises((TypeError, ValueError), match=name):
            call(**{name: value})


@pytest.mark.parametrize("value", [0.0, -1, "0", None, True])
def test_a_blank_is_a_whole_number(glm, value):
    with pytest.raises((TypeError, ValueError), match="blank"):
        glm.score("a [MASK]", ["a"], blank=value)


@pytest.mark.parametrize("order", [[1.0, 0], [True, False], ["1", "0"], [float("nan"), 0]])
def test_an_order_is_of_whole_numbers(glm, order):
    with pytest.raises((TypeError, ValueError), match="order"):
        glm.fill("a [MASK] b [MASK]", order=order)


@pytest.mark.parametrize("value", [float("nan"), 2.5, "3", True, 0, -1])
def test_counts_of_other_functions_are_named(glm, tmp_path, value):
    text = tmp_path / "a.txt"
    text.write_text("a cat")
    calls = {
        "min_tokens": lambda: prepare_corpus(
            text, glm.tokenizer, cache_dir=tmp_path / "c", min_tokens=value
        ),
        "vocab_size": lambda: train_tokenizer(["a cat"], kind="bpe", vocab_size=value),
        "keep": lambda: trim_model(tmp_path, tmp_path / "out", ["a"], keep=value),
    }
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=name):
            call()
    if value != "3" and value is not True:
        with pytest.raises(ValueError, match="coverage"):
            trim_model(tmp_path, tmp_path / "out", ["a"], coverage=value)
