"""Windows cover a passage without a look at the answer; questions are put as the texts say."""

import unicodedata
from dataclasses import replace
from itertools import pairwise

import pytest
from tiny_glms import tiny_glm

from unblank.families.table import FAMILIES
from unblank.languages import find_language
from unblank.questions.asking import QuestionEncoder, _texts, question_texts
from unblank.questions.reading import GoldAnswer, Question
from unblank.questions.windows import cut_windows

TEXT = "the old grey cat sat on a warm mat and saw one small dog run to some far house"
WORDS = TEXT.split()
CONTEXT = " ".join(f"{WORDS[n * 7 % 19]} {n}" for n in range(60)) + "."
QUESTION = Question("f, line 1", "1", "en", CONTEXT, "who sat?", (GoldAnswer("grey", 8),))


@pytest.fixture(scope="module", params=["bpe", "wordpiece", "unigram"])
def tokenizer(request):
    texts = [CONTEXT, "Question: who sat? Answer: 问题"] * 20
    return tiny_glm(texts, kind=request.param, vocab_size=600).tokenizer


def encoder(tokenizer, family="glm", prompts="english"):
    blank = "[sMASK]" if family == "glm" else ""
    return QuestionEncoder(tokenizer, FAMILIES[family].special_ids(tokenizer), prompts, blank)


@pytest.mark.parametrize("family", ["glm", "deltalm"])
@pytest.mark.parametrize("max_tokens", [40, 64, 1000])
def test_windows_fit_cover_the_passage_and_overlap(tokenizer, family, max_tokens):
    made = encoder(tokenizer, family)
    windows = cut_windows(tokenizer, CONTEXT, lambda text: made.encode(QUESTION, text), max_tokens)
    assert all(len(window.token_ids) <= max_tokens for window in windows)
    covered = {place for window in windows for place in range(window.start, window.end)}
    assert {n for n, letter in enumerate(CONTEXT) if letter != " "} <= covered
    for one, other in pairwise(windows):
        assert one.start < other.start < one.end < other.end
    assert (len(windows) == 1) == (max_tokens == 1000)


def test_a_window_is_asked_about_like_a_passage_of_its_own(tokenizer):
    made = encoder(tokenizer)
    windows = cut_windows(tokenizer, CONTEXT, lambda text: made.encode(QUESTION, text), 50)
    for window in windows[:3]:
        text = made.text(QUESTION, CONTEXT[window.start : window.end])
        assert text.endswith("Question: who sat? Answer: [sMASK]")
        before, _, _ = text.partition("[sMASK]")
        ids = tokenizer(before.rstrip(" "), add_special_tokens=False)["input_ids"]
        special = made.special
        assert list(window.token_ids) == [special.cls, *ids, special.smask, special.eos]


def test_windows_do_not_depend_on_the_answer(tokenizer):
    made = encoder(tokenizer)
    other = replace(QUESTION, answers=(GoldAnswer("house", 40),))
    one, two = (
        cut_windows(tokenizer, CONTEXT, lambda text, q=q: made.encode(q, text), 50)
        for q in (QUESTION, other)
    )
    assert one == two


def test_a_question_that_leaves_no_room_is_refused(tokenizer):
    made = encoder(tokenizer)
    num_others = len(made.encode(QUESTION, ""))
    with pytest.raises(ValueError, match=r"seq2seq\.max_source_length"):
        cut_windows(tokenizer, CONTEXT, lambda text: made.encode(QUESTION, text), num_others + 2)


def test_a_blank_written_in_a_passage_is_text(tokenizer):
    made = encoder(tokenizer)
    ids = made.encode(QUESTION, "a [MASK] and [sMASK] here")
    assert sum(token in made.special.blanks for token in ids) == 1


ASKED = {
    ("en", "english"): "C Question: Q? Answer: |",
    ("zh", "english"): "C Question: Q? Answer: |",
    ("de", "translated"): "C Frage: Q? Antwort: |",
    ("ar", "translated"): "C سؤال: Q? إجابة: |",
    ("zh", "translated"): "C问题\uff1aQ?答案\uff1a|",
    ("zh-Hant", "translated"): "C问题\uff1aQ?答案\uff1a|",
    ("th", "universal"): "Q? |. C",
}


@pytest.mark.parametrize(("language", "prompts"), ASKED)
def test_how_a_question_is_put(language, prompts):
    question = replace(QUESTION, language=language, text="Q?")
    assert "|".join(question_texts(question, "C", prompts)) == ASKED[language, prompts]


@pytest.mark.parametrize("language", ["", "is"])
def test_a_language_without_words_is_named(language):
    question = replace(QUESTION, language=language)
    with pytest.raises(ValueError, match=r"f, line 1: .*(no language|'is')"):
        question_texts(question, "C", "translated")


def test_words_of_all_languages_are_different_composed_and_in_their_script():
    texts = _texts()
    for code, words in texts.hints.items():
        assert words.keys() == {"q", "a"}, code
        assert words["q"] != words["a"], code
        assert find_language(code).code == code
        for word in words.values():
            assert word == unicodedata.normalize("NFC", word), code
            assert word == word.strip(), code
    for pattern in (texts.pattern, texts.universal, *texts.languages.values()):
        assert set(pattern.fields) - {"q", "a"} == {"context", "question"}
    for pattern in (texts.pattern, *texts.languages.values()):  # in memory, whatever is displayed
        text = pattern.text
        assert text.index("{context}") < text.index("{q}") < text.index("{a}") < text.index("[sM")
