"""Facts: candidates scored as `Unblank.score` does, shares of ties, files named by line."""

import json
import re
from statistics import fmean

import pytest
from evaluation_toys import write
from tiny_glms import tiny_glm, with_sentinels, write_folder
from written_indexes import index_of

from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options
from unblank.metrics.words import split_words
from unblank.retrieval.index import PassageIndex

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
        assert line["points"]["P@1"] == 100.0 * (best == line["answer"])
        assert line["written"] == tiny.fill(text, max_tokens=16).blanks[0].text
    right = [line["points"]["P@1"] for line in lines]
    first = found["P1 place", "P@1"]
    assert (first.value, first.count) == (pytest.approx(fmean(right[:4])), 4)
    assert found["lama_trex", "P@1"].value == pytest.approx((first.value + right[4]) / 2)
    assert found["P1 place", "most frequent object"].value == 50.0
    exact = [split_words(line["written"]) == split_words(line["answer"]) for line in lines[:4]]
    assert found["P1 place", "written"].value == 25 * sum(exact)


def test_a_limit_holds_for_each_relation_and_keeps_the_candidates(model_folder, tmp_path):
    found, lines = measured(model_folder, write_facts(tmp_path), limit=1)
    assert found["lama_trex", "P@1"].count == len(lines) == 2
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
    assert found["P1 place", "P@1"].value == 50.0


@pytest.mark.parametrize("layout", ["masked", "sentinel"])
def test_other_layouts_have_candidates_only(tiny, tmp_path, layout, capsys):
    folder = write_folder(with_sentinels(tiny), tmp_path / "model")
    found, lines = measured(folder, write_facts(tmp_path), layout=layout)
    assert not any(metric == "written" for _, metric in found)
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


LANGUAGES = {"en": ["old", "dog", "mat", "far house"], "de": ["mat", "house", "far house", "run"]}


def write_languages(folder, names=LANGUAGES, **more):
    """Write the same facts in several languages, and relations with a template for each."""
    templates = {"en": "[X] sat on [DEF;Y] [Y.Acc] .", "de": "[Y] [saw;X-Gender=MASC|x;X] [X]"}
    for language, objects in names.items():
        facts = [
            {
                "relation": f"P{number % 2}",
                "sub_uri": f"Q{number}",
                "sub_label": f"the {number} cat",
                "obj_uri": f"Q1{number % 3}",
                "obj_label": name,
                **more,
            }
            for number, name in enumerate(objects)
        ]
        write(folder / f"probing/xfactr/facts.{language}.jsonl", facts)
    relations = [
        {"relation": code, "label": "thing", "template": "[X] [Y]", "templates": templates}
        for code in ("P0", "P1")
    ]
    write(folder / "probing/xfactr/relations.jsonl", relations)
    return folder


def test_languages_without_facts_are_no_empty_measurement(model_folder, tmp_path):
    with pytest.raises(ValueError, match="sw"):
        measured(model_folder, write_facts(tmp_path), tasks=("lama_trex",), languages=("sw",))


def test_languages_have_rows_of_their_own_and_agree_as_often_as_counted(model_folder, tmp_path):
    write_languages(tmp_path)
    options = suite_options("facts")(
        model=str(model_folder), data=tmp_path, output=tmp_path / "out.json", tasks=("xfactr",)
    )
    scores, path = evaluate(options)
    found = {(one.task, one.metric, one.language): one.value for one in scores}
    lines = json.loads(path.read_text(encoding="utf-8"))["predictions"]
    texts = [line["text"] for line in lines[::4]]
    assert texts == ["[MASK] saw the 0 cat", "the 0 cat sat on [MASK]."]
    for metric in ("P@1", "P@5", "MRR", "written", "most frequent object"):
        of_language = {}
        for language in LANGUAGES:
            points = {"P0 thing": [], "P1 thing": []}
            for line in lines:
                if line["language"] == language:
                    points[line["relation"]].append(line["points"][metric])
            of_language[language] = fmean(map(fmean, points.values()))
            assert found["xfactr", metric, language] == pytest.approx(of_language[language])
        assert found["xfactr", metric, "mean"] == pytest.approx(fmean(of_language.values()))
    predicted = {language: {} for language in LANGUAGES}
    for line in lines:
        number = LANGUAGES[line["language"]].index(line["prediction"]) % 3
        (subject,) = re.findall("the . cat", line["text"])
        predicted[line["language"]][subject] = number
    same = [predicted["en"][subject] == predicted["de"][subject] for subject in predicted["en"]]
    assert found["xfactr", "agreement", "mean"] == pytest.approx(100 * fmean(same))
    table = path.with_suffix(".csv").read_text(encoding="utf-8")
    assert table.startswith("task,metric,de,en,mean,")
    pieces = {line["tokens"] for line in lines}
    titles = {one.task for one in scores if "objects of" in one.task}
    assert len(titles) == len({min(number, 3) for number in pieces})


