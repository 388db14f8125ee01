"""Answers over passages: the sum over separate forwards, for candidates and for what is written."""

import math

import pytest
import torch
from torch.testing import assert_close

from unblank.generation.passages import Passage, behind_passage
from unblank.generation.prompts import read_text
from unblank.tokenization.special import special_ids

PASSAGES = [
    Passage("the cat sat on a mat.", 0.7),
    Passage("a dog ran.", -1.0),
    Passage("the dog sat.", 0.2),
]
TEXT = "the dog [MASK] on a mat"
CANDIDATES = ["sat", "ran far", "a cat"]


def shares():
    weights = [math.exp(one.score) for one in PASSAGES]
    return [weight / sum(weights) for weight in weights]


def alone(model, passage, candidate, **options):
    """The probability of a candidate behind one passage, in a forward of its own."""
    scored = model.score(behind_passage(passage.text, TEXT), [candidate], **options)
    return math.exp(scored.candidates[0].score)


@pytest.mark.parametrize("options", [{}, {"include_end": False}, {"context": "uni"}])
def test_candidates_have_the_sum_over_separate_forwards(tiny, options):
    scores = tiny.score(TEXT, CANDIDATES, passages=PASSAGES, **options)
    for found in scores.candidates:
        each = [alone(tiny, passage, found.text, **options) for passage in PASSAGES]
        expected = sum(share * p for share, p in zip(shares(), each, strict=True))
        assert found.score == pytest.approx(math.log(expected), abs=1e-4)
    assert sum(one.share for one in scores.candidates) == pytest.approx(1.0)


def test_a_mean_is_that_of_the_sum(tiny):
    total = tiny.score(TEXT, CANDIDATES, passages=PASSAGES)
    mean = tiny.score(TEXT, CANDIDATES, passages=PASSAGES, normalization="mean")
    for one, other in zip(total.candidates, mean.candidates, strict=True):
        assert other.score == pytest.approx(one.score / (len(one.token_ids) + 1), abs=1e-5)


def test_texts_by_themselves_have_equal_shares_and_several_texts_lists_of_their_own(tiny):
    given = ["the cat sat.", "a dog ran."]
    one = tiny.score(TEXT, CANDIDATES, passages=given)
    two = tiny.score([TEXT, TEXT], [CANDIDATES] * 2, passages=[given, given[:1]])
    assert one == two[0]
    alone = tiny.score(f"the cat sat. {TEXT}", CANDIDATES)
    assert_close(
        torch.tensor([c.score for c in two[1].candidates]),
        torch.tensor([c.score for c in alone.candidates]),
    )


def log_p_of_tokens(model, ids):
    """log p(ids | text) over the passages, by a plain forward for each; ids may end in [eop]."""
    total, special = 0.0, special_ids(model.tokenizer)
    for passage, share in zip(PASSAGES, shares(), strict=True):
        text = behind_passage(passage.text, TEXT)
        prompt = read_text(model.tokenizer, special, text, max_positions=999).prompt
        size, inside = len(prompt.token_ids), len(ids)
        places = [*range(size), *prompt.blanks * inside], [*[0] * size, *range(1, inside + 1)]
        with torch.no_grad():
            logits = model.model(
                torch.tensor([[*prompt.token_ids, special.sop, *ids[:-1]]]),
                position_ids=torch.tensor(places)[:, None],
                prefix_lengths=torch.tensor([size]),
                use_cache=False,
            ).logits[0, size:]
        log_p = torch.log_softmax(logits.float(), -1)[range(inside), list(ids)].sum()
        total += share * math.exp(log_p)
    return math.log(total)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return": 3}, {"min_tokens": 3}])
def test_what_is_written_is_the_best_of_all_passages_by_the_sum(tiny, options):
    options = {"max_tokens": 6, **options}
    result = tiny.fill(TEXT, passages=PASSAGES, **options)
    eop = special_ids(tiny.tokenizer).eop
    found = {}
    for passage in PASSAGES:
        own = tiny.fill(behind_passage(passage.text, TEXT), **options)
        for one in (own, *own.alternatives):
            ids = (*one.blanks[0].token_ids, *[eop] * one.blanks[0].finished)
            found[ids] = log_p_of_tokens(tiny, ids)
    best = sorted(found.values(), reverse=True)[: options.get("num_return", 1)]
    chosen = [one.log_probability for one in (result, *result.alternatives)]
    assert chosen == pytest.approx(best, abs=1e-4)
    first = result.blanks[0]
    assert "".join(result.text.split()) == "".join(TEXT.replace("[MASK]", first.text).split())
    ids = first.token_ids
    for end in range(1, len(ids) + 1):  # each token after those before it
        assert math.fsum(first.log_probabilities[:end]) == pytest.approx(
            log_p_of_tokens(tiny, ids[:end]), abs=1e-4
        )


def test_a_list_of_texts_is_filled_like_each(tiny):
    given = [PASSAGES, PASSAGES[:1]]
    both = tiny.fill([TEXT, TEXT], passages=given, max_tokens=4)
    assert both == [tiny.fill(TEXT, passages=one, max_tokens=4) for one in given]


@pytest.mark.parametrize(
    ("text", "passages", "options", "error", "named"),
    [
        (TEXT, [], {}, ValueError, "no passages"),
        (TEXT, ["a", " "], {}, ValueError, "passage 1"),
        (TEXT, ["a [sMASK]"], {}, ValueError, "passage 0"),
        (TEXT, [Passage("a", math.nan)], {}, ValueError, "score nan"),
        (TEXT, ["dog " * 200], {}, ValueError, "positions"),
        (TEXT, "a dog", {}, TypeError, "list of texts"),
        (TEXT, [3], {}, TypeError, "passage 0"),
        ([TEXT], ["a", "dog"], {}, ValueError, "list of such lists"),
        ("[MASK] on [MASK]", ["a dog"], {}, ValueError, "2 blanks"),
        (TEXT, ["a dog"], {"rules": "words=1"}, ValueError, "rules"),
        (TEXT, ["a dog"], {"do_sample": True}, ValueError, "do_sample"),
        (TEXT, ["a dog"], {"num_beams": 2, "length_penalty": 1.0}, ValueError, "length_penalty"),
    ],
)
def test_what_cannot_be_is_named(tiny, text, passages, options, error, named):
    with pytest.raises(error, match=named):
        tiny.fill(text, passages=passages, **options)
