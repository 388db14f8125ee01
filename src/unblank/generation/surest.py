"""The surest blank first, of texts that are decoded greedily: each text is encoded once.

All open blanks of the texts are filled side by side, each in a row of its own behind the same text
and the blanks filled so far. The surest fill is kept, and the others are filled again behind it, so
the last round is the result. A beam search or a draw at random is not the sum of such rounds: for
them `orders` decodes whole prompts.

Shapes: `R` rows, `V` vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unblank.generation.independent import DecodingJob, IndependentDecoder
from unblank.generation.pieces import Filling, Piece
from unblank.generation.rows import Chunk, Prompt, Rows
from unblank.generation.setup import DecoderSetup

__all__ = ["fill_surest_first"]


@dataclass(slots=True, eq=False)
class _SurestFilling:
    """How a text is filled.

    Attributes:
        prompt: the text, its blanks from left to right.
        order: the numbers of the blanks that are filled, the surest first.
        filling: their pieces, in this order.
    """

    prompt: Prompt
    order: tuple[int, ...] = ()
    filling: Filling = field(default_factory=Filling)

    @property
    def open_blanks(self) -> list[int]:
        """The numbers of the others, from left to right."""
        return [blank for blank in range(len(self.prompt.blanks)) if blank not in self.order]

    def keep_surest(self, pieces: Mapping[int, Piece]) -> None:
        """Fill one more blank, the leftmost of equally sure ones.

        Args:
            pieces: number of a blank -> what fills it now; all open ones from left to right.
        """
        blank = max(pieces, key=lambda number: pieces[number].log_probability)
        self.order += (blank,)
        self.filling.pieces.append(pieces[blank])


def fill_surest_first(
    setup: DecoderSetup, prompts: Sequence[Prompt], most_rows: int
) -> list[tuple[tuple[int, ...], Filling]]:
    """Return for each prompt the order of its blanks, the surest first, and what fills them in it.

    Every blank is filled greedily.

    Args:
        setup: of one greedy answer.
        prompts: a batch, each with its blanks from left to right.
        most_rows: blanks that are filled side by side.
    """
    found = [_SurestFilling(prompt) for prompt in prompts]
    rows = setup.new_rows(setup.model)
    rows.feed_texts(prompts, setup.options.context)
    live = found
    while live:
        trials = [(row, blank) for row, one in enumerate(live) for blank in one.open_blanks]
        pieces: list[dict[int, Piece]] = [{} for _ in live]
        for start in range(0, len(trials), most_rows):
            some = trials[start : start + most_rows]
            for (row, blank), piece in zip(some, _tried(setup, rows, live, some), strict=True):
                pieces[row][blank] = piece
        for one, tried in zip(live, pieces, strict=True):
            one.keep_surest(tried)
        going_on = [row for row, one in enumerate(live) if one.open_blanks]
        if going_on and len(going_on) < len(live):
            rows = rows.select(going_on)
        live = [live[row] for row in going_on]
        if live:
            rows.feed([_bridge(setup, one) for one in live])
    return [(one.order, one.filling) for one in found]


def _tried(
    setup: DecoderSetup,
    texts: Rows,
    live: Sequence[_SurestFilling],
    trials: Sequence[tuple[int, int]],
) -> list[Piece]:
    """Return what fills some blanks, (row of the text, number of the blank), each by itself."""
    prompts = [live[row].prompt.with_blanks((blank,)) for row, blank in trials]
    rows = texts.select([row for row, _ in trials])
    logits_RV = rows.feed([Chunk((setup.start_id,), one.blanks, (1,)) for one in prompts])
    jobs = [DecodingJob(setup, prompt) for prompt in prompts]
    IndependentDecoder().run_from(jobs, rows, logits_RV)
    return [job.fillings[0].pieces[0] for job in jobs]


def _bridge(setup: DecoderSetup, one: _SurestFilling) -> Chunk:
    """Return the columns that the last fill of a text adds to what later blanks see."""
    piece, position = one.filling.pieces[-1], one.prompt.blanks[one.order[-1]]
    is_whole = piece.is_finished or setup.feeds_cut_token
    tokens = (setup.start_id, *(piece.token_ids if is_whole else piece.token_ids[:-1]))
    return Chunk(tokens, [position] * len(tokens), range(1, len(tokens) + 1))
