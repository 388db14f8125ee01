"""Suite files: what the library's say, and every mistake of one's own named with its place."""

import pytest

from unblank.evaluation.suite_files import load_suite, suite_names
from unblank.evaluation.suites import TaskSuite, WritingSuite
from unblank.prompting import load_task

WRITING = """
measure: writing
metrics: [bleu]
sets:
  mine: {files: "mine/{split}", source: text, target: title}
"""

TRANSLATION = """
measure: translation
metrics: [bleu]
sets:
  mine: {files: mine, layout: fields}
"""

TEXTS = """
measure: perplexity
sets:
  mine: {files: "mine/{split}"}
"""

LAMBADA = TEXTS.replace("perplexity", "lambada")

INFILLING = TEXTS.replace("perplexity", "infilling\nmax_tokens: 8")

PAIRS = TEXTS.replace("perplexity", "minimal-pairs")

FACTS = PAIRS.replace("minimal-pairs", "facts")

TASKS = """
measure: understanding
tasks: [rte, multirc]
"""


def write_suite(folder, text, name="my.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def places(suite):
    """Return the files of every part of a suite."""
    if isinstance(suite, TaskSuite):
        return [
            suite.files.get(name) or load_task(path).files for name, path in suite.tasks.items()
        ]
    return [part.files for part in getattr(suite, "sets", {}).values()]


@pytest.mark.parametrize("name", suite_names())
def test_the_data_folder_holds_what_the_suites_name(name, data_dir):
    """Every part finds at least one file of some split in the shared data."""
    suite = load_suite(name)
    assert suite.name == name
    assert suite.about
    for place in places(suite):
        stem = place.replace("{split}", "*").replace("{lang}", "*")
        endings = ("jsonl", "txt", "tsv")
        assert [found for one in endings for found in data_dir.glob(f"{stem}.{one}*")], place


def test_one_set_of_many_languages_is_a_set_for_each():
    sets = load_suite("headlines").sets
    assert sets["masakhanews-ibo"].files == "seq2seq/masakhanews/ibo.{split}"
    assert sets["masakhanews-ibo"].language == "ig"
    assert len(sets) == 10


def test_a_suite_of_one_s_own_is_read_like_those_of_the_library(tmp_path):
    suite = load_suite(write_suite(tmp_path, WRITING))
    assert isinstance(suite, WritingSuite)
    assert suite.name == "my"
    assert suite.sets["mine"].targets == ("title",)
    task = write_suite(
        tmp_path,
        "files: mood/{split}\nverbalizer: {a: b, c: d}\npatterns: ['{x} [MASK]']\n",
        "mood.yaml",
    )
    suite = load_suite(write_suite(tmp_path, TASKS.replace("multirc", "mood.yaml")))
    assert list(suite.tasks) == ["rte", "mood"]
    assert suite.tasks["mood"] == task
    assert load_suite(write_suite(tmp_path, INFILLING)).max_tokens == 8


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- a", "measure"),
        ("about: x", "measure"),
        (WRITING.replace("writing", "wriring"), "line 2: .*'wriring'"),
        (WRITING.replace("{split}", "train"), "line 5: .*mine/train"),
        (WRITING.replace("mine/", "{lang}/"), "line 5: .*'lang'"),
        (WRITING.replace(", target: title", ""), "line 5: .*target"),
        (WRITING.replace("target:", "targets:"), "line 5: .*'targets'.* 'target'"),
        (WRITING.replace("bleu", "blue"), "line 3: .*'blue'"),
        (WRITING.replace("metrics: [bleu]\n", ""), "line 4: .*metrics"),
        (WRITING.replace("writing", "translation"), "line 5: .*'source'"),
        (TRANSLATION.replace("layout: fields", "layout: field"), "line 5: .*'field'"),
        (TRANSLATION.replace("metrics: [bleu]\n", ""), "metrics"),
        (WRITING + "  mine: {}", "line 6: 'mine'"),
        (TEXTS + "     oops", "is not valid YAML"),
        ("measure: lambada\nsets: {}", "line 2: sets"),
        (TEXTS.replace("{files", "{detokenize: ptb, files"), "line 4: .*'ptb'"),
        (LAMBADA.replace("{files", "{detokenize: wikitext, files"), "line 4: .*'detokenize'"),
        (TEXTS.replace("perplexity", "infilling"), "max_tokens"),
        (INFILLING.replace("8", "0"), "line 3: max_tokens"),
        (PAIRS.replace("{files", "{reader: wsc, files"), "line 4: .*'wsc'"),
        (PAIRS.replace("{files", "{source: text, files"), "line 4: .*'source'"),
        (FACTS, "line 4: .*relations"),
        (TASKS.replace("rte", "rtr"), "line 3: .*'rtr'.*rte"),
        (TASKS.replace("[rte, multirc]", "[]"), "line 3: tasks"),
        (TASKS + "averaged: {boolq: [accuracy]}", "line 4: .*'boolq'"),
        (TASKS + "averaged: {rte: [acc]}", "line 4: .*'acc'"),
        ("measure: cloze\nsets: {}", "line 2: .*'sets'"),
    ],
)
def test_mistakes_are_named_with_their_line(text, named, tmp_path):
    with pytest.raises(ValueError, match=f"(?s)my.yaml.*{named}"):
        load_suite(write_suite(tmp_path, text))


def test_unknown_suites_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"'superglu'.*\bsuperglue\b"):
        load_suite("superglu")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        load_suite(tmp_path / "nowhere.yaml")
