"""A tokenizer that was given a frame, and is freed from it, is what it was."""

import pytest
from tiny_models import trained_tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from unblank.tokenization.framing import Frame, framed, unframe


def in_a_frame(tokenizer):
    frame, end = Frame(texts=("{text}",)), [tokenizer.sep_token_id]
    return framed(tokenizer, frame, start=(), between=end, end=end, is_plain=False)


@pytest.mark.parametrize("processor", [None, TemplateProcessing(single="$A", pair="$A $B")])
def test_without_its_frame_a_saved_tokenizer_is_the_one_before(processor, tmp_path):
    tokenizer = trained_tokenizer("wordpiece")
    tokenizer.backend_tokenizer.post_processor = processor
    before = tokenizer.backend_tokenizer.to_str()
    in_a_frame(tokenizer).save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert opened("a").input_ids != tokenizer("a").input_ids
    unframe(opened)
    assert opened.backend_tokenizer.to_str() == before


def test_a_damaged_record_of_what_was_before_is_named():
    opened = in_a_frame(trained_tokenizer("wordpiece"))
    opened.init_kwargs["text_frame_replaces"] = {"type": "Nothing"}
    with pytest.raises(ValueError, match="text_frame_replaces"):
        unframe(opened)
