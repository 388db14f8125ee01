"""Filling: against a naive decoder without cache, batch against single, and its promises."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from unblank.generation.building import blank_rules
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.generation.order_scores import score_in_all_orders
from unblank.generation.prompts import read_text
from unblank.generation.results import FillResult
from unblank.tokenization import special_ids

TEXTS = [
    "the [MASK] cat sat on [MASK] mat and [MASK].",
    "some [MASK]",
    "a dog [sMASK] house. the old [MASK] saw one small",
    "run to [gMASK]",
    "[MASK][MASK] the cat sat on a warm mat and saw one small dog run to some far house.",
]
SAMPLING = {"do_sample": True, "temperature": 0.8, "top_k": 12, "top_p": 0.9, "seed": 5}
STRATEGIES = [{}, {"num_beams": 3, "length_penalty": 0.5}, SAMPLING]


def naive_next_log_p(unblank, prompt, columns, is_bidirectional=True):
    """One full forward, written from the definition: no cache, no batch, no padding."""
    length = len(prompt.token_ids)
    ids = [*prompt.token_ids, *(token for token, _, _ in columns)]
    row_0 = [*range(length), *(place for _, place, _ in columns)]
    row_1 = [*[0] * length, *(inside for _, _, inside in columns)]
    visible = [
        [(is_bidirectional and key < length) or key <= query for key in range(len(ids))]
        for query in range(len(ids))
    ]
    with torch.no_grad():
        logits = unblank.model(
            torch.tensor([ids]),
            position_ids=torch.tensor([[row_0], [row_1]]),
            attention_mask=torch.tensor([[visible]]),
            use_cache=False,
        ).logits
    return torch.log_softmax(logits[0, -1], -1)


def naive_greedy(
    unblank, text, max_tokens, order=None, is_bidirectional=True, hides_cut_token=False
):
    special = special_ids(unblank.tokenizer)
    prompt = read_text(unblank.tokenizer, special, text, max_positions=64, order=order).prompt
    rules = blank_rules(unblank.tokenizer, unblank.model.config, DecodingOptions())
    columns, pieces = [], []
    for place in prompt.blanks:
        columns.append((special.sop, place, 1))
        tokens, log_ps = [], []
        while len(tokens) < max_tokens:
            log_p = naive_next_log_p(unblank, prompt, columns, is_bidirectional)
            allowed = rules.log_probabilities(log_p[None], [tokens])[0]
            token = int(allowed.argmax())
            log_ps.append(float(log_p[token]))
            if token in rules.end_ids:
                break
            tokens.append(token)
            columns.append((token, place, len(tokens) + 1))
        if hides_cut_token and len(log_ps) == len(tokens):
            columns.pop()
        pieces.append((tokens, log_ps))
    return pieces


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("max_tokens", [2, 9])
def test_cached_greedy_filling_equals_decoding_without_cache(
    unblank_of_each_kind, text, max_tokens
):
    result = unblank_of_each_kind.fill(text, max_tokens=max_tokens)
    expected = naive_greedy(unblank_of_each_kind, text, max_tokens)
    for blank, (tokens, log_ps) in zip(result.blanks, expected, strict=True):
        assert list(blank.token_ids) == tokens
        ends = [] if blank.end_log_probability is None else [blank.end_log_probability]
        assert_close([*blank.log_probabilities, *ends], log_ps, atol=1e-4, rtol=1e-4)
        assert blank.finished == (len(log_ps) > len(tokens))


def test_the_interactive_decoder_hides_the_last_token_of_a_cut_fill(tiny):
    found = {}
    for decoder in ("evaluation", "interactive"):
        result = tiny.fill(TEXTS[0], max_tokens=2, decoder=decoder)
        expected = naive_greedy(tiny, TEXTS[0], 2, hides_cut_token=decoder == "interactive")
        found[decoder] = [(list(b.token_ids), list(b.log_probabilities)) for b in result.blanks]
        for (tokens, log_ps), (ours, our_log_ps) in zip(expected, found[decoder], strict=True):
            assert ours == tokens
            assert_close(our_log_ps, log_ps[: len(tokens)], atol=1e-4, rtol=1e-4)
    assert found["evaluation"] != found["interactive"]
    with pytest.raises(ValueError, match="decoder is 'other'"):
        tiny.fill(TEXTS[0], decoder="other")


@pytest.mark.parametrize("options", STRATEGIES)
def test_log_probabilities_of_every_strategy_are_those_of_one_full_forward(tiny, options):
    special = special_ids(tiny.tokenizer)
    for text in TEXTS:
        prompt = read_text(tiny.tokenizer, special, text, max_positions=64).prompt
        result = tiny.fill(text, max_tokens=6, **options)
        columns = []
        for blank, place in zip(result.blanks, prompt.blanks, strict=True):
            found = [*blank.log_probabilities]
            columns.append((special.sop, place, 1))
            for count, token in enumerate(blank.token_ids):
                log_p = naive_next_log_p(tiny, prompt, columns)
                assert_close(found[count], float(log_p[token]), atol=1e-4, rtol=1e-4)
                columns.append((token, place, count + 2))
            if blank.finished:
                log_p = naive_next_log_p(tiny, prompt, columns)
                ends = [float(log_p[special.eop]), float(log_p[special.eos])]
                assert min(abs(blank.end_log_probability - end) for end in ends) < 1e-4


@pytest.mark.parametrize("options", STRATEGIES)
@pytest.mark.parametrize("batch_size", [2, 5])
def test_a_batch_equals_its_single_texts(tiny, options, batch_size):
    together = tiny.fill(TEXTS, max_tokens=7, batch_size=batch_size, **options)
    for text, batched in zip(TEXTS, together, strict=True):
        single = tiny.fill(text, max_tokens=7, **options)
        assert batched.text == single.text
        assert_close(batched.log_probability, single.log_probability, atol=1e-4, rtol=1e-4)


def test_several_fillings_of_beams_and_samples_do_not_depend_on_the_batch(tiny):
    for options in ({"num_beams": 4, "num_return": 3}, {**SAMPLING, "num_return": 3}):
        together = tiny.fill(TEXTS, max_tokens=5, **options)
        for text, batched in zip(TEXTS, together, strict=True):
            single = tiny.fill(text, max_tokens=5, **options)
            fillings = [single, *single.alternatives]
            assert [f.text for f in (batched, *batched.alternatives)] == [f.text for f in fillings]
            assert len(fillings) == 3
            if "num_beams" not in options or text.count("[") == 1:
                log_ps = [filling.log_probability for filling in fillings]
                assert log_ps == sorted(log_ps, reverse=True)


def test_blanks_are_filled_in_the_order_asked_for(tiny):
    text = TEXTS[0]
    result = tiny.fill(text, max_tokens=5, order=[2, 0, 1])
    expected = naive_greedy(tiny, text, 5, order=[2, 0, 1])
    by_place = [tokens for _, (tokens, _) in sorted(zip([2, 0, 1], expected, strict=True))]
    assert [list(blank.token_ids) for blank in result.blanks] == by_place


def test_only_text_is_generated_though_other_rows_would_win(tiny):
    special = special_ids(tiny.tokenizer)
    forbidden = {*special.blanks, special.cls, special.sep, special.unk, special.sop, special.pad}
    forbidden |= {special.dblock, special.eop, special.eos}
    daring = {"do_sample": True, "temperature": 3.0, "num_return": 8}
    for options in ({}, {"num_beams": 3}, daring):
        result = tiny.fill("a [MASK] cat", min_tokens=15, max_tokens=20, **options)
        for filling in (result, *result.alternatives):
            ids = filling.blanks[0].token_ids
            assert all(token_id < len(tiny.tokenizer) for token_id in ids)
            assert not forbidden & set(ids)
            assert len(ids) >= 15


def test_a_cut_answer_says_so_and_an_ended_one_counts_its_end(tiny):
    results = [tiny.fill(TEXTS, max_tokens=length) for length in (1, 20)]
    finished = [flag for result in results for filled in result for flag in filled.finished]
    assert set(finished) == {True, False}
    for filled in results[0] + results[1]:
        for blank in filled.blanks:
            assert blank.finished == (blank.end_log_probability is not None)
            parts = [*blank.log_probabilities, blank.end_log_probability or 0.0]
            assert math.isclose(blank.log_probability, math.fsum(parts), abs_tol=1e-9)
            assert ("cut" in str(blank)) != blank.finished


@pytest.mark.parametrize("options", STRATEGIES)
def test_no_ngram_occurs_twice_if_so_asked(tiny, options):
    for result in tiny.fill(TEXTS, max_tokens=30, min_tokens=30, no_repeat_ngram=2, **options):
        for blank in result.blanks:
            pairs = list(zip(blank.token_ids, blank.token_ids[1:], strict=False))
            assert len(pairs) == 29
            assert len(set(pairs)) == len(pairs)


def test_answers_stand_where_they_say_and_the_rest_of_the_text_is_kept(unblank_of_each_kind):
    text = "The Old [MASK] (cat), SAT  on [sMASK]; mat\n[gMASK]"
    result = unblank_of_each_kind.fill(text, max_tokens=4)
    rest, end = [], 0
    for blank in result.blanks:
        assert result.text[blank.start : blank.end] == blank.text
        rest.append(result.text[end : blank.start])
        end = blank.end
    assert [part.strip() for part in rest] == ["The Old", "(cat), SAT  on", "; mat"]
    assert "  on" in result.text
    assert len(result.blanks[0].tokens) == len(result.blanks[0].alternatives)


def test_token_alternatives_are_ranked_and_hold_the_greedy_token(tiny):
    for blank in tiny.fill(TEXTS[0], max_tokens=5, num_alternatives=3).blanks:
        for token, log_p, pairs in zip(
            blank.tokens, blank.log_probabilities, blank.alternatives, strict=True
        ):
            assert len(pairs) == 3
            assert pairs[0] == (token, pytest.approx(math.exp(log_p)))
            assert [p for _, p in pairs] == sorted((p for _, p in pairs), reverse=True)


@pytest.mark.parametrize("options", [{}, SAMPLING])
def test_the_stream_ends_in_what_fill_returns(tiny, options):
    *events, last = tiny.fill_stream(TEXTS[0], max_tokens=6, **options)
    assert isinstance(last, FillResult)
    assert last == tiny.fill(TEXTS[0], max_tokens=6, **options)
    for place, blank in enumerate(last.blanks):
        own = [event for event in events if event.blank == place]
        assert tuple(e.token_id for e in own if not e.is_end) == blank.token_ids
        assert own[-1].blank_text == blank.text
        assert own[-1].is_end == blank.finished


def test_sampling_depends_on_the_seed_and_the_text_only(tiny):
    drawn = [tiny.fill(TEXTS[1], max_tokens=8, do_sample=True, seed=seed) for seed in range(6)]
    assert len({result.text for result in drawn}) > 1
    torch.manual_seed(0)
    again = tiny.fill([TEXTS[0], TEXTS[1]], max_tokens=8, do_sample=True, seed=4)[1]
    assert again.text == drawn[4].text


@pytest.mark.parametrize("text", TEXTS)
def test_a_unidirectional_text_sees_only_backwards(tiny, text):
    result = tiny.fill(text, max_tokens=3, context="uni")
    expected = naive_greedy(tiny, text, 3, is_bidirectional=False)
    assert [list(blank.token_ids) for blank in result.blanks] == [tokens for tokens, _ in expected]
    first, log_ps = result.blanks[0], expected[0][1]
    assert_close(first.log_probability, math.fsum(log_ps), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("nothing here", {}, "has no blank"),
        ("a [MASK]", {"order": [1]}, "blanks once"),
        ("cat " * 80 + "[MASK]", {}, "64 positions"),
        ("[MASK] " * 80, {}, "80 blanks"),
        ("a [MASK]", {"max_tokens": 64}, "positions for 63 tokens"),
        ("a [MASK]", {"batch_size": 0}, "batch_size"),
        ("a [MASK]", {"num_return": 2}, "num_return"),
        ("a [MASK]", {"top_k": 2}, "do_sample"),
        ("a [MASK]", {"seed": 2}, "do_sample"),
        ("a [MASK]", {"do_sample": True, "num_beams": 2}, "choose one"),
        ("a [MASK]", {"temperature": 0.0, "do_sample": True}, "temperature"),
        ("a [MASK]", {"top_p": 0.0, "do_sample": True}, "top_p"),
        ("a [MASK]", {"min_tokens": 3, "max_tokens": 2}, "min_tokens"),
        ("a [MASK]", {"length_penalty": 1.0}, "num_beams"),
        ("a [MASK] b [MASK]", {"order": "confidense"}, "'confidense'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(tiny, text, options, message):
    with pytest.raises(ValueError, match=message):
        tiny.fill(text, **options)


def test_a_misspelt_option_names_the_nearest(tiny):
    with pytest.raises(TypeError, match="num_beams"):
        tiny.fill("a [MASK]", num_beam=3)


def test_no_texts_give_no_results(tiny):
    assert tiny.fill([]) == []


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return": 2}])
def test_the_surest_blank_is_filled_first(tiny, options):
    texts = ["a [MASK] b [MASK] c [MASK]", "one [MASK]", "the [MASK] dog [gMASK]"]
    found = tiny.fill(texts, order="confidence", max_tokens=4, **options)
    for text, result in zip(texts, found, strict=True):
        order, still_open = [], list(range(text.count("MASK]")))
        while still_open:
            sure = []
            for blank in still_open:
                rest = [other for other in still_open if other != blank]
                one = tiny.fill(text, order=[*order, blank, *rest], max_tokens=4)
                sure.append(one.blanks[blank].log_probability)
            if options:  # beams choose by their own best, which a greedy search may miss
                break
            order.append(still_open.pop(sure.index(max(sure))))
        assert options or result.text == tiny.fill(text, order=order, max_tokens=4).text
        assert len(result.blanks) == text.count("MASK]")
    *_, streamed = tiny.fill_stream(texts[0], order="confidence", max_tokens=4)
    assert streamed.text == tiny.fill(texts[0], order="confidence", max_tokens=4).text
    with pytest.raises(ValueError, match="17"):
        tiny.fill("[MASK]" * 17, order="confidence")


def test_answers_have_in_each_order_the_probability_that_filling_gives_them(tiny):
    text, special = "a [MASK] b [MASK] c [MASK]", special_ids(tiny.tokenizer)
    filler = Filler(tiny.model, tiny.tokenizer, DecodingOptions(max_tokens=30))
    compared = 0
    for order in itertools.permutations(range(3)):
        result = filler.fill([text], order=order)[0]
        scores = score_in_all_orders(
            tiny.model, filler.read(text).prompt, [blank.token_ids for blank in result.blanks],
            start_id=special.sop, end_id=special.eop,
        )  # fmt: skip
        assert len(scores.by_order) == 6
        mean = sum(math.exp(one) for one in scores.by_order.values()) / 6
        assert scores.log_probability == pytest.approx(math.log(mean))
        cut = sum(not blank.finished for blank in result.blanks)
        if not cut:  # the filling may have ended by the other end; then its probability is higher
            compared += scores.by_order[order] == pytest.approx(result.log_probability, abs=1e-4)
            assert scores.by_order[order] <= result.log_probability + 1e-4
    assert compared
    scores = tiny.score_orders("a [MASK] b [MASK]", ["cat", "old dog"])
    assert scores.best in ((0, 1), (1, 0))
    alone = tiny.score("a [MASK]", ["cat"]).candidates[0].score
    assert tiny.score_orders("a [MASK]", ["cat"]).log_probability == pytest.approx(alone, abs=1e-4)
    for num_blanks, num_answers in ((2, 1), (5, 5)):
        with pytest.raises(ValueError, match=r"answers? for|5 blanks"):
            tiny.score_orders("[MASK]" * num_blanks, ["cat"] * num_answers)
