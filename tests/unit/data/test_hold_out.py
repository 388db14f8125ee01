"""Documents held out by hash: how many, which, and never the same text on both sides."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.data.hold_out import HashPart, hold_out_thresholds
from unblank.data.sources import TextFiles

DOCUMENTS = [f"document number {n}" for n in range(1000)]


def held(documents, threshold):
    return [one for one in documents if HashPart(threshold, is_held_out=True).has(one)]


@given(
    documents=st.lists(st.text(max_size=3), min_size=1, max_size=12),
    amount=st.floats(0.001, 0.999) | st.integers(1, 15).map(float),
)
def test_each_document_is_on_one_side_and_neither_is_empty(documents, amount):
    (threshold,) = hold_out_thresholds([documents], amount)
    out = held(documents, threshold)
    kept = [one for one in documents if HashPart(threshold, is_held_out=False).has(one)]
    assert sorted(out + kept) == sorted(documents)
    assert not set(out) & set(kept)
    assert kept
    assert bool(out) == (len(set(documents)) > 1)


def test_a_share_is_about_that_share_and_a_number_exactly_that_number():
    (threshold,) = hold_out_thresholds([DOCUMENTS], 0.1)
    assert 70 <= len(held(DOCUMENTS, threshold)) <= 130
    (threshold,) = hold_out_thresholds([DOCUMENTS], 37)
    assert len(held(DOCUMENTS, threshold)) == 37
    halves = DOCUMENTS[:750], DOCUMENTS[750:]
    found = hold_out_thresholds(halves, 40)
    assert [len(held(*pair)) for pair in zip(halves, found, strict=True)] == [30, 10]


def test_the_choice_depends_on_nothing_but_the_text():
    (whole,) = hold_out_thresholds([DOCUMENTS], 0.1)
    more = [*reversed(DOCUMENTS), *(f"another {n}" for n in range(500))]
    (again,) = hold_out_thresholds([more], 0.1)
    assert set(held(DOCUMENTS, whole)) == set(held(more, again)) & set(DOCUMENTS)


def test_files_give_out_their_part(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in DOCUMENTS[:50]))
    (threshold,) = hold_out_thresholds([TextFiles(paths=(path,))], 5)
    out = TextFiles(paths=(path,), part=HashPart(threshold, is_held_out=True))
    rest = TextFiles(paths=(path,), part=HashPart(threshold, is_held_out=False))
    assert list(out) == held(DOCUMENTS[:50], threshold)
    assert sorted([*out, *rest]) == sorted(DOCUMENTS[:50])
    assert (out.num_documents, rest.num_documents) == (5, 45)


def test_a_number_of_documents_is_whole():
    from unblank.pretraining.settings import PretrainDataSettings

    with pytest.raises(ValueError, match=r"\bhold_out\b.*2\.5"):
        PretrainDataSettings(hold_out=2.5)
    assert PretrainDataSettings(hold_out=3).hold_out == 3
