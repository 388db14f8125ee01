"""Texts of records: fields, fields in braces, lists of sentences, and what is wrong with them."""

import pytest

from unblank.data.fields import field_names, field_text, field_value

RECORD = {"question": "Why?", "passage": ["One.", "Two."], "empty": " ", "none": None, "number": 3}


@pytest.mark.parametrize(
    ("source", "names", "text"),
    [
        ("question", ["question"], "Why?"),
        ("passage", ["passage"], "One. Two."),
        ("none", ["none"], ""),
        ("{passage} Question: {question}", ["passage", "question"], "One. Two. Question: Why?"),
        ("{{{question}}}", ["question"], "{Why?}"),
    ],
)
def test_a_source_is_a_field_or_a_text_with_fields(source, names, text):
    assert field_names(source) == names
    assert field_text("here", RECORD, source) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pasage", "file, line 3: .*'pasage'.*'passage'.*'passage'"),
        ("number", "'number'.*'3'"),
        ("{question} {empty}", "'empty'"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_with_its_place(source, message):
    with pytest.raises(ValueError, match=message):
        field_text("file, line 3", RECORD, source)


@pytest.mark.parametrize("source", ["{question", "a {} b", "question}{"])
def test_braces_that_do_not_pair_are_named(source):
    with pytest.raises(ValueError, match="source"):
        field_names(source)


def test_a_list_stays_a_list_where_several_texts_are_wanted():
    assert field_value("here", RECORD, "passage") == ["One.", "Two."]
