"""Scoring: the tree of candidates against one forward each."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from unblank.generation.branches import build_tree
from unblank.generation.candidates import ScoringOptions
from unblank.generation.score import Cloze, score_batch

token_lists = st.lists(
    st.lists(st.integers(10, 13), min_size=1, max_size=5).map(tuple), min_size=1, max_size=7,
    unique=True,
)  # fmt: skip
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def one_by_one(model, cloze, sop, end, is_bidirectional=True):
    """One forward a candidate, by the plain prefix layout; float32[C] with gradients."""
    scores = []
    size = len(cloze.token_ids)
    for ids in cloze.candidates:
        targets = [*ids] if end is None else [*ids, end]
        inputs = [*cloze.token_ids, sop, *targets[:-1]]
        inside = len(targets)
        logits = model(
            torch.tensor([inputs]),
            position_ids=torch.tensor(
                [[[*range(size), *[cloze.blank] * inside]], [[*[0] * size, *range(1, inside + 1)]]]
            ),
            prefix_lengths=torch.tensor([size if is_bidirectional else 0]),
            use_cache=False,
        ).logits[0, size:]
        log_p = torch.log_softmax(logits.float(), -1)
        scores.append(log_p[range(inside), targets].sum())
    return torch.stack(scores)


def score_candidates(model, cloze, **options) -> torch.Tensor:
    return score_batch(model, [cloze], **options)[0]


@given(token_lists, st.integers(0, 6), st.booleans(), st.booleans())
def test_one_forward_over_the_tree_equals_one_forward_each(tiny, candidates, blank, has_end, bi):
    cloze = Cloze((11, 2, 3, 14, 15, 16, 17), blank, candidates)
    end = 9 if has_end else None
    with torch.no_grad():
        together = score_candidates(
            tiny.model, cloze, sop_id=8, end_id=end, context="bi" if bi else "uni"
        )
        assert_close(together, one_by_one(tiny.model, cloze, 8, end, bi), **TOLERANCE)


@pytest.mark.parametrize("row_length", [None, 25, 500])
def test_texts_packed_in_rows_score_as_if_alone(tiny, row_length):
    clozes = [
        Cloze(tuple(range(10, 15 + n)), n, [(20 + n,), (20 + n, 21), (30, 31, 32 + n)])
        for n in range(5)
    ]
    with torch.no_grad():
        together = score_batch(
            tiny.model, clozes, sop_id=8, end_id=9, normalization="mean", row_length=row_length
        )
        for cloze, scores in zip(clozes, together, strict=True):
            lengths = torch.tensor([len(ids) + 1 for ids in cloze.candidates])
            assert_close(scores, one_by_one(tiny.model, cloze, 8, 9) / lengths, **TOLERANCE)


def test_gradients_equal_those_of_one_forward_each(tiny):
    cloze = Cloze((11, 12, 13, 14), 1, [(20, 21), (20, 22), (20,), (23, 24, 25)])
    gradients = []
    for score in (
        lambda: score_candidates(tiny.model, cloze, sop_id=8, end_id=9),
        lambda: one_by_one(tiny.model, cloze, 8, 9),
    ):
        tiny.model.zero_grad()
        torch.log_softmax(score(), 0)[2].backward()
        gradients.append([p.grad.clone() for p in tiny.model.parameters()])
    tiny.model.zero_grad()
    for first, second in zip(*gradients, strict=True):
        assert_close(first, second, atol=2e-5, rtol=1e-4)


def test_the_head_in_chunks_changes_nothing(tiny, monkeypatch):
    cloze = Cloze((11, 12, 13, 14), 1, [(20, 21), (20, 22), (20,), (23, 24, 25)])
    with torch.no_grad():
        whole = score_candidates(tiny.model, cloze, sop_id=8, end_id=9)
        monkeypatch.setattr("unblank.models.loss.CHUNK_BYTES", 1)
        assert_close(score_candidates(tiny.model, cloze, sop_id=8, end_id=9), whole, **TOLERANCE)


@given(token_lists)
def test_a_tree_holds_every_beginning_once(candidates):
    tree = build_tree(candidates, sop_id=8, end_id=9)
    beginnings = {ids[:length] for ids in candidates for length in range(1, len(ids) + 1)}
    assert len(tree.token_ids) == 1 + len(beginnings)
    for node, end in enumerate(tree.ends):
        assert all(tree.depths[later] > tree.depths[node] for later in range(node + 1, end))
        assert end == len(tree.ends) or tree.depths[end] <= tree.depths[node]


def test_a_tree_without_ends_leaves_out_what_predicts_nothing():
    tree = build_tree([(5, 6, 7), (5, 8)], sop_id=1, end_id=None)
    assert tree.token_ids == (1, 5, 6)
    assert tree.num_predictions == (3, 2)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], "no candidates"),
        ([(5,), ()], "candidate 1"),
        ([(5, 6), (7,), (5, 6)], "0 and 2"),
    ],
)
def test_candidates_that_cannot_be_scored_are_refused(candidates, message):
    with pytest.raises(ValueError, match=message):
        build_tree(candidates, sop_id=1, end_id=2)


def test_the_score_of_a_filled_answer_is_the_probability_that_fill_reports(unblank_of_each_kind):
    unblank = unblank_of_each_kind
    for text in ("the old cat [MASK] a mat", "[MASK] dog run to some house", "a [sMASK]"):
        result = unblank.fill(text, min_tokens=1, max_tokens=30, num_beams=4)
        blank = result.blanks[0]
        cloze = unblank.scorer(ScoringOptions())._cloze(text, ["cat"])
        cloze = Cloze(cloze.token_ids, cloze.blank, [blank.token_ids])
        ids = unblank.model.config
        ends = (ids.eop_token_id, ids.eos_token_id) if blank.finished else (None,)
        with torch.no_grad():
            scores = [
                float(score_candidates(unblank.model, cloze, sop_id=ids.sop_token_id, end_id=end))
                for end in ends
            ]
        assert min(abs(score - blank.log_probability) for score in scores) < 1e-4


def test_candidates_are_cut_into_tokens_as_inside_the_text(unblank_of_each_kind):
    unblank = unblank_of_each_kind
    whole = unblank.tokenizer("the old cat sat", add_special_tokens=False)["input_ids"]
    [candidate] = unblank.score("the old [MASK] sat", ["cat"]).candidates
    start = len(unblank.tokenizer("the old", add_special_tokens=False)["input_ids"])
    assert list(candidate.token_ids) == whole[start : start + len(candidate.token_ids)]


def test_scores_are_ranked_and_share_one_probability(tiny):
    scores = tiny.score("the [MASK] sat on [MASK] mat", ["a", "one", "the old"], blank=1)
    assert sum(candidate.share for candidate in scores.candidates) == pytest.approx(1)
    assert [candidate.text for candidate in scores.candidates] == ["a", "one", "the old"]
    assert scores.best.score == max(candidate.score for candidate in scores.candidates)
    assert str(scores).splitlines()[0].endswith(scores.best.text)
    both = tiny.score(["the [MASK] sat on [MASK] mat"] * 2, [["a", "one", "the old"]] * 2, blank=1)
    assert_close(both[1].best.score, scores.best.score, **TOLERANCE)


@pytest.mark.parametrize(
    ("text", "candidates", "options", "message"),
    [
        ("no blank", ["a"], {}, "has no blank"),
        ("a [MASK]", ["a", " "], {}, "is empty"),
        ("a [MASK]", ["dog", "dog"], {}, "same tokens"),
        ("a [MASK]", ["a [MASK]"], {}, "has a blank"),
        ("a [MASK]", [], {}, "no candidates"),
        ("a [MASK]", ["dog"], {"blank": 1}, "blank 0"),
        ("a [MASK]", ["dog"], {"normalization": "max"}, "normalization"),
        (["a [MASK]"], ["dog"], {}, "a list of texts"),
        ("a [MASK]", "dog", {}, "^candidates"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_words(tiny, text, candidates, options, message):
    with pytest.raises(ValueError, match=message):
        tiny.score(text, candidates, **options)
