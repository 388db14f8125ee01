"""Candidates without a prior: by the formulas of the papers, over scores asked one by one."""

import math

import numpy as np
import pytest
import torch
from served_toys import client_of
from tiny_models import encoder_decoder

from unblank.api import Unblank
from unblank.cli import main
from unblank.generation.priors import without_prior

TEXT, WORDS = "the old [MASK] sat", ["cat", "grey dog", "mat"]
FREE = ["[MASK]", "the old [MASK]"]


def log_p(unblank, text, words=WORDS, **options):
    return np.array([one.score for one in unblank.score(text, words, **options).candidates])


def bare(unblank, free):
    """Return the log-probabilities of the same tokens in texts without content."""
    tokens = [" ".join(["", word]) for word in WORDS]  # in TEXT a space stands before the blank
    return [log_p(unblank, text, tokens) for text in free]


@pytest.mark.parametrize("free", [FREE[:1], FREE], ids=["one", "two"])
def test_pmi_is_what_the_text_adds(tiny, free):
    prior = np.log(np.mean([np.exp(one) for one in bare(tiny, free)], axis=0))
    found = log_p(tiny, TEXT, normalization="pmi", content_free=free)
    assert found == pytest.approx(log_p(tiny, TEXT) - prior, abs=1e-4)


@pytest.mark.parametrize("free", [FREE[:1], FREE], ids=["one", "two"])
def test_contextual_calibration_divides_by_the_mean_share_without_content(tiny, free):
    of_texts = [np.exp(one) / np.exp(one).sum() for one in bare(tiny, free)]
    odds = np.exp(log_p(tiny, TEXT)) / np.mean(of_texts, axis=0)
    scores = tiny.score(TEXT, WORDS, normalization="contextual", content_free=free)
    found = [one.share for one in scores.candidates]
    assert found == pytest.approx(odds / odds.sum(), abs=1e-5)
    assert [math.exp(one.score) for one in scores.candidates] == pytest.approx(found)


def test_without_texts_the_blank_alone_is_without_content(tiny):
    for how in ("pmi", "contextual"):
        given = log_p(tiny, TEXT, normalization=how, content_free=["[MASK]"])
        assert log_p(tiny, TEXT, normalization=how) == pytest.approx(given)
    even = tiny.score("[MASK]", WORDS, normalization="contextual")
    assert [one.share for one in even.candidates] == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_several_texts_with_their_own_candidates_are_scored_as_each_alone(tiny):
    texts, words = [TEXT, "a [MASK] ran", TEXT], [WORDS, ["dog", "cat"], WORDS]
    for how in ("pmi", "contextual"):
        found = tiny.score(texts, words, normalization=how)
        for one, text, listed in zip(found, texts, words, strict=True):
            scores = [candidate.score for candidate in one.candidates]
            assert scores == pytest.approx(log_p(tiny, text, listed, normalization=how), abs=1e-4)


def test_sources_have_a_prior_too():
    unblank = Unblank(*encoder_decoder("deltalm"))
    words = ["the cat", "a dog"]
    expected = log_p(unblank, "one two", words) - log_p(unblank, "N/A", words)
    found = log_p(unblank, "one two", words, normalization="pmi")
    assert found == pytest.approx(expected, abs=1e-4)


def test_both_kinds_rank_alike_with_one_text_and_may_differ_with_two():
    scores = torch.tensor([0.0, 0.3, -1.0])
    one, other = torch.tensor([-1.0, -2.0, -9.0]), torch.tensor([-12.0, -9.0, -11.0])
    shares = [without_prior(scores, [one], how).softmax(0) for how in ("pmi", "contextual")]
    torch.testing.assert_close(*shares)
    both = [without_prior(scores, [one, other], how).softmax(0) for how in ("pmi", "contextual")]
    assert not torch.allclose(*both)


def test_texts_without_content_need_a_prior(tiny):
    with pytest.raises(ValueError, match="content_free"):
        tiny.score(TEXT, WORDS, content_free=["[MASK]"])
    with pytest.raises(ValueError, match=r"\[MASK\]"):
        tiny.score(TEXT, WORDS, normalization="pmi", content_free=["N/A"])


def test_the_server_and_the_command_score_alike(tiny, monkeypatch, capsys):
    body = {"text": TEXT, "candidates": WORDS, "normalization": "pmi", "content_free": FREE}
    with client_of(models={"toy": tiny}) as client:
        found = client.post("/v1/score", json=body).json()["candidates"]
    expected = tiny.score(TEXT, WORDS, normalization="pmi", content_free=FREE).ranked
    assert [one["text"] for one in found] == [one.text for one in expected]
    scores = [one.score for one in expected]
    assert [one["score"] for one in found] == pytest.approx(scores, abs=1e-4)
    monkeypatch.setattr("unblank.api.load", lambda folder, **options: tiny)
    main(["score", "folder", TEXT, "--candidates", *WORDS, "--normalization", "pmi",
          "--content-free", *FREE])  # fmt: skip
    printed = capsys.readouterr().out
    assert all(f"{one:.3f}" in printed for one in scores)
