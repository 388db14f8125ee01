"""Branches of a row see what rows of their own see, and the row keeps no more than they see."""

import pytest
import torch
from test_coming_and_going import GLM, SOP, VOCABULARY
from tiny_models import encoder_decoder
from torch.testing import assert_close

from unblank.generation.building import answer_setup
from unblank.generation.options import GenerationOptions
from unblank.generation.rows import Chunk, Prompt, Rows

PROMPTS = [
    Prompt((11, 12, 13, 14), (2,)),
    Prompt((15, 16), (1,)),
    Prompt(tuple(range(10, 20)), (0,)),
]


def glm_rows():
    return Rows(GLM), SOP, PROMPTS


def encoder_decoder_rows():
    model, tokenizer = encoder_decoder("deltalm")
    setup = answer_setup(model, tokenizer, GenerationOptions())
    sources = [Prompt(tuple(tokenizer(text)["input_ids"]), (0,)) for text in ("one two", "three")]
    return setup.new_rows(model), setup.start_id, sources


def chunk(tokens, prompt, first):
    """Tokens in the first blank of a prompt, from a position in the span on."""
    return Chunk(tokens, [prompt.blanks[0]] * len(tokens), range(first, first + len(tokens)))


@pytest.mark.parametrize("new_rows", [glm_rows, encoder_decoder_rows])
@torch.no_grad()
def test_branches_see_what_rows_of_their_own_see(new_rows):
    rows, start_id, prompts = new_rows()
    num_branches, generator = 3, torch.Generator().manual_seed(0)

    def drawn(end, count):
        return torch.randint(end, (count,), generator=generator).tolist()

    rows.feed_prompts(prompts, start_id, "bi")
    rows.branch([0] * num_branches * len(prompts))
    written = [[[] for _ in range(num_branches)] for _ in prompts]
    for number in range(20):
        parents = [drawn(num_branches, num_branches) for _ in prompts]
        rows.branch([parent for of_row in parents for parent in of_row])
        written = [
            [list(of_row[parent]) for parent in chosen]
            for of_row, chosen in zip(written, parents, strict=True)
        ]
        counts = [2 if number == 9 else 1] * num_branches
        if number == 7:
            counts = [1, 3, 2]
        chunks = []
        for of_row, prompt in zip(written, prompts, strict=True):
            for tokens, count in zip(of_row, counts, strict=True):
                new = [10 + token for token in drawn(VOCABULARY - 10, count)]
                chunks.append(chunk(new, prompt, len(tokens) + 2))
                tokens += new
        logits = rows.feed(chunks)
    alone = []
    for of_row, prompt in zip(written, prompts, strict=True):
        for tokens in of_row:
            own = new_rows()[0]
            own.feed_prompts([prompt], start_id, "bi")
            alone.append(own.feed([chunk(tokens, prompt, 2)])[0])
    assert_close(logits, torch.stack(alone), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_columns_that_no_branch_sees_are_dropped():
    rows = Rows(GLM)
    rows.feed_prompts(PROMPTS, SOP, "bi")
    longest = max(len(prompt.token_ids) for prompt in PROMPTS) + 1
    for length in range(1, 60):
        rows.branch([0] * 4 * len(PROMPTS))  # the others have died out
        rows.step([12] * 4 * len(PROMPTS), [[0] * 12, [length + 1] * 12])
        assert rows.num_columns <= 2 * (longest + length - 1) + 4
