"""transformers' `generate` on a GLM in several steps: drafts, caches, prompts without a start."""

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForSeq2SeqLM

from unblank.tokenization import special_ids

OPTIONS = {"do_sample": False, "max_new_tokens": 8}
TEXTS = ["the old [MASK] sat on a warm mat", "one small dog run to [MASK] house . the old cat sat"]


@pytest.fixture(params=TEXTS)
def prompt(tiny, request):
    """A text that repeats words, so that a draft can be looked up in it."""
    special = special_ids(tiny.tokenizer)
    [ids] = tiny.tokenizer([request.param], add_special_tokens=False)["input_ids"]
    ids = [special.cls, *ids, special.sop]
    blank = tiny.tokenizer.convert_tokens_to_ids("[MASK]")
    assert blank in ids
    return torch.tensor([ids])


@pytest.mark.parametrize("draft", ["itself", "another", "lookup"])
def test_drafting_tokens_changes_none(tiny, prompt, draft):
    torch.manual_seed(5)
    assistant = type(tiny.model)(tiny.model.config).eval() if draft == "another" else tiny.model
    how = {"prompt_lookup_num_tokens": 3} if draft == "lookup" else {"assistant_model": assistant}
    greedy = tiny.model.generate(prompt, **OPTIONS)
    assert torch.equal(tiny.model.generate(prompt, **OPTIONS, **how), greedy)


def test_continuing_from_a_cache_equals_one_call(tiny, prompt):
    how = {"return_dict_in_generate": True, "output_logits": True, "eos_token_id": -1}
    whole = tiny.model.generate(prompt, **OPTIONS, **how)
    begun = tiny.model.generate(prompt, **OPTIONS | {"max_new_tokens": 5}, **how)
    ended = tiny.model.generate(
        begun.sequences,
        past_key_values=begun.past_key_values,
        **OPTIONS | {"max_new_tokens": 3},
        **how,
    )
    assert torch.equal(ended.sequences, whole.sequences)
    for continued, expected in zip(ended.logits, whole.logits[5:], strict=True):
        assert_close(continued, expected, atol=1e-4, rtol=1e-4)


def test_continuing_without_a_cache_equals_one_call(tiny, prompt):
    whole = tiny.model.generate(prompt, **OPTIONS, eos_token_id=-1)
    begun = whole[:, : prompt.shape[1] + 4]
    ended = tiny.model.generate(begun, **OPTIONS | {"max_new_tokens": 4}, eos_token_id=-1)
    assert torch.equal(ended, whole)


def test_a_prompt_without_a_start_gets_one(tiny, prompt):
    assert torch.equal(
        tiny.model.generate(prompt[:, :-1], **OPTIONS), tiny.model.generate(prompt, **OPTIONS)
    )


def test_a_start_among_padding_is_none(tiny, prompt):
    padding = prompt[:, -1:].expand(-1, 2)
    padded = torch.cat([padding, prompt[:, :-1]], dim=1)
    mask = torch.ones_like(padded)
    mask[:, :2] = 0
    written = tiny.model.generate(padded, attention_mask=mask, **OPTIONS)
    expected = tiny.model.generate(prompt, **OPTIONS)
    assert torch.equal(written[:, padded.shape[1] + 1 :], expected[:, prompt.shape[1] :])


def test_a_start_in_some_rows_only_is_refused(tiny, prompt):
    other = prompt.clone()
    other[:, -1] = prompt[:, 1]
    with pytest.raises(ValueError, match="startofpiece"):
        tiny.model.generate(torch.cat([prompt, other]), **OPTIONS)


def test_embeddings_in_place_of_ids_write_the_same(tiny, prompt):
    embedded = tiny.model.get_input_embeddings()(prompt)
    written = tiny.model.generate(inputs_embeds=embedded, **OPTIONS)
    assert torch.equal(written, tiny.model.generate(prompt, **OPTIONS)[:, prompt.shape[1] :])


def test_part_a_in_pieces_is_refused(tiny, prompt):
    with pytest.raises(ValueError, match="prefill_chunk_size"):
        tiny.model.generate(prompt, **OPTIONS, prefill_chunk_size=3)


def test_a_string_stops_what_is_written(tiny, prompt):
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": -1}
    greedy = tiny.model.generate(prompt, **options)[0]
    first = prompt.shape[1]
    words = [tiny.tokenizer.decode(one).strip() for one in greedy[first:-1]]
    stop = next(word for word in words if word.isalpha() and word.isascii())
    how = {"stop_strings": [stop], "tokenizer": tiny.tokenizer}
    written = [tiny.tokenizer.decode(greedy[first : end + 1]) for end in range(first, len(greedy))]
    ends = first + next(n for n, text in enumerate(written) if stop in text)
    assert tiny.model.generate(prompt, **options, **how)[0].tolist() == greedy[: ends + 1].tolist()


def test_a_string_that_is_not_written_stops_nothing(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    source = tokenizer(["the old grey cat"], return_tensors="pt")["input_ids"]
    how = {"stop_strings": ["never written"], "tokenizer": tokenizer}
    assert torch.equal(model.generate(source, **OPTIONS, **how), model.generate(source, **OPTIONS))


def test_guidance_is_refused(tiny, prompt):
    with pytest.raises(ValueError, match="guidance_scale"):
        tiny.model.generate(prompt, **OPTIONS, guidance_scale=1.5)


def test_a_second_span_stands_at_the_second_blank(tiny, tmp_path):
    special = special_ids(tiny.tokenizer)
    blank = tiny.tokenizer.convert_tokens_to_ids("[MASK]")
    [words] = tiny.tokenizer(["the old cat sat on"], add_special_tokens=False)["input_ids"]
    ids = [special.cls, blank, *words, blank, special.sop, words[0], special.sop]
    places = [*range(len(words) + 3), 1, 1, len(words) + 2]
    inside = [0] * (len(words) + 3) + [1, 2, 1]
    given = torch.tensor([places, inside])[:, None]
    tiny.model.save_pretrained(tmp_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    found = model.generate(torch.tensor([ids]), **OPTIONS)
    assert torch.equal(found, model.generate(torch.tensor([ids]), position_ids=given, **OPTIONS))