def test_only_the_languages_that_are_wanted_are_measured(model_folder, tmp_path, capsys):
    write_languages(write_facts(tmp_path))
    _, lines = measured(model_folder, tmp_path, languages=("deu",))
    assert {line["language"] for line in lines} == {"de"}
    assert "left out lama_trex: it is in en" in capsys.readouterr().err


def test_an_alias_that_is_written_counts_and_is_no_candidate(tiny, model_folder, tmp_path):
    text = "the 0 cat sat on [MASK]."
    written = tiny.fill(text, max_tokens=16).blanks[0].text
    write_languages(tmp_path, {"en": ["old", "dog", "mat"]}, obj_aliases=[written.upper(), "mat"])
    _, lines = measured(model_folder, tmp_path, tasks=("xfactr",))
    assert lines[0]["text"] == text
    assert lines[0]["points"]["written"] == 100.0
    assert lines[0]["prediction"] == "old"  # "mat" is another name of it


def test_a_language_without_its_sentence_is_named(model_folder, tmp_path, capsys):
    write_languages(tmp_path)
    path = tmp_path / "probing/xfactr/relations.jsonl"
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace("[saw;X-Gender=MASC|x;X] [X]", "saw", 1), encoding="utf-8")
    _, lines = measured(model_folder, tmp_path, tasks=("xfactr",), languages=("de",))
    assert len(lines) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "left out P0 thing, 2 facts" in said
    assert "relations.jsonl, line 1" in said


def test_passages_help_are_counted_and_wrong_ones_are_those_of_others(tiny, tmp_path):
    folder = write_folder(tiny, tmp_path / "model")
    write_facts(tmp_path)
    statement = "The dog sat on a far house."
    documents = ["one dog saw a mat", statement, "the cat: a warm mat", "run run run"]
    index_of([(f"line {n}", one) for n, one in enumerate(documents)], tmp_path / "index")
    found, lines = measured(folder, tmp_path, retrieve=str(tmp_path / "index"), top=(2, 1))
    titles = ["lama_trex", *(f"lama_trex with {x}" for x in ("1 passage", "2 passages"))]
    titles.append("lama_trex with 2 passages of others")
    assert list(dict.fromkeys(line["task"] for line in lines)) == titles
    index = PassageIndex(tmp_path / "index")
    with_two = [line for line in lines if line["task"] == titles[2]]
    for line in with_two:
        passages = index.search(line["text"], 2)
        assert line["passages"] == [one.text for one in passages]
        candidates = tiny.score(line["text"], ["far house", "warm mat"], passages=passages)
        if line["answer"] == "warm mat":
            assert line["prediction"] == candidates.best.text
        named = any(line["answer"] in one.text for one in passages)
        assert line["points"]["object in a passage"] == 100.0 * named
        is_leaked = line["text"] == "the dog sat on a [MASK]."
        assert line["points"]["sentence in a passage"] == 100.0 * is_leaked
    wrong = [line["passages"] for line in lines if line["task"] == titles[3]]
    assert sorted(wrong) == sorted(line["passages"] for line in with_two)
    assert wrong != [line["passages"] for line in with_two]
    assert found["lama_trex with 1 passage", "P@1"].count == 5


def test_an_index_that_is_not_there_is_named(model_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} .*index"):
        measured(model_folder, write_facts(tmp_path), retrieve=str(tmp_path))
