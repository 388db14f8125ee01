"""Text by language: entries with a field, a code, or `{lang}` in any of three places."""

import gzip
import json

import pytest

from unblank.data.language_sources import open_language_sources, parse_entry


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bible.deu.tsv").write_text("GEN 1:1\tAm Anfang\nGEN 1:2\tUnd die Erde\n")
    (tmp_path / "bible.zul.tsv").write_text("GEN 1:1\tEkuqaleni\n")
    aligned = [
        {"id": 0, "doc": "bbc", "eng": "Rain.", "deu": "Regen.", "zho-CN": "雨。"},
        {"id": 1, "doc": "bbc", "eng": "Sun.", "deu": "Sonne.", "zho-CN": ""},
    ]
    pairs = [
        {"lang": "swh", "text": "Mvua.", "eng": "Rain."},
        {"lang": "deu", "text": "Schnee.", "eng": "Snow."},
        {"lang": "swh", "text": "Jua.", "eng": "Sun."},
    ]
    with gzip.open(tmp_path / "ntrex.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in aligned)
    (tmp_path / "tatoeba.jsonl").write_text("".join(json.dumps(line) + "\n" for line in pairs))
    (tmp_path / "plain.jsonl").write_text('{"text": "no language"}\n')
    return tmp_path


def texts_of(folder, *entries):
    sources = open_language_sources(
        [f"{folder}/{entry}" for entry in entries], text_field="text", cache_dir=folder / "cache"
    )
    return {
        source.name: list(source.texts(text_field="text", text_unit="file")) for source in sources
    }


def test_files_fields_and_records_of_a_language_are_one_source(folder):
    entries = ("bible.{lang}.tsv:2", "ntrex.jsonl.gz:{lang}", "tatoeba.jsonl@{lang}")
    expected = {
        "de": ["Am Anfang", "Und die Erde", "Regen.", "Sonne.", "Schnee."],
        "zu": ["Ekuqaleni"],
        "en": ["Rain.", "Sun."],
        "zh": ["雨。"],
        "sw": ["Mvua.", "Jua."],
    }
    assert texts_of(folder, *entries) == expected
    assert texts_of(folder, *entries) == expected, "what was divided before is found again"


def test_another_field_and_a_code_behind_the_file(folder):
    assert texts_of(folder, "tatoeba.jsonl:eng@eng") == {"en": ["Rain.", "Snow.", "Sun."]}


def test_two_fields_of_one_file_in_one_language(folder):
    found = texts_of(folder, "ntrex.jsonl.gz:eng@en", "ntrex.jsonl.gz:deu@en")
    assert found == {"en": ["Rain.", "Sun.", "Regen.", "Sonne."]}


def test_a_file_keeps_the_language_of_the_first_entry_that_names_it(folder):
    found = texts_of(folder, "bible.zul.tsv:2@xh", "bible.{lang}.tsv:2")
    assert found == {"xh": ["Ekuqaleni"], "de": ["Am Anfang", "Und die Erde"]}


def test_an_entry_without_a_language_stays_as_it_is(folder):
    assert texts_of(folder, "plain.jsonl") == {f"{folder}/plain.jsonl": ["no language"]}


def test_a_file_whose_name_has_these_signs_is_that_file(folder):
    (folder / "odd:name@de.txt").write_text("here")
    assert parse_entry(f"{folder}/odd:name@de.txt").path == f"{folder}/odd:name@de.txt"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("tatoeba.jsonl@x9", "not the code of a language"),
        ("bible.{lang}.tsv:2@de", "twice"),
        ("plain.jsonl@{lang}", "plain.jsonl, line 1"),
        ("plain.jsonl:{lang}", "no text in any language"),
        ("tatoeba.jsonl:nothing@{lang}", "'nothing'"),
    ],
)
def test_what_has_no_language_is_refused(folder, entry, words):
    with pytest.raises(ValueError, match=words):
        texts_of(folder, entry)


def test_a_code_of_no_language_in_a_record_is_placed(folder):
    (folder / "bad.jsonl").write_text('{"lang": "de", "text": "a"}\n{"lang": "x1", "text": "b"}\n')
    with pytest.raises(ValueError, match=r"bad.jsonl, line 2: .*x1"):
        texts_of(folder, "bad.jsonl@{lang}")
    assert not list((folder / "cache").glob("languages-*")), "nothing half divided stays"
