"""The rows that a classifier reads."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_toys import labelled_glm
from tiny_glms import tiny_glm
from tiny_models import CORPUS

from unblank.families.table import FAMILIES
from unblank.finetuning.labels.classifier_rows import RowEncoder, pad_rows
from unblank.finetuning.labels.classifier_tokenizer import classifier_tokenizer
from unblank.prompting import TaskExample, load_task, make_examples
from unblank.prompting.patterns import FieldUse
from unblank.tokenization.special import special_ids


@pytest.mark.parametrize("name", ["glm", "ganlm"])
def test_texts_stand_between_the_tokens_of_the_family(name):
    tokenizer = labelled_glm().tokenizer
    family = FAMILIES[name]
    ids = family.special_ids(tokenizer)
    task = load_task("copa")
    (example,) = make_examples(
        task,
        {"premise": "we saw a film", "question": "cause", "choice1": "fine", "choice2": "a song",
         "label": 0},
    )  # fmt: skip
    between = family.classifier.between(ids)
    encoder = RowEncoder(
        tokenizer=tokenizer, special=ids, task=task, max_length=40, between=between
    )
    assert encoder.is_by_candidate
    rows = encoder.rows(example)
    ends = [ids.sep] if name == "glm" else [ids.eos, ids.eos]
    first, second = (tokenizer.encode(t, add_special_tokens=False) for t in ("fine", "a song"))
    for row, choice in zip(rows, (first, second), strict=True):
        assert row.token_ids[0] == ids.cls
        assert list(row.token_ids[-len(choice) - 1 - len(ends) :]) == [*ends, *choice, ids.eos]
    inputs = pad_rows(rows, ids.pad)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [len(row.token_ids) for row in rows]


def test_a_long_text_gives_way_where_the_task_says():
    tokenizer = labelled_glm().tokenizer
    task = load_task("rte")
    (example,) = make_examples(
        task,
        {"premise": "the film was " * 30, "hypothesis": "we saw a song", "label": "entailment"},
    )
    special = special_ids(tokenizer)
    encoder = RowEncoder(
        tokenizer=tokenizer, special=special, task=task, max_length=24, between=(special.sep,)
    )
    (row,) = encoder.rows(example)
    hypothesis = tokenizer.encode("we saw a song", add_special_tokens=False)
    assert len(row.token_ids) <= 24
    assert row.is_shortened
    assert list(row.token_ids[-len(hypothesis) - 1 : -1]) == hypothesis


@pytest.mark.parametrize(("fields", "cut"), [(["text"], (0, "end")), (["text", "title"], None)])
def test_where_a_task_names_no_field_a_tokenizer_can_cut_the_only_one(fields, cut):
    names = tuple((FieldUse(name),) for name in fields)
    task = replace(load_task("sst2"), classifier=names, shorten=None)
    tokenizer = labelled_glm().tokenizer
    special = special_ids(tokenizer)
    encoder = RowEncoder(
        tokenizer=tokenizer, special=special, task=task, max_length=24, between=(special.sep,)
    )
    assert encoder.cut == cut


PIECES = ["the ", "cat", " ", "  ", "\n", "[MASK]", "sat", ".", "x\u00e9", "<|endoftext|>"]
TEXT = st.lists(st.sampled_from(PIECES))


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("shorten", [{"sentence": "start"}, {"sentence": "end"}, None])
@given(pieces=TEXT)
@pytest.mark.filterwarnings("ignore:.*unknown to the tokenizer")
def test_the_saved_tokenizer_makes_the_same_rows(kind, shorten, pieces):
    made = _encoder(kind, "cola", shorten)
    text = "".join(pieces)
    (row,) = made.rows(TaskExample("here", {"sentence": text}))
    saved = classifier_tokenizer(made)
    assert tuple(saved(text, truncation=True)["input_ids"]) == row.token_ids


@cache
def _tokenizer(kind):
    return tiny_glm(CORPUS, kind=kind, vocab_size=600).tokenizer


def _encoder(kind, task, shorten):
    tokenizer = _tokenizer(kind)
    special = special_ids(tokenizer)
    task = replace(load_task(task), shorten=shorten)
    return RowEncoder(
        tokenizer=tokenizer, special=special, task=task, max_length=9, between=(special.sep,)
    )
