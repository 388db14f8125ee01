"""Task files and data files: what is read, and every mistake named with its place."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from unblank.prompting import load_task, make_examples, read_examples, task_names
from unblank.prompting.examples import require_labels
from unblank.prompting.judging import judge
from unblank.prompting.patterns import fill_pattern
from unblank.prompting.predicting import Prediction
from unblank.prompting.readers import guess_noun_phrases
from unblank.prompting.training import draw_candidates, target_shares, training_examples

TASK = """
verbalizer: {good: Yes, bad: No}
patterns:
  - '{text} [MASK].'
shorten: {text: end}
"""

OPTIONS = "candidates: options\npatterns: ['{text} [MASK].']\n"

NAMES = "labels: [a, b]\nclassifier: ['{text}']\n"

OTHER_LABELS = "  - pattern: '[MASK] {text}'\n    verbalizer: {a: b, c: d}\n"


def write_task(folder, text):
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_data(folder, *records, name="data.jsonl"):
    path = folder / name
    lines = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
    return path


@pytest.mark.parametrize("name", task_names())
def test_every_task_of_the_library_reads_its_own_example(name):
    task = load_task(name)
    examples = make_examples(task, dict(task.example))
    assert task.about
    assert task.metrics
    require_labels(task, examples)


def test_what_gives_way_may_be_left_to_the_library_and_may_be_nothing(tmp_path):
    silent = TASK.replace("shorten: {text: end}\n", "")
    assert load_task(write_task(tmp_path, silent)).shorten is None
    assert load_task(write_task(tmp_path, f"{silent}shorten: {{}}\n")).shorten == {}


def test_words_stay_words(tmp_path):
    task = load_task(write_task(tmp_path, TASK))
    assert dict(task.pattern().verbalizer) == {"good": ("Yes",), "bad": ("No",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TASK.replace("[MASK]", ""), "line 4: pattern .* 0 blanks"),
        (TASK.replace("{text} ", "It was "), "line 4: pattern 'It was .*field.*{name}"),
        (
            TASK.replace("verbalizer", "verbaliser"),
            "line 2: .*'verbaliser'",
        ),
        (
            TASK.replace("bad: No", "bad: Yes"),
            "line 2: .*'good'.*'bad'.*'Yes'",
        ),
        (TASK.replace("No", '" "'), "line 2: .*'bad'.*empty"),
        (TASK.replace(", bad: No", ""), "line 2: .*two labels"),
        (TASK.replace("bad: No", "good: No, bad: Maybe"), "line 2: 'good'"),
        (TASK.replace("{text}", "{text"), "line 4: .* stray brace"),
        (TASK + "metrics: [acuracy]", "line 6: metrics .*'acuracy'.*accuracy"),
        (TASK + "default_pattern: 4", "line 6: .*pattern 0"),
        (TASK.replace("text: end", "text: middle"), r"line 5: shorten\.text.*'middle'"),
        ("patterns: ['{a} [MASK]']", "verbalizer.*candidates"),
        (TASK.replace("shorten", OTHER_LABELS + "shorten"), "'a', 'c'.*'good', 'bad'"),
        (
            TASK.replace("- '{", "- patern: '{"),
            "line 4: .*'patern'.*'pattern'",
        ),
        (TASK.replace("Yes", "{a: b}"), "line 2: .*'good'.*words"),
        (TASK.replace("Yes", "[Yes, Yes]"), "line 2: .*'good'.*'Yes' twice"),
        (TASK.replace("Yes", "'a [MASK]'"), "line 2: .*'good'.*blank"),
        (TASK + "label: [a]", r"line 6: label.*\['a'\]"),
        (TASK + "metrics: accuracy", "line 6: metrics.*'accuracy'"),
        (TASK + "metrics: [f1]", "line 6: .*'f1'.*'1'"),
        (TASK + "metrics: [pearson]", "line 6: .*'pearson'"),
        (TASK + "metrics: [em]", "line 6: .*'em'"),
        (TASK + "regression: maybe", "line 6: regression.*'maybe'.*true or false"),
        (TASK + "regression: true", "line 2: .*regression.*numbers"),
        (TASK.replace("{text: end}", "{body: end}"), "line 5: shorten .*'body'.*'text'"),
        (TASK + "candidates: options", "line 6: .*verbalizer.*candidates"),
        (OPTIONS.replace("options", "['{text}']"), "line 1: candidates.*two"),
        (OPTIONS + "max_wrong: 0", r"line 3: max_wrong.*\b1\b"),
        (TASK + "max_wrong: 3", r"line 6: max_wrong"),
        (NAMES + "max_wrong: 3", r"line 3: max_wrong"),
        (NAMES + "decision: several\nscoring: sum", r"line 4: scoring.*patterns"),
        (TASK + "decision: first", r"line 6: .*decision.*candidates"),
        (TASK + "decision: text", r"line 6: .*decision.*candidates"),
        (NAMES + "decision: first", r"line 3: .*decision.*candidates"),
        (OPTIONS + "regression: true", r"line 3: .*regression.*verbalizer"),
        (NAMES + "scoring: sum", r"line 3: scoring.*patterns"),
        (NAMES + "default_pattern: 0", r"line 3: default_pattern.*patterns"),
        (NAMES + "verbalizers: {de: {a: x, b: y}}", r"line 3: verbalizers.*patterns"),
        ("reader: multirc\npatterns: ['{answer} [MASK].']", r"my\.yaml: .*verbalizer.*candidates"),
        ("- a", "`key: value` lines"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_mistakes_in_a_task_file_are_named(tmp_path, text, message):
    path = write_task(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        load_task(path)
    assert str(path) in str(caught.value)


def test_an_unknown_task_is_answered_with_near_names(tmp_path):
    with pytest.raises(ValueError, match=r"'bolq'.*boolq"):
        load_task("bolq")
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_task(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "x", "label": "goood"}, "line 2: .*'goood'.*'good'"),
        ({"txt": "x", "label": "good"}, "line 2: .*'text'.*'txt'"),
        ([1], "line 2: .*JSON object"),
        (
            {"text": ["x", "y"], "label": "good"},
            "line 2: .*'text'.*my.yaml, line 4",
        ),
        ({"text": None, "label": "good"}, "line 2: .*'text'.*None"),
        ({"text": "half \ud83d", "label": "good"}, "line 2: .*'text'.*surrogate"),
    ],
)
def test_mistakes_in_the_data_are_named_with_file_and_line(tmp_path, record, message):
    task = load_task(write_task(tmp_path, TASK))
    path = write_data(tmp_path, {"text": "a", "label": "good"}, record, name="data.jsonl.gz")
    with pytest.raises(ValueError, match=message) as caught:
        read_examples(task, [path])
    assert str(path) in str(caught.value)


def test_unlabelled_and_one_sided_data_are_refused_where_labels_are_needed(tmp_path):
    task = load_task(write_task(tmp_path, TASK))
    path = write_data(tmp_path, {"text": "a", "label": "good"}, {"text": "b"})
    examples = read_examples(task, [path]).examples
    with pytest.raises(ValueError, match=r"line 2: .*'label'.*1 of 2 examples"):
        training_examples(task, examples)
    with pytest.raises(ValueError, match=r"1 examples .*'good'"):
        training_examples(task, examples[:1])


def test_a_label_under_another_name_or_in_an_empty_cell_is_missing(tmp_path):
    task = load_task(write_task(tmp_path, TASK))
    path = tmp_path / "data.csv"
    path.write_text("text,label,Label\na,,good\n")
    with pytest.raises(ValueError, match=r"'label'.*'Label'"):
        training_examples(task, read_examples(task, [path]).examples)


def test_unlabelled_questions_of_record_lack_answers():
    task = load_task("record")
    record = json.loads(json.dumps(task.example))
    del record["qas"][0]["answers"]
    examples = make_examples(task, record, "place")
    with pytest.raises(ValueError, match=r"place: .*'answers'"):
        require_labels(task, examples)


def test_two_columns_of_one_name_are_refused(tmp_path):
    task = load_task(write_task(tmp_path, TASK))
    path = tmp_path / "data.csv"
    path.write_text("text,text,label\na,b,good\n")
    with pytest.raises(ValueError, match=r"data\.csv, line 1: .*'text'"):
        read_examples(task, [path])


def test_data_that_asks_nothing_is_refused(tmp_path):
    task = load_task(write_task(tmp_path, TASK + "skip_labels: ['good']\n"))
    path = write_data(tmp_path, {"text": "a", "label": "good"})
    with pytest.raises(ValueError, match=r"data\.jsonl: .*\b1 record\b"):
        read_examples(task, [path])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("wsc", {"text": None}, "'text'.*None"),
        ("wsc", {"target": ["it"]}, "'span1_text'"),
        ("wsc", {"candidates": ["x", None]}, "'candidates'"),
        ("wsc", {"target": {"span1_text": "x", "span2_text": " ", "span2_index": 1}}, "span2_text"),
        ("xwinograd", {"pronoun_span": []}, "'pronoun_span'"),
        ("xwinograd", {"pronoun_span": [None, 9]}, "'pronoun_span'"),
        ("xwinograd", {"tokens": [1, 2, 3, 4, 5, 6, 7, 8]}, "'tokens'"),
        ("record", {"qas": "x"}, "'qas'"),
        ("record", {"passage": {"text": "x", "entities": [{"start": 0}]}}, "'end'"),
        ("multirc", {"passage": {"text": "x", "questions": {"a": 1}}}, "'questions'"),
    ],
)
def test_nested_records_of_another_shape_are_named(name, change, message):
    task = load_task(name)
    with pytest.raises(ValueError, match=f"place: .*{message}"):
        make_examples(task, {**task.example, **change}, "place")


@pytest.mark.parametrize("label", ["[broken", "[" * 100_000])
def test_several_labels_that_are_no_json_are_named(tmp_path, label):
    text = "labels: [a, b]\ndecision: several\nclassifier: ['{text}']\n"
    task = load_task(write_task(tmp_path, text))
    with pytest.raises(ValueError, match=r"place: the labels .*not a JSON list"):
        make_examples(task, {"text": "x", "label": label}, "place")


def test_labels_that_say_so_are_left_out_and_counted(tmp_path):
    task = load_task(write_task(tmp_path, TASK + "skip_labels: ['-']\n"))
    path = write_data(tmp_path, {"text": "a", "label": "good"}, {"text": "b", "label": "-"})
    data = read_examples(task, [path])
    assert (len(data.examples), data.num_records, data.num_skipped) == (1, 2, 1)


def test_candidates_may_be_a_field_of_the_data(tmp_path):
    text = "candidates: options\npatterns: ['{question} [MASK].']\nlabel: answer\n"
    task = load_task(write_task(tmp_path, text))
    for answer in (1, "two"):
        record = {"question": "q", "options": ["one", "two"], "answer": answer}
        (example,) = make_examples(task, record)
        assert (example.candidates, example.answers) == (("one", "two"), (1,))
    with pytest.raises(ValueError, match="candidate 1"):
        make_examples(task, {"question": "q", "options": ["one", " "], "answer": 0})
    with pytest.raises(ValueError, match="'one'"):
        make_examples(task, {"question": "q", "options": ["one", "one"], "answer": 0})
    for options in (["one", None], [["one"], ["two"]]):
        with pytest.raises(ValueError, match="'options'"):
            make_examples(task, {"question": "q", "options": options, "answer": 0})
    digits = {"question": "q", "options": ["2", "1", "0"]}
    with pytest.raises(ValueError, match=r"label 0 .*'2'"):
        make_examples(task, {**digits, "answer": 0})
    assert make_examples(task, {**digits, "answer": "0"})[0].answers == (2,)
    for answer in (2, -1, "three"):
        with pytest.raises(ValueError, match=r"\b0 to 1\b"):
            make_examples(task, {"question": "q", "options": ["one", "two"], "answer": answer})


def test_copa_asks_for_the_cause_or_the_effect():
    task = load_task("copa")
    record = dict(task.example)
    (cause,) = make_examples(task, record)
    (effect,) = make_examples(task, {**record, "question": "effect"})
    assert (cause.fields["joiner"], effect.fields["joiner"]) == (" because", ", so")
    with pytest.raises(ValueError, match=r"'why'.*cause, effect"):
        make_examples(task, {**record, "question": "why"})


def test_wsc_marks_the_pronoun_though_its_index_is_off_by_one():
    task = load_task("wsc")
    record = json.loads(json.dumps(task.example))
    for index in (10, 11, 12):
        record["target"]["span2_index"] = index
        (example,) = make_examples(task, record)
        assert example.fields["text"].endswith("use *it* .")
        assert example.candidates[0] == "The path"
    record["target"]["span2_index"] = 3
    with pytest.raises(ValueError, match=r"'it'.*word 3"):
        make_examples(task, record)


def test_wsc_learns_only_from_true_sentences():
    task = load_task("wsc")
    record = dict(task.example)
    examples = [
        made for label in (True, False) for made in make_examples(task, {**record, "label": label})
    ]
    (kept,) = training_examples(task, examples)
    assert kept.answers == (0,)


def test_noun_phrases_do_not_swallow_verbs():
    words = [
        "Since",
        "Chester",
        "was",
        "dependent",
        "on",
        "Uncle",
        "Vernon",
        ",",
        "he",
        "couldn't",
        "marry",
    ]
    assert guess_noun_phrases(words) == ["Chester", "Uncle Vernon"]


def test_record_learns_one_right_entity_among_few_wrong_ones():
    task = load_task("record")
    text = " ".join(f"Name{n:02}" for n in range(20))
    record = {
        "passage": {
            "text": text,
            "entities": [{"start": 7 * n, "end": 7 * n + 5} for n in range(20)],
        },
        "qas": [
            {
                "query": "It was @placeholder who came.",
                "answers": [{"text": "Name03"}, {"text": "Name11"}],
            }
        ],
    }
    (example,) = make_examples(task, record)
    assert len(example.candidates) == 20
    assert example.answers == (3, 11)
    singles = training_examples(task, [example])
    assert [one.candidates[one.answers[0]] for one in singles] == ["Name03", "Name11"]
    assert all(len(one.candidates) == 19 for one in singles)
    drawn = draw_candidates(task, singles[0], np.random.default_rng(0))
    assert len(drawn.candidates) == 10
    assert drawn.candidates[drawn.answers[0]] == "Name03"
    assert "Name11" not in drawn.candidates
    assert drawn == draw_candidates(task, singles[0], np.random.default_rng(0))


def test_a_number_is_shared_between_two_words_and_bounded():
    task = load_task("stsb")
    record = dict(task.example)
    (example,) = make_examples(task, record)
    assert target_shares(task, example).tolist() == pytest.approx([0.24, 0.76])
    with pytest.raises(ValueError, match=r"'6'.*0 to 5"):
        make_examples(task, {**record, "label": 6})


@pytest.mark.parametrize("word", ["true", "True"])
def test_a_task_of_numbers_is_judged_by_correlation(tmp_path, word):
    text = f"regression: {word}\nverbalizer: {{1: bad, 5: good}}\npatterns: ['{{text}} [MASK].']\n"
    task = load_task(write_task(tmp_path, text))
    assert task.is_regression
    assert task.metrics == ("pearson", "spearman")


def test_multirc_is_right_only_if_every_answer_of_a_question_is():
    task = load_task("multirc")
    examples = make_examples(task, dict(task.example))
    right = [Prediction("1", 0, (1.0, 0.0)), Prediction("0", 1, (0.0, 1.0))]
    wrong = [right[0], Prediction("1", 0, (1.0, 0.0))]
    assert judge(task, examples, right) == {"f1a": 100.0, "em": 100.0, "accuracy": 100.0}
    assert judge(task, examples, wrong)["em"] == 0.0
    assert judge(task, examples, wrong)["accuracy"] == 50.0


@pytest.mark.slow
def test_the_data_folder_is_read_without_loss(data_dir):
    counts = {}
    for name, path in {
        "boolq": "superglue/BoolQ", "cb": "superglue/CB", "copa": "superglue/COPA",
        "multirc": "superglue/MultiRC", "record": "superglue/ReCoRD", "rte": "superglue/RTE",
        "wic": "superglue/WiC", "wsc": "superglue/WSC", "trec": "trec", "sick": "sick",
        "sick_relatedness": "sick", "stsb": "glue/STS-B", "cola": "glue/CoLA",
        "mrpc": "glue/MRPC", "qnli": "glue/QNLI", "ag_news": "ag_news", "ocnli": "ocnli_zh",
    }.items():  # fmt: skip
        files = sorted((data_dir / "nlu" / path).glob("*.jsonl*"))
        if not files:
            continue
        task = load_task(name)
        data = read_examples(task, files)
        require_labels(task, data.examples)
        counts[name] = (data.num_records, data.num_skipped, len(data.examples))
    assert counts, "no task of the data folder was found"
    for name, (num_records, num_skipped, num_examples) in counts.items():
        if name != "multirc":
            assert num_records == num_skipped + num_examples


def shown_shapes():
    """The rows of the table in the documentation: a record, and the lines of its task file."""
    page = (Path(__file__).parents[3] / "docs" / "adapting.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if " | `{" in line]
    return [(row[1].strip("`"), "\n".join(row[2].strip("`").split("`, `"))) for row in rows]


@pytest.mark.parametrize(("record", "text"), shown_shapes())
def test_shapes_of_data_in_the_documentation_are_read(tmp_path, record, text):
    task = load_task(write_task(tmp_path, text))
    examples = make_examples(task, json.loads(record))
    require_labels(task, examples)
    assert fill_pattern(task.pattern().pattern, examples[0].fields).text.count("[MASK]") == 1
