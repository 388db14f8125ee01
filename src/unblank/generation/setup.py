"""What decoding works with, the same for one prompt as for a thousand."""

from dataclasses import dataclass
from typing import Any

from unblank.families.decoding import GLM_STOPPING, StoppingRule
from unblank.generation.decoding import TokenRules
from unblank.generation.options import DecodingOptions
from unblank.generation.rows import Rows, RowsMaker

__all__ = ["DecoderSetup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSetup:
    """A model and the rules by which it writes.

    Attributes:
        model: in evaluation mode.
        options: decoding options.
        rules: what may be written.
        start_id: the token that opens a span, or an answer.
        stopping: which finished hypotheses of a beam search count.
        new_rows: makes the rows; `SourceRows` for an encoder-decoder.
        feeds_cut_token: False hides the last token of a cut piece from later blanks, as the
            original's interactive generator does.
    """

    model: Any
    options: DecodingOptions
    rules: TokenRules
    start_id: int
    stopping: StoppingRule = GLM_STOPPING
    new_rows: RowsMaker = Rows
    feeds_cut_token: bool = True
