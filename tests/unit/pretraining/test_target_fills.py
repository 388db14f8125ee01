"""What is shown of a held-out example of an encoder-decoder."""

import numpy as np
from transformers import (
    AutoTokenizer,
)

from unblank.examples import Seq2SeqExample
from unblank.pretraining.fills import held_out_target
from unblank.tokenization.special import add_sentinels, encoder_decoder_ids


def test_the_shown_answer_is_what_fills_the_first_blank_of_the_shown_text(text_folder):
    tokenizer = AutoTokenizer.from_pretrained(text_folder / "tokenizer")
    add_sentinels(tokenizer, 4)
    special = encoder_decoder_ids(tokenizer)
    words = tokenizer("the value of an attribute is assigned", add_special_tokens=False).input_ids
    first, second = special.sentinels[:2]
    source = np.array([special.cls, *words[:2], first, *words[4:5], second, special.eos])
    target = [first, *words[2:4], second, *words[5:]]
    for start in ([], [special.sop]):
        inputs = np.array([*start, *target[: len(target) - 1]])
        labels = np.array(target if start else target[1:])
        example = Seq2SeqExample(source, inputs[: len(labels)], labels, "span_corruption")
        shown = held_out_target(example, tokenizer, special)
        before, between = tokenizer.decode(words[:2]), tokenizer.decode(words[4:5])
        assert shown.text == f"{before} [MASK] {between} ..."
        assert shown.answer == tokenizer.decode(words[2:4])
        assert shown.start_ids == (*start, first)
