"""Answers that stand in a text, against writing out every run of its tokens."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from unblank.rules.constraint import NEVER
from unblank.rules.spans import SpanConstraint

END, SIZE = 5, 6
TOKENS = st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.booleans()), max_size=9)


def runs_of(token_ids, may_end, start_ids, fewest):
    """Return every run that may be an answer, by trying all places."""
    found = {()} if fewest == 0 else set()
    for start in range(len(token_ids)):
        for end in range(start + max(fewest, 1), len(token_ids) + 1):
            run = tuple(token_ids[start:end])
            if None not in run and run[0] in start_ids and may_end[end - 1]:
                found.add(run)
    return found


def answers_of(constraint, limit):
    """Return every answer that can be written token by token."""
    found, open_ones = set(), [((), constraint.begin(limit))]
    while open_ones:
        written, progress = open_ones.pop()
        log_p_V = torch.zeros(SIZE)
        progress.mask(log_p_V)
        assert (log_p_V == 0).any()  # no answer gets stuck
        for token_id in (log_p_V == 0).nonzero().flatten().tolist():
            if token_id == END:
                found.add(written)
            else:
                open_ones.append(((*written, token_id), progress.after(token_id)))
    return found


@given(text=TOKENS, starts=st.sets(st.sampled_from([0, 1, 2])), fewest=st.integers(0, 3))
def test_answers_are_the_runs_of_the_text(text, starts, fewest):
    token_ids, may_end = [one for one, _ in text], [one for _, one in text]
    constraint = SpanConstraint(
        token_ids,
        start_ids=starts,
        may_end=may_end,
        vocab_size=SIZE,
        end_ids=[END],
        min_tokens=fewest,
    )
    wanted = runs_of(token_ids, may_end, starts, fewest)
    assert constraint.fewest == min(map(len, wanted), default=NEVER)
    if wanted:
        assert answers_of(constraint, limit=9) == wanted
        short = {run for run in wanted if len(run) <= constraint.fewest + 1}
        assert answers_of(constraint, limit=constraint.fewest + 1) == short
