"""Answers under rules: the model's best, in beams, samples, streams and batches alike."""

import random
import re

import pytest
import torch
from rule_toys import all_answers, meets, random_rule, toy_of_kind

from unblank import Rule
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
    found = toy.fill(TEXT, rules=rules, num_beams=200, num_return=3)
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
