"""Scores of texts: the packages called directly, a naive ROUGE, and words of every script."""

import re
import string
import unicodedata
from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank import extras
from unblank.metrics import bleu_tokenizers
from unblank.metrics.bleu_tokenizers import choose_bleu_tokenizer
from unblank.metrics.text import score_texts
from unblank.metrics.words import split_words

PREDICTIONS = [
    "The cat sat on the mat.",
    "Ein Mann schlaeft in einem gruenen Raum",
    "police killed the gunman",
    "",
]
REFERENCES = [
    ["The cat is on the mat.", "There is a cat on the mat."],
    ["Ein Mann schlaeft auf einer Couch in einem Raum."],
    ["the gunman was killed by police", "the gunman police killed", "police ended the gunman"],
    ["nothing"],
]


def sacrebleu_streams():
    most = max(map(len, REFERENCES))
    return [[one[i] if i < len(one) else None for one in REFERENCES] for i in range(most)]


@pytest.mark.parametrize("tokenize", ["13a", "zh", "char", "intl", "none"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_bleu_and_chrf_are_those_of_sacrebleu(tokenize, lowercase):
    import sacrebleu

    found = score_texts(
        PREDICTIONS, REFERENCES, ["bleu", "chrf"], tokenize=tokenize, lowercase=lowercase
    )
    bleu = sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase)
    chrf = sacrebleu.CHRF(lowercase=lowercase)
    for name, metric in (("bleu", bleu), ("chrf", chrf)):
        expected = metric.corpus_score(PREDICTIONS, sacrebleu_streams())
        assert found.scores[name].value == expected.score
        assert found.scores[name].signature == str(metric.get_signature())


@pytest.mark.parametrize("stem", [True, False])
def test_rouge_of_english_is_that_of_rouge_score(stem):
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = RougeScorer(kinds, use_stemmer=stem)
    found = score_texts(PREDICTIONS, REFERENCES, ["rouge"], stem=stem).values
    for kind in kinds:
        each = [
            scorer.score_multi(answers, text)[kind].fmeasure
            for text, answers in zip(PREDICTIONS, REFERENCES, strict=True)
        ]
        assert found[kind] == pytest.approx(100 * sum(each) / len(each))


def naive_f1(common, num_predicted, num_expected):
    if not common:
        return 0.0
    precision, recall = common / num_predicted, common / num_expected
    return 2 * precision * recall / (precision + recall)


def naive_rouge_l(prediction, reference):
    """By the definition of the longest common subsequence, recursively."""

    @cache
    def longest(i, j):
        if i == len(prediction) or j == len(reference):
            return 0
        if prediction[i] == reference[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    return naive_f1(longest(0, 0), len(prediction), len(reference))


def naive_rouge_n(prediction, reference, size):
    def grams(words):
        return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))

    predicted, expected = grams(prediction), grams(reference)
    common = sum((predicted & expected).values())
    return naive_f1(common, predicted.total(), expected.total())


WORDS = st.lists(st.sampled_from(["cat", "mat", "Hund", "gro\u00df", "\u732b", "\u0915\u093f"]))
TEXTS = st.tuples(WORDS, st.lists(WORDS.filter(bool), min_size=1, max_size=3))


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_rouge_is_what_its_definition_says(corpus):
    predictions = [" ".join(words) for words, _ in corpus]
    references = [[" ".join(words) for words in answers] for _, answers in corpus]
    found = score_texts(predictions, references, ["rouge"]).values
    for kind, naive in (
        ("rougeL", naive_rouge_l),
        ("rouge1", lambda one, other: naive_rouge_n(one, other, 1)),
        ("rouge2", lambda one, other: naive_rouge_n(one, other, 2)),
    ):
        each = [
            max(naive([w.lower() for w in words], [w.lower() for w in one]) for one in answers)
            for words, answers in corpus
        ]
        assert found[kind] == pytest.approx(100 * sum(each) / len(each))


@given(st.text(alphabet=string.printable))
def test_words_of_ascii_text_are_those_of_rouge_score(text):
    from rouge_score.tokenize import tokenize

    assert split_words(text) == tokenize(text, None)


@pytest.mark.parametrize(
    "words",
    [
        "der|grüne|müller",
        "我|喜|欢|ai|技|术",
        "हिन्दी|भाषा",
        "ไ|ท|ย|ที่",
        "안녕|하세요",
        "привет|мир",
        "العربية|لغة",
        "ね|こ|が|3|匹",
    ],
)
def test_words_of_every_script(words):
    expected = [unicodedata.normalize("NFKC", word) for word in words.split("|")]
    for text in (words, f"\u0301 {words.upper()}!?", unicodedata.normalize("NFD", words)):
        assert split_words(text) == expected


def test_exact_match_takes_any_reference():
    found = score_texts(["a ", "B", "c"], [["x", "a"], ["b"], ["d"]], ["exact_match"])
    assert found.values == {"exact_match": pytest.approx(100 / 3)}
    found = score_texts(
        ["a ", "B", "c"], [["x", "a"], ["b"], ["d"]], ["exact_match"], lowercase=True
    )
    assert found.values == {"exact_match": pytest.approx(200 / 3)}


