"""The surest blank first: each text is encoded once.

All open blanks of the texts are filled side by side, each in a row of its own behind the same text
and the blanks filled so far. The surest fill is kept, and the others are filled again behind it, so
the last round is the result. The beams that go on, and the answers drawn at random, are branches of
their text.

Shapes: `R` rows, `V` vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unblank.generation.beam import BeamDecoder, filled_up
from unblank.generation.independent import DecodingJob, IndependentDecoder
from unblank.generation.pieces import Filling
from unblank.generation.rows import Chunk, Prompt, Rows
from unblank.generation.setup import DecoderSetup

__all__ = ["fill_surest_first"]


@dataclass(frozen=True, slots=True)
class _Found:
    """What fills some blanks of a text.

    Attributes:
        fillings: one for each branch.
        parents: which branch each of them goes on from.
        ranked: the same, best first.
    """

    fillings: Sequence[Filling]
    parents: Sequence[int]
    ranked: list[Filling]


@dataclass(slots=True, eq=False)
class _SurestFilling:
    """How a text is filled.

    Attributes:
        prompt: the text, its blanks from left to right.
        found: what fills those that are filled.
        order: their numbers, the surest first.
    """

    prompt: Prompt
    found: _Found
    order: tuple[int, ...] = ()

    @property
    def open_blanks(self) -> list[int]:
        """The numbers of the others, from left to right."""
        return [blank for blank in range(len(self.prompt.blanks)) if blank not in self.order]

    def keep_surest(self, tried: Mapping[int, _Found]) -> None:
        """Fill one more blank, the leftmost of equally sure ones.

        Args:
            tried: number of a blank -> what fills it now; all open ones from left to right.
        """
        blank = max(tried, key=lambda number: tried[number].ranked[0].pieces[-1].log_probability)
        self.order += (blank,)
        self.found = tried[blank]


def fill_surest_first(
    setup: DecoderSetup, prompts: Sequence[Prompt], most_tried: int
) -> list[tuple[tuple[int, ...], list[Filling]]]:
    """Return for each prompt the order of its blanks, the surest first, and what fills them in it.

    The fillings are those that decoding in this order finds, best first.

    Args:
        setup: how to decode.
        prompts: a batch, each with its blanks from left to right.
        most_tried: blanks that are filled side by side.
    """
    rows = setup.new_rows(setup.model)
    rows.feed_texts(prompts, setup.options.context)
    # Beams part in a blank, answers drawn at random are apart from the first token on.
    num_branches = 1 if setup.options.num_beams > 1 else setup.options.num_return
    if num_branches > 1:
        rows.branch([0] * num_branches * len(prompts))
    nothing = [Filling()] * num_branches
    texts = [_SurestFilling(prompt, _Found(nothing, (), nothing)) for prompt in prompts]
    live = texts
    while live:
        trials = [(row, blank) for row, one in enumerate(live) for blank in one.open_blanks]
        tried: list[dict[int, _Found]] = [{} for _ in live]
        for start in range(0, len(trials), most_tried):
            some = trials[start : start + most_tried]
            for (row, blank), found in zip(some, _tried(setup, rows, live, some), strict=True):
                tried[row][blank] = found
        for one, of_text in zip(live, tried, strict=True):
            one.keep_surest(of_text)
        going_on = [row for row, one in enumerate(live) if one.open_blanks]
        if going_on and len(going_on) < len(live):
            rows = rows.select(going_on)
        live = [live[row] for row in going_on]
        if live:
            _go_on(setup, rows, live)
    return [(one.order, one.found.ranked) for one in texts]


def _tried(
    setup: DecoderSetup,
    texts: Rows,
    live: Sequence[_SurestFilling],
    trials: Sequence[tuple[int, int]],
) -> list[_Found]:
    """Return what fills some blanks, (row of the text, number of the blank), each by itself."""
    prompts = [live[row].prompt.with_blanks((*live[row].order, blank)) for row, blank in trials]
    rows = texts.select([row for row, _ in trials])
    starts = [Chunk((setup.start_id,), one.blanks[-1:], (1,)) for one in prompts]
    logits_RV = rows.feed([start for start in starts for _ in range(rows.num_branches)])
    begun = [list(live[row].found.fillings) for row, _ in trials]
    if setup.options.num_beams > 1:
        decoder = BeamDecoder(setup, prompts)
        parents = decoder.fill_next(begun, rows, logits_RV)
        return [
            _Found(found, goes_on_from, found)
            for found, goes_on_from in zip(decoder.fillings, parents, strict=True)
        ]
    jobs = [DecodingJob(setup, *asked) for asked in zip(prompts, begun, strict=True)]
    IndependentDecoder().run_from(jobs, rows.apart(), logits_RV)
    return [_Found(job.fillings, range(len(job.fillings)), job.ranked()) for job in jobs]


def _go_on(setup: DecoderSetup, rows: Rows, live: Sequence[_SurestFilling]) -> None:
    """Give each filling of a text a branch that holds what fills its last blank."""
    most = max(len(one.found.fillings) for one in live)
    if most > 1 or rows.num_branches > 1:
        rows.branch([parent for one in live for parent in filled_up(one.found.parents, most)])
    rows.feed(
        [
            _bridge(setup, one, filling)
            for one in live
            for filling in filled_up(one.found.fillings, most)
        ]
    )


def _bridge(setup: DecoderSetup, one: _SurestFilling, filling: Filling) -> Chunk:
    """Return the columns that the last fill of a text adds to what later blanks see."""
    piece, position = filling.pieces[-1], one.prompt.blanks[one.order[-1]]
    is_whole = piece.is_finished or setup.feeds_cut_token
    tokens = (setup.start_id, *(piece.token_ids if is_whole else piece.token_ids[:-1]))
    return Chunk(tokens, [position] * len(tokens), range(1, len(tokens) + 1))
