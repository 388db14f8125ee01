"""transformers' `generate` on the model: equal to `fill` for one blank, whatever the padding."""

import pytest
import torch
from transformers import StaticCache

from unblank.generation.prompts import read_text
from unblank.tokenization import special_ids

TEXTS = ["the old [MASK] sat on a mat", "some [MASK]", "a warm [sMASK] and saw one small dog run."]


def prompt_ids(unblank, text):
    special = special_ids(unblank.tokenizer)
    prompt = read_text(unblank.tokenizer, special, text, max_positions=64).prompt
    return [*prompt.token_ids, special.sop]


def padded(rows, pad):
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def generated(unblank, texts, **options):
    """Return the tokens of each answer, up to its end."""
    special = special_ids(unblank.tokenizer)
    ids, mask = padded([prompt_ids(unblank, text) for text in texts], special.pad)
    control = [i for i, token in unblank.tokenizer.added_tokens_decoder.items() if token.special]
    forbidden = [[i] for i in control if i not in (special.eop, special.eos)]
    output = unblank.model.generate(
        ids, attention_mask=mask, max_new_tokens=8, bad_words_ids=forbidden, **options
    )
    answers = []
    for row in output[:, ids.shape[1] :].tolist():
        ends = [i for i, token in enumerate(row) if token in (special.eop, special.eos)]
        answers.append(row[: ends[0]] if ends else row)
    return answers


def test_greedy_generate_equals_fill(tiny):
    expected = [list(result.blanks[0].token_ids) for result in tiny.fill(TEXTS, max_tokens=8)]
    assert [generated(tiny, [text])[0] for text in TEXTS] == expected


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}])
def test_left_padding_and_the_cache_change_nothing(tiny, options):
    options = {"do_sample": False, **options}
    alone = [generated(tiny, [text], use_cache=True, **{k: v for k, v in options.items() if k !=
                       "use_cache"})[0] for text in TEXTS]  # fmt: skip
    assert generated(tiny, TEXTS, **options) == alone


def test_generate_by_beams_equals_fill(tiny):
    """Both rank by summed log-probability; generate's early end is matched by its length rule."""
    for text in TEXTS:
        filled = tiny.fill(text, max_tokens=8, num_beams=4)
        [answer] = generated(tiny, [text], num_beams=4, length_penalty=0.0, early_stopping=False)
        assert answer == list(filled.blanks[0].token_ids)


def test_generate_samples_text_only(tiny):
    torch.manual_seed(0)
    answers = generated(tiny, TEXTS * 10, do_sample=True, temperature=2.0)
    special = special_ids(tiny.tokenizer)
    tokens = {token for answer in answers for token in answer}
    assert max(tokens) < len(tiny.tokenizer)
    assert not tokens & {*special.blanks, special.sop, special.cls}


def test_a_row_without_a_blank_is_refused(tiny):
    special = special_ids(tiny.tokenizer)
    with pytest.raises(ValueError, match=r"row \d+.*\[MASK\]"):
        tiny.model.generate(torch.tensor([[special.cls, 40, special.sop]]))


@pytest.mark.parametrize("how", ["name", "object"])
def test_a_static_cache_is_refused_in_words(tiny, how):
    cache = (
        {"cache_implementation": "static"}
        if how == "name"
        else {"past_key_values": StaticCache(config=tiny.model.config, max_cache_len=64)}
    )
    with pytest.raises(ValueError, match="static"):
        generated(tiny, TEXTS, disable_compile=True, **cache)
