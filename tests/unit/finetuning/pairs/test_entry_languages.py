"""Languages of entries of text pairs: behind `@`, in names of files, in hints, in the scores."""

import json
from dataclasses import replace

import pytest

from unblank.finetuning.pairs.entries import read_entries
from unblank.finetuning.pairs.entry_languages import LanguageEntry, language_entries
from unblank.finetuning.settings import FinetuneDataSettings
from unblank.languages import find_direction, language_codes
from unblank.prompting.writing_hints import with_hints


def write_lines(path, *records):
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def test_an_entry_names_one_language_or_two(tmp_path):
    path = str(write_lines(tmp_path / "a@b.jsonl", {"en": "cat", "de": "Katze"}))
    assert language_entries(
        [path, f"{path}@swa", f"{path}:en:de@eng-de", "a.txt:b.txt@zh-Hant"]
    ) == [
        LanguageEntry(path),
        LanguageEntry(path, "sw", "sw"),
        LanguageEntry(f"{path}:en:de", "en", "de"),
        LanguageEntry("a.txt:b.txt", "zh-Hant", "zh-Hant"),
    ]
    assert language_entries([f"{path}@sw"])[0].languages == "sw"
    assert language_entries([f"{path}@en-sw"])[0].languages == "en-sw"


def test_lang_stands_for_the_code_in_the_name_of_a_file(tmp_path):
    for code in ("hau", "ibo"):
        write_lines(tmp_path / f"en-{code}.jsonl", {"en": "rain", code: "x"})
    entry = f"{tmp_path}/en-{{lang}}.jsonl"
    found = language_entries([f"{entry}:en:{{lang}}@en-{{lang}}", entry])
    assert found == [
        LanguageEntry(f"{tmp_path}/en-hau.jsonl:en:hau", "en", "ha"),
        LanguageEntry(f"{tmp_path}/en-ibo.jsonl:en:ibo", "en", "ig"),
        LanguageEntry(f"{tmp_path}/en-hau.jsonl", "ha", "ha"),
        LanguageEntry(f"{tmp_path}/en-ibo.jsonl", "ig", "ig"),
    ]
    with pytest.raises(FileNotFoundError, match="nothing"):
        language_entries([f"{tmp_path}/nothing-{{lang}}.jsonl"])
    with pytest.raises(ValueError, match=r"a\.jsonl@en-xq: 'xq'"):
        language_entries(["a.jsonl@en-xq"])
    with pytest.raises(ValueError, match="names 3 languages"):
        language_entries(["a.jsonl@en-de-fr"])


def test_hints_of_a_source_are_in_the_language_of_the_target(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"article": "Rain.", "title": "x"})
    data = FinetuneDataSettings(source="{article} {hint:summary}: [sMASK]", target="title")
    entries = read_entries(data, [f"{path}@en-zh", f"{path}@sw"], None)
    assert [one.pairs[0].source for one in entries] == [
        "Rain. \u4e2d\u6587\u6458\u8981: [sMASK]",
        "Rain. Muhtasari: [sMASK]",
    ]
    assert [one.languages for one in entries] == ["en-zh", "sw"]
    tagged = read_entries(data, [str(path)], ["en-fr"])
    assert tagged[0].pairs[0].source == "Rain. R\u00e9sum\u00e9: [sMASK]"
    assert (tagged[0].tag, tagged[0].languages) == ("__fr__", "en-fr")
    with pytest.raises(ValueError, match=r"hint.*unknown"):
        read_entries(data, [str(path)], None)
    with pytest.raises(ValueError, match=r"'summary'.* in is\b"):
        read_entries(data, [f"{path}@is"], None)
    with pytest.raises(ValueError, match="'title'"):
        read_entries(replace(data, source="{hint:title}"), [f"{path}@en"], None)


def test_a_record_in_another_language_than_its_entry_is_named(tmp_path):
    path = write_lines(
        tmp_path / "a.jsonl",
        {"source": "a", "target": "b", "lang": "swa"},
        {"source": "a", "target": "b", "lang": "de"},
    )
    data = FinetuneDataSettings()
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: field 'lang' is 'de', but .* 'sw'"):
        read_entries(data, [f"{path}@sw"], None)
    assert len(read_entries(data, [f"{path}@en-sw"], None)[0].pairs) == 2


def test_tags_of_entries_need_entries_that_are_files(tmp_path):
    for code in ("en", "de"):
        write_lines(tmp_path / f"{code}.jsonl", {"s": "a", "t": "b"})
    data = FinetuneDataSettings(source="s", target="t")
    with pytest.raises(ValueError, match=r"data\.languages"):
        read_entries(data, [f"{tmp_path}/{{lang}}.jsonl"], ["en-de"])


def test_regions_and_scripts_are_told_from_languages():
    assert language_codes("pt-PT") == ["pt-PT"]
    assert language_codes("zh-TW-en") == ["zh-Hant", "en"]
    assert str(find_direction("eng-zho-Hant")) == "en-zh-Hant"
    for wrong in ("en", "en-de-fr", "en-xq"):
        with pytest.raises(ValueError, match=repr(wrong)):
            find_direction(wrong)


@pytest.mark.parametrize("name", ["summary", "headline", "translation"])
def test_hints_are_words_that_no_other_language_of_the_task_is_asked_by(name):
    codes = ["en", "de", "fr", "ha", "ig", "so", "sw", "yo", "zh"]
    words = [with_hints(f"{{text}} {{hint:{name}}}", code) for code in codes]
    assert len(set(words)) == len(codes)
    assert with_hints(f"{{text}} {{hint:{name}}}", "de-AT") == words[1]
