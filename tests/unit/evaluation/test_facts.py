"""Facts: candidates scored as `Unblank.score` does, shares of ties, files named by line."""

import json

import pytest
from evaluation_toys import write
from tiny_glms import tiny_glm, with_sentinels, write_folder

from unblank.evaluation.options import suite_options
from unblank.evaluation.run import evaluate
from unblank.metrics.words import split_words

RELATIONS = [
    {"relation": "P1", "label": "place", "template": "[X] sat on a [Y] ."},
    {"relation": "P2", "label": "owner", "template": "[Y] saw [X]"},
]
FACTS = [
    {"predicate_id": "P1", "sub_label": "the cat", "obj_label": "warm mat"},
    {"predicate_id": "P2", "sub_label": "the house", "obj_label": "one dog"},
    {"predicate_id": "P1", "sub_label": "the cat", "obj_label": "house"},
    {"predicate_id": "P1", "sub_label": "the dog", "obj_label": "far house"},
    {"predicate_id": "P1", "sub_label": "the old dog", "obj_label": "far house"},
]


def write_facts(folder, facts=FACTS, relations=RELATIONS):
    write(folder / "probing/lama_trex/facts.jsonl", facts)
    write(folder / "probing/lama_trex/relations.jsonl", relations)
    return folder


def measured(model, folder, **more):
    options = suite_options("facts")(
        model=str(model), data=folder, output=folder / "out.json", **more
    )
    scores, path = evaluate(options)
    found = {(score.task, score.metric): score for score in scores}
    return found, json.loads(path.read_text(encoding="utf-8"))["predictions"]


def test_the_best_candidate_is_that_of_a_plain_score(tiny, model_folder, tmp_path):
    found, lines = measured(model_folder, write_facts(tmp_path), batch_size=2)
    asked = [
        ("the cat sat on a [MASK].", ["far house", "warm mat"]),  # its other place is left out
        ("the cat sat on a [MASK].", ["far house", "house"]),
        ("the dog sat on a [MASK].", ["far house", "warm mat", "house"]),
        ("the old dog sat on a [MASK].", ["far house", "warm mat", "house"]),
        ("[MASK] saw the house", ["one dog"]),
    ]
    for line, (text, candidates) in zip(lines, asked, strict=True):
        scores = tiny.score(text, candidates).candidates
        best = max(scores, key=lambda one: one.score).text
        assert (line["text"], line["prediction"]) == (text, best)
        assert line["points"] == float(best == line["answer"])
        assert line["written"] == tiny.fill(text, max_tokens=16).blanks[0].text
    right = [line["points"] for line in lines]
    first = found["P1 place", "first of the candidates"]
    assert (first.value, first.count) == (pytest.approx(25 * sum(right[:4])), 4)
    whole = found["lama_trex", "first of the candidates"]
    assert whole.value == pytest.approx((first.value + 100 * right[4]) / 2)
    assert found["P1 place", "most frequent object"].value == 50.0
    exact = [split_words(line["written"]) == split_words(line["answer"]) for line in lines[:4]]
    assert found["P1 place", "exactly written"].value == 25 * sum(exact)


def test_a_limit_holds_for_each_relation_and_keeps_the_candidates(model_folder, tmp_path):
    found, lines = measured(model_folder, write_facts(tmp_path), limit=1)
    assert found["lama_trex", "first of the candidates"].count == len(lines) == 2
    assert lines[0]["text"] == "the cat sat on a [MASK]."


def test_candidates_of_the_same_tokens_share_the_point(tmp_path):
    given = tiny_glm(["the cat sat on a mat"] * 30, kind="wordpiece", max_position_embeddings=64)
    folder = write_folder(given, tmp_path / "model")
    facts = [
        {"predicate_id": "P1", "sub_label": "the cat", "obj_label": "a mat"},
        {"predicate_id": "P1", "sub_label": "a cat", "obj_label": "a  mat"},
    ]
    found, _ = measured(folder, write_facts(tmp_path, facts))
    assert given.tokenizer("a mat").input_ids == given.tokenizer("a  mat").input_ids
    assert found["P1 place", "first of the candidates"].value == 50.0


@pytest.mark.parametrize("layout", ["masked", "sentinel"])
def test_other_layouts_have_candidates_only(tiny, tmp_path, layout, capsys):
    folder = write_folder(with_sentinels(tiny), tmp_path / "model")
    found, lines = measured(folder, write_facts(tmp_path), layout=layout)
    assert not any(metric == "exactly written" for _, metric in found)
    assert all(line["written"] is None for line in lines)
    assert layout in capsys.readouterr().err


@pytest.mark.parametrize(
    ("facts", "relations", "named"),
    [
        ([], RELATIONS, "no fact"),
        ([{**FACTS[0], "predicate_id": "P9"}], RELATIONS, r"facts.jsonl, line 1.*'P9'"),
        ([FACTS[0], {"predicate_id": "P1"}], RELATIONS, r"facts.jsonl, line 2.*'sub_label'"),
        (FACTS, [{**RELATIONS[0], "template": "[X] sat"}], r"relations.jsonl, line 1.*\[Y\]"),
        ([{**FACTS[0], "sub_label": "a [MASK]"}], RELATIONS, r"facts.jsonl, line 1.*blank"),
        ([{**FACTS[0], "sub_label": "cat " * 90}], RELATIONS, "too long"),
    ],
)
def test_what_is_no_fact_is_named(model_folder, tmp_path, facts, relations, named):
    with pytest.raises(ValueError, match=named):
        measured(model_folder, write_facts(tmp_path, facts, relations))
