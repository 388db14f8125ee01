"""Answers under rules: the model's best, in beams, samples, streams and batches alike."""

import random
import re

import pytest
import torch
from counts import hard_count
from rule_toys import all_answers, meets, num_words, random_rule, toy_of_kind

from unblank import Rule
from unblank.api import Unblank
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.generation.score import Cloze, score_batch
from unblank.tokenization.special import special_ids

KINDS = ["wordpiece", "bpe", "unigram"]
TEXT = "the old [MASK] sat on"


@pytest.fixture(params=KINDS)
def toy(request):
    return toy_of_kind(request.param)


RULES = {
    "choices": [Rule(choices=("cat", "dog", "the far house", "mat"))],
    "regex": [Rule(regex=r"(cat|dog)s?( sat)?")],
    "contains": [Rule(contains=("cat",), words=2), Rule(regex="(cat|one|old) (cat|dog|warm)")],
    "excludes": [Rule(regex="(old|far) (cat|dog)"), Rule(excludes=("cat",))],
    "words": [Rule(choices=("cat", "old cat", "a warm mat"), words=(2, 3))],
    "characters": [Rule(choices=("cat", "house", "one small dog"), characters=(4, None))],
    "tokens": [Rule(choices=("cat", "house", "dog", "grey dog"), tokens=(2, 4))],
    "case": [Rule(regex="[cC]at|[dD]og", case="lower")],
    "script": [Rule(regex="cat|\N{GREEK SMALL LETTER ALPHA}+", script="Latin")],
}


@pytest.mark.parametrize("name", RULES)
def test_the_best_beam_is_the_best_of_all_answers_that_meet_the_rule(toy, name):
    most = 5
    sequences = all_answers(toy.tokenizer, RULES[name], most)
    assert sequences
    rules = [*RULES[name], Rule(tokens=(None, most))]
    # As many beams as there are answers, each of which has two ends, leave none of them out.
    num_beams = min(200, 2 * len(sequences))
    found = toy.fill(TEXT, rules=rules, num_beams=num_beams, num_return=min(3, num_beams))
    expected = scored(toy, sequences)
    results = (found, *found.alternatives)
    assert [one.blanks[0].token_ids for one in results] == [ids for _, ids in expected[:3]]
    for one, (log_p, _) in zip(results, expected, strict=False):
        assert one.log_probability == pytest.approx(log_p, abs=1e-4)


def scored(toy, sequences) -> list[tuple[float, tuple[int, ...]]]:
    """Return the answers with each of the two ends by their log-probability, best first."""
    special = special_ids(toy.tokenizer)
    prompt = Filler(toy.model, toy.tokenizer, DecodingOptions()).read(TEXT).prompt
    cloze = Cloze(prompt.token_ids, prompt.blanks[0], sequences)
    with torch.inference_mode():
        of_ends = [
            score_batch(toy.model, [cloze], sop_id=special.sop, end_id=end)[0]
            for end in (special.eop, special.eos)
        ]
    log_p = torch.cat(of_ends).tolist()
    return sorted(zip(log_p, map(tuple, sequences * 2), strict=True), reverse=True)


def test_every_answer_meets_its_rule_whatever_the_model_draws(toy):
    rng = random.Random(3)
    filler = Filler(toy.model, toy.tokenizer, DecodingOptions(do_sample=True, max_tokens=12))
    rules = [random_rule(rng) for _ in range(hard_count(25, 200))]
    possible = [rule for rule in rules if can_be_met(filler, rule)]
    assert len(possible) > 0.6 * len(rules)
    results = filler.fill([TEXT] * len(possible), rules=[[rule] for rule in possible])
    for rule, result in zip(possible, results, strict=True):
        assert meets(result.blanks[0].text, rule), (rule, result.blanks[0])


def can_be_met(filler: Filler, rule: Rule) -> bool:
    try:
        filler.check(TEXT, rules=[rule])
    except ValueError:
        return False
    return True


def test_rules_of_a_batch_do_not_touch_one_another(tiny):
    rules = [["words=2"], [], ["regex=[a-f]+", "characters=3.."], ["choices=cat|dog", "tokens=3.."]]
    for options in ({}, {"do_sample": True, "seed": 4}, {"num_beams": 3, "num_return": 2}):
        together = tiny.fill([TEXT] * 4, rules=rules, max_tokens=9, **options)
        alone = [tiny.fill(TEXT, rules=own, max_tokens=9, **options) for own in rules]
        assert [one.text for one in together] == [one.text for one in alone]
        assert together[1].text == tiny.fill(TEXT, max_tokens=9, **options).text


