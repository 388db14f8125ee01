"""What settings of several commands choose from, under the names that users write.

Light to import: what a choice means stands where it is acted on.
"""

from typing import Literal

__all__ = [
    "BlankToken",
    "Context",
    "DType",
    "Layout",
    "Normalization",
    "PromptMode",
    "WordMode",
]

BlankToken = Literal["[MASK]", "[sMASK]", "[gMASK]"]
Context = Literal["bi", "uni"]
"""What a token of a text attends to: both sides, or only what precedes it."""
DType = Literal["fp32", "bf16", "fp16"]
Layout = Literal["blank", "sentinel", "masked"]
"""How a cloze question is laid out: its answer in a blank that is filled from left to right, in one
marked by a sentinel, or in one `[MASK]` per token, all seen from both sides."""
Normalization = Literal["sum", "mean", "pmi", "contextual"]
"""How candidates are compared: by the sum of the log-probabilities of their tokens, by their mean,
or by the sum without a prior."""
PromptMode = Literal["english", "translated", "universal"]
"""In which words something is asked: English ones, those of its language, or none."""
WordMode = Literal["english", "own", "all"]
"""Which words name a label: English ones, those of its language, or those of all languages."""
