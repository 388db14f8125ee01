"""Written answers are found in their passage whatever a tokenizer changed about the letters."""

import gzip
import json
import os
import unicodedata
from pathlib import Path

import pytest

from unblank.metrics.questions import answer_is_exact
from unblank.questions.answers import FoundAnswer
from unblank.questions.spans import find_in_context


def text_in_context(answer, context):
    return FoundAnswer.of(answer, 0.0, context).text


@pytest.mark.parametrize(
    ("answer", "context", "expected"),
    [
        ("Rome", "Ann is in Rome.", "Rome"),
        ("rome", "Ann is in ROME.", "ROME"),
        ("1 , 000", "about 1,000 of them", "1,000"),
        ("น้ํา", "ดื่มน้ำทุกวัน", "น้ำ"),
        ("cafe\u0301", "the caf\u00e9 there", "caf\u00e9"),
        ("\u0921\u093c", "x \u095c y", "\u095c"),  # a letter that NFKC takes apart
        ("1/2", "\u00bd", "1/2"),  # its line is another character
        ("fi", "e\ufb01x", "\ufb01"),
        ("Paris", "Ann is in Rome.", "Paris"),
        (" ", "a b", " "),
    ],
)
def test_the_passage_has_the_last_word(answer, context, expected):
    assert text_in_context(answer, context) == expected


def test_the_exact_text_is_preferred_to_an_earlier_near_one():
    context = "ROME and Rome"
    assert find_in_context("Rome", context) == (9, 13)


def test_copied_answers_that_were_normalised_are_exact_again():
    """Real Thai, Hindi and Chinese answers, as a vocabulary with NFKC writes them back."""
    folder = Path(os.environ.get("UNBLANK_DATA", "../shared/data")) / "xling/xquad"
    if not folder.is_dir():
        pytest.skip("needs the folder of data sets")
    for language, expected in (("th", 90.3), ("hi", 97.1), ("zh", 97.5)):
        before = after = 0.0
        with gzip.open(folder / f"validation.{language}.jsonl.gz", "rt", encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        for record in records:
            right = record["answers"]["text"]
            written = unicodedata.normalize("NFKC", right[0]).strip()
            before += answer_is_exact(written, right)
            after += answer_is_exact(text_in_context(written, record["context"]), right)
        assert before / len(records) == pytest.approx(expected, abs=1.0)
        assert after / len(records) > 99.9, language
