"""Questions in all layouts of files; what is wrong with one is named with its place."""

import json

import pytest

from unblank.data.drawing import draw_from_files
from unblank.data.language_files import LanguageFile
from unblank.questions.reading import read_questions

CONTEXT = "Ann lives in Rome. Bob lives in Oslo."


def written(folder, content, name="q.jsonl"):
    path = folder / name
    lines = content if isinstance(content, list) else [content]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return LanguageFile(path)


def record(**changes):
    answers = {"text": ["Rome"], "answer_start": [13]}
    usual = {"id": "1", "context": CONTEXT, "question": "Where is Ann?", "answers": answers}
    return {**usual, **changes}


def squad(*qas):
    paragraph = {"context": CONTEXT, "qas": list(qas)}
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [paragraph]}]}


def test_squad_and_records_give_the_same_questions(tmp_path):
    qas = [
        {"id": "1", "question": "Where is Ann?", "answers": [{"text": "Rome", "answer_start": 13}]},
        {
            "id": "2",
            "question": "Who is in Oslo?",
            "answers": [{"text": "Bob", "answer_start": 19}],
        },
    ]
    nested = read_questions(written(tmp_path, squad(*qas), "q.json"))
    flat = read_questions(
        written(
            tmp_path,
            [record(), record(id="2", question="Who is in Oslo?", answers=["Bob"])],
        )
    )
    assert [q.answers for q in nested] == [q.answers for q in flat]
    assert [(q.name, q.context, q.text) for q in nested] == [
        (q.name, q.context, q.text) for q in flat
    ]
    assert nested[1].answers[0].start == CONTEXT.index("Bob")


def test_each_question_of_a_record_has_a_place_of_its_own(tmp_path):
    """Else two of several passages without names would pass for one, named twice."""
    asked = {"question": "Where is Ann?", "answers": ["Rome"]}
    paragraph = {"context": CONTEXT, "qas": [asked, asked]}
    articles = [
        {"paragraphs": [paragraph, paragraph]},
        {"paragraphs": [paragraph, asked | paragraph]},
    ]
    found = read_questions(written(tmp_path, {"data": articles}, "q.json"))
    assert len({one.place for one in found}) == len({one.name for one in found}) == 8
    assert found[6].place.endswith("(question 7)")


def test_a_limit_draws_from_a_file_whose_records_hold_questions_as_from_any(tmp_path):
    """At random: each record is no file of its own, of which a share is taken."""
    asked = {"question": "Where is Ann?", "answers": ["Rome"]}
    nested = [{"context": CONTEXT, "qas": [asked]} for _ in range(100)]
    flat = [{"context": CONTEXT, **asked} for _ in range(100)]
    drawn = [
        [every.index(one) for one in draw_from_files(every, 10, lambda one: one.place)]
        for every in (read_questions(written(tmp_path, lines)) for lines in (nested, flat))
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    "answers",
    ["Rome", ["Rome"], [{"text": "Rome", "answer_start": 13}], {"text": "Rome"}],
)
def test_answers_may_have_any_of_the_usual_layouts(tmp_path, answers):
    (question,) = read_questions(written(tmp_path, record(answers=answers)))
    assert [(one.text, one.start, one.end) for one in question.answers] == [("Rome", 13, 17)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([record(), record(answers={"text": ["Rome"], "answer_start": [2]})], "line 2: .*'Rome'"),
        ([record(answers=["Paris"])], "line 1: .*'Paris'"),
        ([record(answers={"text": [""], "answer_start": [0]}), record(id=2)], "line 1: .*1 of 2"),
        ([record(), record(question="Who?")], "line 2: .*'1'.*line 1"),
        ([record(context="")], "line 1: field 'context'"),
        ([record(lang="xx")], "line 1: field 'lang'"),
        ([record(answers={"text": ["Rome", "Oslo"], "answer_start": [13]})], "line 1: .*2 texts"),
        ({"data": [{"paragraphs": "x"}]}, "line 1: field 'paragraphs'"),
        ([], "no question"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_questions(written(tmp_path, content))


def test_a_record_in_another_language_than_its_file_is_named(tmp_path):
    file = LanguageFile(written(tmp_path, [record(lang="en"), record(id=2, lang="fr")]).path, "en")
    with pytest.raises(ValueError, match=r"line 2: field 'lang' is 'fr', but .* 'en'"):
        read_questions(file)


def test_a_language_is_that_of_the_record_or_of_the_file(tmp_path):
    file = written(tmp_path, [record(), record(id="2", lang="eng-GB")])
    found = read_questions(LanguageFile(file.path, "en"))
    assert [question.language for question in found] == ["en", "en-GB"]


def test_uid_tells_questions_apart_where_id_does_not(tmp_path):
    found = read_questions(written(tmp_path, [record(uid="a"), record(uid="b")]))
    assert [question.name for question in found] == ["a", "b"]
