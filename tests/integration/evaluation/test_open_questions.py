"""Questions over passages: the sum over the passages that led to the same answer."""

import json
import math

import pytest
from evaluation_toys import write
from written_indexes import index_of

from unblank.evaluation.open_questions import answers_from_passages
from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options
from unblank.generation.passages import Passage
from unblank.generation.results import Generated
from unblank.questions.asking import QuestionEncoder
from unblank.questions.reading import GoldAnswer, Question
from unblank.retrieval.index import PassageIndex
from unblank.tokenization.special import special_ids


def encoder_of(tiny):
    return QuestionEncoder(tiny.tokenizer, special_ids(tiny.tokenizer), "english", "[sMASK]")


def test_equal_answers_of_several_passages_add_up(tiny):
    question = Question("here", "1", "en", "", "what sat?", (GoldAnswer("cat", 0),))
    passages = [Passage("a dog ran", 0.4), Passage("the cat sat", 0.2), Passage("a cat", 0.1)]
    said = iter([("dog", -1.0), ("cat", -1.3), ("cat", -1.4)])
    read = []

    def say(inputs):
        read.extend(inputs)
        return [Generated(text, (), log_p, True) for text, log_p in (next(said) for _ in inputs)]

    (found,) = answers_from_passages([question], [passages], encoder_of(tiny), 60, say)
    weights = [math.exp(one.score) for one in passages]
    expected = (weights[1] * math.exp(-1.3) + weights[2] * math.exp(-1.4)) / sum(weights)
    assert weights[0] * math.exp(-1.0) / sum(weights) < expected
    assert (found.text, found.is_in_context) == ("cat", True)
    assert found.log_probability == pytest.approx(math.log(expected), abs=1e-5)
    encoder = encoder_of(tiny)
    assert read == [encoder.encode(question, one.text) for one in passages]


def test_the_suite_asks_without_passages_with_them_and_with_wrong_ones(
    tiny, model_folder, tmp_path
):
    texts = ["the cat sat on a mat", "a dog ran to some house", "the old dog saw"]
    index_of([(f"line {n}", one) for n, one in enumerate(texts)], tmp_path / "index")
    records = [
        {"context": "never seen: a mat or a house", "question": question, "answers": [answer]}
        for question, answer in (("where is the cat?", "a mat"), ("what ran?", "a house"))
    ]
    write(tmp_path / "xling/xquad/validation.en.jsonl", records)
    options = suite_options("xquad")(
        model=str(model_folder),
        suite="xquad",
        data=tmp_path,
        output=tmp_path / "out.json",
        retrieve=str(tmp_path / "index"),
        top=(1, 2),
        max_tokens=3,
    )
    scores, path = evaluate(options)
    hits = {one.task: one.value for one in scores if one.metric == "answer_in_passages"}
    assert hits == {
        "xquad without passages": 0.0,
        "xquad with 1 passage": 50.0,
        "xquad with 2 passages": 50.0,
        "xquad with 2 passages of others": 0.0,
    }
    lines = json.loads(path.read_text(encoding="utf-8"))["predictions"]
    line = next(one for one in lines if one["task"] == "xquad with 1 passage")
    (passage,) = PassageIndex(tmp_path / "index").search("where is the cat?", 1)
    question = Question("", "", "en", "", "where is the cat?", ())
    text = encoder_of(tiny).text(question, passage.text)
    expected = tiny.fill(text, max_tokens=3, min_tokens=1)
    assert line["written"].strip() == expected.blanks[0].text.strip()
    assert line["log_probability"] == pytest.approx(expected.log_probability, abs=1e-3)