@pytest.mark.parametrize("order", [None, [2, 0, 1]])
@pytest.mark.parametrize("options", [{}, {"num_beams": 4, "num_return": 3}])
def test_each_blank_keeps_its_own_rules_in_any_order(tiny, order, options):
    rules = ["0: regex=\\d{2}", "1: choices=cat|one dog", "2: words=2..3", "excludes=e"]
    found = tiny.fill("a [MASK] b [MASK] c [MASK]", rules=rules, order=order, **options)
    for one in (found, *found.alternatives):
        first, second, third = (blank.text for blank in one.blanks)
        assert re.fullmatch(r"\d{2}", first)
        assert second in ("cat", "one dog")
        assert num_words(third) in (2, 3)


def test_tokens_come_one_by_one_under_rules(tiny):
    rules = [{"regex": "[a-z]+ [a-z]+"}]
    *events, result = tiny.fill_stream(TEXT, rules=rules)
    assert result == tiny.fill(TEXT, rules=rules)
    assert tuple(event.token_id for event in events if not event.is_end) == (
        result.blanks[0].token_ids
    )


def test_an_answer_cut_for_length_meets_its_rule_to_the_last_token(tiny):
    result = tiny.fill(TEXT, rules=["regex=(the |cat )+mat"], max_tokens=4)
    assert re.fullmatch("(the |cat )+mat", result.blanks[0].text)


def test_answers_to_sources_keep_rules(tiny_encoder_decoder):
    model = Unblank(*tiny_encoder_decoder)
    for options in ({}, {"do_sample": True, "num_return": 3}, {"num_beams": 3, "num_return": 2}):
        found = model.generate("the cat", rules=["words=2..3", "regex=[a-z ]+"], **options)
        for one in (found, *found.alternatives):
            assert re.fullmatch("[a-z ]+", one.text)
            assert 2 <= len(one.text.split()) <= 3
    *_, streamed = model.generate_stream("the cat", rules=["words=2"])
    assert streamed == model.generate("the cat", rules=["words=2"])
    first, second = model.generate(["cat", "dog"], rules=[["choices=old"], ["choices=warm"]])
    assert (first.text, second.text) == ("old", "warm")


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (["regex=\\d+", "regex=[a-z]+"], "exclude each other"),
        (["words=1", "contains=old cat"], "exclude each other"),
        ([{"choices": ["cat"], "excludes": ["cat"]}], "exclude each other"),
        (["regex=\N{GREEK SMALL LETTER ALPHA}"], "no tokens"),
        (["choices=one small dog run far", "tokens=..2"], "at least"),
        (["tokens=70"], "room"),
        (["3: words=1"], "blank 0"),
        (["regex=(?=a)b"], "looks ahead"),
        (["regex=(a)\\1"], "refers back"),
        (["regex=(a"], "cannot be read"),
        (["regex=" + "(" * 900 + "a" + ")" * 900], "nested"),
        (["regex=(.*a.{300}){9}", "contains=cat"], "too many steps"),
        (["regex=([ab]*a[ab]{20}|[ac]*a[ac]{20})"], "too many steps"),
        (["script=Klingon"], "Klingon"),
        ([{"regex": "a", "colour": "red"}], "colour"),
    ],
)
def test_what_cannot_be_met_or_read_is_refused_in_time(tiny_words, rules, names):
    with pytest.raises(ValueError, match=names):
        tiny_words.fill(TEXT, rules=rules)


def test_rules_and_banned_repetitions_exclude_each_other(tiny):
    with pytest.raises(ValueError, match="no_repeat_ngram"):
        tiny.fill(TEXT, rules=["words=2"], no_repeat_ngram=2)


def test_fewest_tokens_hold_beside_rules(tiny):
    found = tiny.fill(TEXT, rules=["choices=cat|dog|the far house"], min_tokens=4, num_beams=3)
    assert len(found.blanks[0].token_ids) >= 4
    assert found.blanks[0].text in ("cat", "dog", "the far house")
    found = tiny.fill(TEXT, rules=["regex=a*"], min_tokens=3, max_tokens=6)
    assert len(found.blanks[0].text) >= 3
