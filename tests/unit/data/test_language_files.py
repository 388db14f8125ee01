"""Languages of files and of their records: said by the path, by `@xx`, or by a field."""

import json

import pytest

from unblank.data.language_files import find_language_files, language_of_record


@pytest.fixture
def folder(tmp_path):
    for name in ("val.en.jsonl", "val.zho-CN.jsonl", "val.th.jsonl.gz", "train.sw.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name}) + "\n")
    return tmp_path


def found(entries):
    return {(file.path.name, file.language) for file in find_language_files(entries)}


def test_a_code_in_the_path(folder):
    assert found(f"{folder}/val.{{lang}}.jsonl*") == {
        ("val.en.jsonl", "en"),
        ("val.zho-CN.jsonl", "zh"),
        ("val.th.jsonl.gz", "th"),
    }


def test_a_code_that_stands_twice_in_the_path_is_one(folder):
    for one, other in (("de", "de"), ("fr", "de")):
        (folder / one).mkdir(exist_ok=True)
        (folder / one / f"{other}.jsonl").write_text("{}\n")
    assert found(f"{folder}/{{lang}}/{{lang}}.jsonl") == {("de.jsonl", "de")}


def test_a_code_behind_a_file_or_a_glob(folder):
    assert found([f"{folder}/train.sw.jsonl@swh", f"{folder}/val.e*.jsonl@eng"]) == {
        ("train.sw.jsonl", "sw"),
        ("val.en.jsonl", "en"),
    }


def test_a_file_whose_own_name_ends_so_is_that_file(folder):
    (folder / "a@de").write_text("text\n")
    assert found(f"{folder}/a@de") == {("a@de", "")}


@pytest.mark.filterwarnings("ignore:.*the same file again")
@pytest.mark.parametrize("codes", [("@en", ""), ("@en", "@de"), ("", "@en")])
def test_a_file_keeps_the_language_of_the_first_entry_that_says_one(folder, codes):
    entries = [f"{folder}/val.en.jsonl{code}" for code in codes]
    assert found(entries) == {("val.en.jsonl", "en")}


def test_other_files_have_none(folder):
    assert found([f"{folder}/train.sw.jsonl"]) == {("train.sw.jsonl", "")}


@pytest.mark.parametrize("entry", ["val.en.jsonl@xx", "val.{lang}.txt"])
def test_what_is_wrong_with_an_entry_is_named(folder, entry):
    with pytest.raises((ValueError, FileNotFoundError), match=r"xx|val\.\{lang\}\.txt"):
        find_language_files(f"{folder}/{entry}")


def test_a_code_in_a_path_that_is_no_language_names_the_file(folder):
    (folder / "val.english.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"val\.english\.jsonl: 'english' .* en \(English\)"):
        find_language_files(f"{folder}/val.{{lang}}.jsonl")


def test_a_record_may_tell_its_language():
    assert language_of_record(None, "de") == "de"
    assert language_of_record("jp", "") == "ja"
    assert language_of_record("zh-TW", "zh") == "zh-Hant"


@pytest.mark.parametrize(("value", "of_file"), [("de", "en"), ("xx", ""), (3, ""), ("python", "")])
def test_a_record_in_another_language_than_its_file_is_refused(value, of_file):
    with pytest.raises(ValueError, match="'lang'"):
        language_of_record(value, of_file)
