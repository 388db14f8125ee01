"""The surest blank first, each text encoded once, beside whole prompts decoded again and again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from served_toys import toy_glm

from unblank.generation.decode import decode_in_batches
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.generation.orders import SurestFirst
from unblank.rules.rule import read_rules

WORDS = ("the", "old", "cat", "sat", "on", "dog")
BLANKS = ("[MASK]", "[sMASK]", "[gMASK]")

TEXTS = st.lists(
    st.lists(st.sampled_from(WORDS + BLANKS), min_size=1, max_size=7).filter(
        lambda words: 0 < sum(word in BLANKS for word in words) < 5
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def glm():
    return toy_glm()


def whole_prompts(filler, blanked):
    """Return the order that decoding every trial from its first token on finds."""
    search = SurestFirst(blanked)
    while trials := search.trials():
        found = dict(pair for batch in decode_in_batches(filler.setup, trials, 3) for pair in batch)
        search.choose([found[number] for number in range(len(trials))])
    ordered = blanked.ordered(search.order)
    (((_, fillings),),) = decode_in_batches(filler.setup, [ordered.prompt], 1)
    return search.order, fillings


SEARCHES = [
    {},
    {"num_beams": 3},
    {"num_beams": 4, "num_return": 3, "length_penalty": 1.0},
    {"do_sample": True, "seed": 5},
    {"do_sample": True, "num_return": 3, "top_p": 0.9},
]


@given(
    TEXTS,
    st.sampled_from(SEARCHES),
    st.integers(1, 5),
    st.sampled_from([1, 2, 16]),
    st.sampled_from(["bi", "uni"]),
    st.sampled_from(["evaluation", "interactive"]),
    st.booleans(),
)
def test_rounds_find_what_whole_prompts_find(
    glm, texts, search, max_tokens, batch_size, context, decoder, has_rules
):
    options = DecodingOptions(max_tokens=max_tokens, context=context, decoder=decoder, **search)
    filler = Filler(glm.model, glm.tokenizer, options)
    texts = [" ".join(words) for words in texts]
    rules = read_rules("tokens=..3") if has_rules else []
    found = filler.fill(texts, order="confidence", rules=rules, batch_size=batch_size)
    for text, result in zip(texts, found, strict=True):
        order, fillings = whole_prompts(filler, filler.read(text, None, rules))
        for one, filling in zip((result, *result.alternatives), fillings, strict=True):
            for blank, piece in zip(order, filling.pieces, strict=True):
                assert list(one.blanks[blank].token_ids) == piece.token_ids
                log_p = one.blanks[blank].log_probability
                assert log_p == pytest.approx(piece.log_probability, abs=1e-4)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_text_is_encoded_once_however_many_blanks_it_has(glm, monkeypatch, search):
    """Every round adds the tokens of one fill, and what is tried."""
    widths, forward = [], glm.model.forward

    def counted(*positional, **named):
        widths.append(named["input_ids"].shape[1])
        return forward(*positional, **named)

    monkeypatch.setattr(glm.model, "forward", counted)
    text = "the old cat [MASK] on the dog [MASK] the cat sat [MASK]" + " the old dog" * 5
    glm.fill(text, order="confidence", max_tokens=3, **search)
    length = len(glm.tokenizer(text)["input_ids"])
    assert widths.count(max(widths)) == 1
    # Beams, or answers drawn at random, stand side by side.
    assert max(widths) >= length > 3 * 4 >= sorted(widths)[-2]
    assert torch.is_inference_mode_enabled() is False