def test_margins_are_given_when_asked_for_and_do_not_change_a_value():
    plain = score_texts(PREDICTIONS, REFERENCES)
    wide = score_texts(PREDICTIONS, REFERENCES, with_margin=True)
    assert plain.values == wide.values
    assert all(score.margin is None for score in plain.scores.values())
    assert all(score.margin >= 0 for score in wide.scores.values())
    assert wide == score_texts(PREDICTIONS, REFERENCES, with_margin=True)
    values = [100.0, 0.0, 0.0, 0.0]
    expected = 1.96 * (sum((v - 25) ** 2 for v in values) / 3 / 4) ** 0.5
    matches = score_texts(
        ["a", "b", "c", "d"], [["a"], ["x"], ["x"], ["x"]], ["exact_match"], with_margin=True
    )
    assert matches.scores["exact_match"].margin == pytest.approx(expected)


def test_meteor_without_its_data_is_said_to_be_missing(monkeypatch, tmp_path):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    from nltk.corpus.util import LazyCorpusLoader

    # A corpus that is loaded already would not be looked for again.
    monkeypatch.setattr(
        nltk.corpus,
        "wordnet",
        LazyCorpusLoader("wordnet", nltk.corpus.reader.WordNetCorpusReader, None),
    )
    found = score_texts(["a cat"], [["a cat"]], ["exact_match", "meteor"])
    assert found.values == {"exact_match": 100.0}
    assert "nltk.downloader wordnet" in found.missing["meteor"]
    assert "meteor       not computed" in str(found)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda package: package == "nltk")
    for metric in ("bleu", "chrf++", "rouge"):
        with pytest.raises(ImportError, match=rf"{re.escape(metric)} .*unblank\[eval\]"):
            score_texts(["a"], [["a"]], [metric])


@pytest.mark.parametrize(
    ("predictions", "references", "metrics", "message"),
    [
        ([], [], ["bleu"], "0 predictions"),
        (["a"], [["a"], ["b"]], ["bleu"], "1 prediction and 2 lists"),
        (["a"], [[]], ["bleu"], "prediction 0"),
        (["a"], ["a"], ["bleu"], "a list of texts"),
        (["a"], [["a"]], ["blue"], "blue.*bleu"),
    ],
)
def test_what_cannot_be_scored_is_named(predictions, references, metrics, message):
    with pytest.raises(ValueError, match=message):
        score_texts(predictions, references, metrics)


def test_an_unknown_tokenizer_is_named():
    with pytest.raises(ValueError, match="13a, intl, zh"):
        score_texts(["a"], [["a"]], ["bleu"], tokenize="14a")


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
@pytest.mark.parametrize(
    "answer",
    [
        "\u0e19\u0e49\u0e33\u0e15\u0e32\u0e01\u0e33",  # Thai with the vowel AM, after a tone, too
        "\u0e99\u0ec9\u0eb3\u0e81\u0eb3",  # the same in Lao
        "\u00e9t\u00e9 \u1ee7a \uac00\ub098 \u304c\u304e\u3050\u3052",
    ],
)
def test_the_way_in_which_letters_are_encoded_does_not_count(answer, form):
    written = unicodedata.normalize(form, answer)
    for prediction, reference in ((written, answer), (answer, written)):
        found = score_texts([prediction], [[reference]], ["exact_match", "bleu", "chrf", "rouge"])
        same = score_texts([answer], [[answer]], ["exact_match", "bleu", "chrf", "rouge"])
        assert found.values == same.values
    assert same.values["exact_match"] == same.values["chrf"] == 100.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat sat on the mat.", "13a"),
        ("\u041a\u043e\u0448\u043a\u0430 \u0441\u0438\u0434\u0438\u0442.", "13a"),
        ("\u6211\u5728\u5317\u4eac\u5927\u5b66\u8bfb\u4e66", "zh"),
        ("\u6211\u7528 Python \u5199\u7a0b\u5e8f", "zh"),
        ("\u732b\u304c\u597d\u304d\u3067\u3059", "ja-mecab"),
        ("\uace0\uc591\uc774\uac00 \uc88b\uc544\uc694", "ko-mecab"),
        ("\u0e09\u0e31\u0e19\u0e23\u0e31\u0e01\u0e41\u0e21\u0e27", "char"),
        ("\u1780\u17b6\u179a", "char"),
        ("\ua188\ua320\ua071", "char"),  # Yi
        ("\u1a32\u1a6b\u1a60\u1a45", "char"),  # Tai Tham
        ("\u1985\u19c4\u19ba", "char"),  # New Tai Lue
        ("\uaa61\uaa6b\uaa65", "char"),  # Khamti
        ("\ua9b2\ua9a4\ua995", "char"),  # Javanese
        ("\uff76\uff80\uff76\uff85", "ja-mecab"),  # half-width
        ("123", "13a"),
    ],
)
@pytest.mark.parametrize("has_mecab", [True, False])
def test_the_tokenizer_of_bleu_follows_the_script(monkeypatch, text, expected, has_mecab):
    monkeypatch.setattr(bleu_tokenizers, "find_spec", lambda name: object() if has_mecab else None)
    if not has_mecab and expected.endswith("mecab"):
        expected = "char"
    assert choose_bleu_tokenizer("auto", [text]) == expected
    assert choose_bleu_tokenizer("13a", [text]) == "13a"
    if not has_mecab:
        signature = score_texts([text], [[text]], ["bleu"]).scores["bleu"].signature
        assert f"tok:{expected}" in signature


def test_a_tokenizer_whose_model_would_have_to_be_fetched_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(ImportError, match="flores200"):
        score_texts(["a"], [["a"]], ["bleu"], tokenize="flores200")
