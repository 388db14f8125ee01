"""Language codes in all the forms that data sets use, against lists made by hand and real text."""

import gzip
import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from unblank.languages import (
    find_direction,
    find_language,
    language_name,
    share_in_script,
)

FORMS = {
    "ar": ["ar", "ara", "arb", "AR"],
    "cs": ["cs", "ces", "cze"],
    "de": ["de", "deu", "ger", "de-DE", "de_DE"],
    "el": ["el", "ell", "gre"],
    "en": ["en", "eng", "en-US", "eng_Latn"],
    "en-GB": ["eng-GB", "en_GB"],
    "fa": ["fa", "fas", "per"],
    "fa-AF": ["prs"],
    "fil": ["tl", "tgl", "fil"],
    "grc": ["grc"],
    "he": ["he", "heb", "iw"],
    "id": ["id", "ind", "in"],
    "ja": ["ja", "jpn", "jp"],
    "pt": ["pt", "por", "por-BR"],
    "pt-PT": ["pt-PT"],
    "qu": ["qu", "que"],
    "ro-Cyrl": ["ron_cyrl", "rum-Cyrl"],
    "sr": ["sr", "srp", "sr-Cyrl"],
    "sr-Latn": ["sr_Latn"],
    "sw": ["sw", "swa", "swh"],
    "zh": ["zh", "zho", "chi", "cmn", "zho-CN", "zh-Hans", "zh_CN"],
    "zh-Hant": ["zh-TW", "zho_Hant", "zh-Hant-TW"],
}


@pytest.mark.parametrize("code", FORMS)
def test_all_forms_of_a_code_are_one(code):
    assert {find_language(form).code for form in FORMS[code]} == {code}
    assert find_language(code).base == code.partition("-")[0]


@pytest.mark.parametrize(
    ("code", "script", "is_right_to_left", "has_spaces"),
    [
        ("ar", "Arab", True, True),
        ("ur", "Arab", True, True),
        ("he", "Hebr", True, True),
        ("syr", "Syrc", True, True),
        ("bn", "Beng", False, True),
        ("chr", "Cher", False, True),
        ("el", "Grek", False, True),
        ("ja", "Jpan", False, False),
        ("km", "Khmr", False, False),
        ("ko", "Kore", False, True),
        ("lo", "Laoo", False, False),
        ("my", "Mymr", False, False),
        ("th", "Thai", False, False),
        ("vi", "Latn", False, True),
        ("zh", "Hans", False, False),
        ("zh-TW", "Hant", False, False),
    ],
)
def test_how_a_language_is_written(code, script, is_right_to_left, has_spaces):
    language = find_language(code)
    assert language.script == script
    assert language.is_right_to_left == is_right_to_left
    assert language.has_spaces == has_spaces


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("english", "en"),
        ("German", "de"),
        ("cn", "zh"),
        ("ua", "uk"),
        ("gr", "el"),
        ("engg", "en"),
        ("", ""),
        ("123", ""),
        ("und", ""),
        ("mul", ""),
        ("en-Xxxx", "en"),
    ],
)
def test_what_is_no_language_is_refused_and_near_ones_are_offered(code, offered):
    with pytest.raises(ValueError, match=repr(code)) as caught:
        find_language(code)
    if offered:
        assert f"{offered} ({language_name(offered)})" in str(caught.value)


@pytest.mark.parametrize("code", ["es-419", "en-001", "pt-PT", "zh-Hant", "sr-Latn"])
def test_a_direction_is_read_as_it_is_written(code):
    direction = find_direction(f"{code}-deu")
    assert (direction.source, direction.target) == (code, "de")
    assert find_direction(str(direction)) == direction


def test_a_code_of_private_use_is_its_own_name():
    assert language_name("qaa") == "qaa"


NAMES = {
    "Arab": "ARABIC", "Beng": "BENGALI", "Cyrl": "CYRILLIC", "Deva": "DEVANAGARI", "Grek": "GREEK",
    "Hans": "CJK", "Hebr": "HEBREW", "Khmr": "KHMER", "Kore": "HANGUL", "Latn": "LATIN",
    "Mymr": "MYANMAR", "Thai": "THAI", "Armn": "ARMENIAN", "Copt": "COPTIC", "Gujr": "GUJARATI",
    "Syrc": "SYRIAC", "Taml": "TAMIL", "Telu": "TELUGU", "Geor": "GEORGIAN", "Ethi": "ETHIOPIC",
    "Jpan": "HIRAGANA",
}  # fmt: skip
"""Script -> how Unicode's names of its letters begin."""


def test_scripts_and_spaces_of_real_parallel_text(data_folder):
    """The names of letters are an independent source of their scripts."""
    path = data_folder / "parallel/ntrex/dev.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line, _ in zip(file, range(40), strict=False)]
    for code in records[0].keys() - {"id", "doc"}:
        language = find_language(code)
        text = " ".join(record[code] for record in records)
        letters = [one for one in text if one.isalpha()]
        kinds = Counter(unicodedata.name(one).partition(" ")[0] for one in letters)
        assert kinds.most_common(1)[0][0] == NAMES[language.script], code
        assert (text.count(" ") > len(text) / 13) == language.has_spaces, code
        assert share_in_script(text, language.script) > 0.75, code


def test_the_share_in_a_script_leaves_out_what_has_none():
    assert share_in_script("Ünïcode, 12.", "Latn") == 1.0
    assert share_in_script("Москва", "Latn") == 0.0
    assert share_in_script("서울 漢字", "Kore") == 1.0
    assert share_in_script("12 %", "Latn") is None
    assert share_in_script("หน้า", "Thai") == 1.0  # marks are no letters


@pytest.fixture
def data_folder() -> Path:
    import os

    folder = Path(os.environ.get("UNBLANK_DATA", Path(__file__).parents[3] / "../shared/data"))
    if not (folder / "parallel/ntrex").is_dir():
        pytest.skip("needs the folder of data sets")
    return folder
