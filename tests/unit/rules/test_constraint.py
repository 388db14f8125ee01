"""What tokens add to a text, and which of them may come next, beside a search through all ways."""

import random

import pytest
import torch
from rule_toys import meets, toy_of_kind

from unblank.generation.prompts import decode_after
from unblank.rules.constraint import NEVER
from unblank.rules.making import ConstraintMaker
from unblank.rules.rule import Rule
from unblank.rules.token_bytes import read_token_bytes
from unblank.tokenization.encoding import encode_texts, text_encoder
from unblank.tokenization.special import special_ids

KINDS = ["wordpiece", "bpe", "unigram"]
ODD = "Zo\u00eb: d\u00e9j\u00e0 vu, 12-7! \U0001f600 \u4e2d"


def ids_of(tokenizer) -> list[int]:
    special = {*tokenizer.all_special_ids}
    return [token_id for token_id in range(len(tokenizer)) if token_id not in special]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_standalone", [True, False])
def test_tokens_add_the_bytes_that_the_tokenizer_decodes(kind, is_standalone):
    tokenizer = toy_of_kind(kind).tokenizer
    core = text_encoder(tokenizer)
    vocabulary = read_token_bytes(core, ids_of(tokenizer), is_standalone=is_standalone)
    first, later = dict(spelt(vocabulary.first)), dict(spelt(vocabulary.later))
    rng = random.Random(0)
    words = ["cat", "dog", "the far house", "Zo\u00eb", "12-7!", "d\u00e9j\u00e0 vu"]
    for _ in range(40):
        text = " ".join(rng.choices(words, k=3))
        ids = [one for one in encode_texts(tokenizer, [text])[0] if one in later]
        added = first[ids[0]] + b"".join(later[one] for one in ids[1:])
        decoded = tokenizer.decode(ids) if is_standalone else decode_after(tokenizer, "so ", ids)
        assert added.decode() == decoded
    if kind != "wordpiece":  # whose characters are all known
        ids = encode_texts(tokenizer, [ODD])[0]
        assert (first[ids[0]] + b"".join(later[one] for one in ids[1:])).decode().lstrip() == ODD


def spelt(tokens):
    for token_id, start, length in zip(
        tokens.token_ids.tolist(), tokens.starts, tokens.lengths, strict=True
    ):
        yield token_id, tokens.content[start : start + length].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rule", "min_tokens"),
    [
        (Rule(regex="(old )?cats?"), 0),
        (Rule(contains=("cat",), characters=(None, 9), regex="[a-z ]*"), 3),
        (Rule(choices=("d\u00e9j\u00e0", "12"), tokens=(2, 5)), 0),
    ],
    ids=str,
)
def test_a_token_is_allowed_if_enough_tokens_are_left_behind_it(kind, rule, min_tokens):
    tokenizer = toy_of_kind(kind).tokenizer
    special = special_ids(tokenizer)
    letters = set("oldcats \u00e9\u00e0j12")
    ids = [
        one for one in ids_of(tokenizer)
        if set(decode_after(tokenizer, "so ", [one])) <= letters | {"\ufffd"}
    ]  # fmt: skip
    maker = ConstraintMaker(
        tokenizer, token_ids=ids, end_ids=[special.eop], vocab_size=len(tokenizer),
        is_standalone=False,
    )  # fmt: skip
    constraint = maker.make([rule], limit=12, min_tokens=min_tokens)
    low, high = (
        (max(min_tokens, rule.tokens[0]), rule.tokens[1]) if rule.tokens else (min_tokens, 6)
    )
    progress = constraint.begin(high)
    rng = random.Random(2)
    done = []
    while True:
        log_p = torch.zeros(len(tokenizer))
        progress.mask(log_p)
        allowed = torch.nonzero(log_p == 0)[:, 0].tolist()
        left = high - len(done)
        text = decode_after(tokenizer, "so ", done).lstrip(" ")
        assert (special.eop in allowed) == (len(done) >= low and meets(text, rule))
        for token_id in rng.sample(ids, min(len(ids), 25)):
            rest = max(low - len(done) - 1, 0)
            needed = fewest_more(constraint, progress.state, token_id, ids, rest, left)
            assert (token_id in allowed) == (needed is not None), token_id
        choices = [one for one in allowed if one != special.eop]
        if not choices:
            break
        done.append(rng.choice(choices))
        progress = progress.after(done[-1])
    assert fewest_of(constraint) == constraint.fewest < NEVER


def fewest_more(constraint, state, token_id, ids, missing, left):
    """Return tokens from this one on to an end, at least so many; None if more than are left.

    By going on one token at a time from all states at once.
    """
    states = {constraint.after(state, token_id)} if follows(constraint, state, token_id) else set()
    for count in range(left):
        if count >= missing and any(is_end(constraint, one) for one in states):
            return count + 1
        states = {
            constraint.after(one, other)
            for one in states
            for other in ids
            if follows(constraint, one, other)
        }
    return None


def follows(constraint, state, token_id) -> bool:
    paths, origin = constraint._paths_at(state % constraint._stride)
    if token_id not in paths.token_ids[paths.tokens_of(origin)]:
        return False
    return constraint.after(state, token_id) // constraint._stride != constraint._automaton.dead


def is_end(constraint, state) -> bool:
    return constraint._is_end(*divmod(state, constraint._stride))


def fewest_of(constraint) -> int:
    state, count = constraint.begin(NEVER).state, 0
    while not (constraint.needs(state, count) == 0).any():
        needs = constraint.needs(state, count)
        state = constraint.after(state, int(needs.argmin()))
        count += 1
    return count
