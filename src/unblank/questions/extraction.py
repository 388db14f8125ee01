"""The inputs that questions are asked with; if wanted, answers must stand in their passage.

An answer is then a run of the tokens of its window, encoded as an answer is, that begins with a
token which by itself stands in the passage, and ends where a character does.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from unblank.generation.decoding import TokenRules
from unblank.generation.rows import Prompt
from unblank.questions.asked import AskedQuestion
from unblank.questions.asking import QuestionEncoder
from unblank.questions.spans import find_in_context
from unblank.rules.spans import SpanConstraint

__all__ = ["window_prompts"]


def window_prompts(
    asked: Sequence[AskedQuestion], encoder: QuestionEncoder, within: TokenRules | None
) -> list[Prompt]:
    """Return the input of every window of every question, in order.

    Args:
        asked: questions with their windows, laid out by `encoder`.
        encoder: of the model.
        within: what the model may write at all, if its answers must be parts of their windows;
            None if they are free.

    Raises:
        ValueError: no part of a window is an answer of the right length; names the question.
    """
    allowed = set() if within is None else set(within.allowed_ids)
    prompts = []
    for one in asked:
        for window in one.windows:
            prompt = encoder.prompt(window.token_ids)
            if within is not None:
                text = one.question.context[window.start : window.end]
                constraint = _span_constraint(text, encoder, within, allowed)
                if constraint.fewest > within.max_tokens:
                    raise ValueError(
                        f"{one.question.place}: no part of the passage is an answer of "
                        f"{within.min_tokens} to {within.max_tokens} tokens: change max_tokens or "
                        "min_tokens, or leave extract out"
                    )
                prompt = replace(prompt, constraints=(constraint,))
            prompts.append(prompt)
    return prompts


def _span_constraint(
    text: str, encoder: QuestionEncoder, within: TokenRules, allowed: Collection[int]
) -> SpanConstraint:
    token_ids, offsets = encoder.answer_offsets(text)
    ends = [end for _, end in offsets]
    starts = [start for start, _ in offsets[1:]] + ends[-1:]
    tokenizer = encoder.tokenizer
    return SpanConstraint(
        [token_id if token_id in allowed else None for token_id in token_ids],
        start_ids={one for one in set(token_ids) if find_in_context(tokenizer.decode([one]), text)},
        may_end=[end <= start for end, start in zip(ends, starts, strict=True)],
        vocab_size=within.vocab_size,
        end_ids=within.end_ids,
        min_tokens=within.min_tokens,
    )
