"""Greedy decoding and sampling: rows that do not compete, each at its own blank.

A row that ends a blank opens its next one in the following step, so every step feeds exactly one
token to every row and nothing is ever padded. A piece that is cut still feeds its last token, so
that later blanks see all of it. Jobs may come and go between two steps.

Shapes: `R` rows, `V` vocabulary, `K` ranked tokens.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unblank.generation.decoding import draw
from unblank.generation.pieces import Filling, Piece
from unblank.generation.rows import Prompt, Rows
from unblank.generation.setup import DecoderSetup

__all__ = ["DecodingJob", "IndependentDecoder", "RowEvent"]


@dataclass(slots=True, eq=False)
class DecodingJob:
    """A prompt that is decoded, `num_return` times.

    Attributes:
        setup: how to decode it.
        prompt: the prompt.
        begun: of each row, what fills the first blanks already; none for a job from its beginning.
        fillings: what was decoded so far, one for each of the `num_return` rows.
        is_done: whether all of it is decoded; who sets it gives up the rest.
        ends_early: whether a piece that has come so far ends there, cut; None for never.
        num_open: fillings with blanks that are still to be filled.
    """

    setup: DecoderSetup
    prompt: Prompt
    begun: Sequence[Filling] = ()
    fillings: list[Filling] = field(init=False)
    is_done: bool = False
    ends_early: Callable[[Piece], bool] | None = None
    num_open: int = field(init=False)

    def __post_init__(self) -> None:
        begun = self.begun or [Filling()] * self.setup.options.num_return
        self.fillings = [Filling([*one.pieces, Piece()]) for one in begun]
        self.num_open = len(self.fillings)

    def ranked(self) -> list[Filling]:
        """Return the fillings, best first."""
        return sorted(self.fillings, key=lambda filling: -filling.log_probability)


@dataclass(frozen=True, slots=True)
class RowEvent:
    """One chosen token: of which job, alternative and blank (in filling order)."""

    job: DecodingJob
    sample: int
    blank: int
    token_id: int
    log_probability: float


class IndependentDecoder:
    """Fills the blanks of prompts, of any options and lengths together, one token a step each.

    All jobs are of one model. What a job gets does not depend on the others.
    """

    def __init__(self) -> None:
        self._states: list[_RowState] = []
        self._rows: Rows | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing left to decode."""
        return all(state.is_done for state in self._states)

    def run(self, jobs: Sequence[DecodingJob]) -> Iterator[RowEvent]:
        """Decode jobs to their ends, yielding every token as it is chosen."""
        yield from self.add(jobs)
        yield from self._steps()

    def run_from(self, jobs: Sequence[DecodingJob], rows: Rows, logits_RV: Tensor) -> None:
        """Decode jobs to their ends, from rows that have opened the blanks that come next.

        Args:
            jobs: what each has begun is stored in the rows.
            rows: one for each answer of a job; not to be used any more.
            logits_RV: of the first token of each.
        """
        self._rows, self._states = rows, _states_of(jobs)
        _choose(logits_RV, self._states)
        for _ in self._steps():
            pass

    def _steps(self) -> Iterator[RowEvent]:
        while not self.is_idle:
            yield from self.step()

    def add(self, jobs: Sequence[DecodingJob]) -> list[RowEvent]:
        """Encode the prompts of new jobs, choose the first token of each, and keep them."""
        self._drop_done()
        together: dict[Hashable, list[DecodingJob]] = defaultdict(list)
        for job in jobs:
            setup = job.setup
            together[setup.new_rows, setup.start_id, setup.options.context].append(job)
        return [event for group in together.values() for event in self._add(group)]

    def step(self) -> list[RowEvent]:
        """Decode one more token of every row that is not done."""
        self._drop_done()
        if self._rows is None:
            return []
        inputs = [state.next_input() for state in self._states]
        token_ids, positions, span_positions = zip(*inputs, strict=True)
        return _choose(self._rows.step(token_ids, (positions, span_positions)), self._states)

    def drop_if_idle(self) -> None:
        """Free the memory of the last rows, once they are done."""
        if self.is_idle:
            self._rows, self._states = None, []

    def _add(self, jobs: Sequence[DecodingJob]) -> list[RowEvent]:
        setup = jobs[0].setup
        rows = setup.new_rows(setup.model)
        prompts = [job.prompt for job in jobs]
        logits_RV = rows.feed_prompts(prompts, setup.start_id, setup.options.context)
        states = _states_of(jobs)
        if len(states) > len(jobs):
            of_job = [index for index, job in enumerate(jobs) for _ in job.fillings]
            rows, logits_RV = rows.select(of_job), logits_RV[of_job]
        if self._rows is None:
            self._rows = rows
        else:
            self._rows.join(rows)
        self._states += states
        return _choose(logits_RV, states)

    def _drop_done(self) -> None:
        """Give the places of rows that are done to others."""
        done = {row for row, state in enumerate(self._states) if state.is_done}
        if len(done) == len(self._states):
            self._rows, self._states = None, []
        elif done and self._rows is not None:
            self._states = [self._states[row] for row in self._rows.drop(done)]


def _states_of(jobs: Sequence[DecodingJob]) -> list["_RowState"]:
    return [_RowState(job, sample) for job in jobs for sample in range(len(job.fillings))]


def _choose(logits_RV: Tensor, states: Sequence["_RowState"]) -> list[RowEvent]:
    """Choose a token for every row; rows that are chosen in the same way together."""
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for row, state in enumerate(states):
        alike[state.way].append(row)
    if len(alike) == 1:
        return _choose_alike(logits_RV, states)
    return [
        event
        for rows in alike.values()
        for event in _choose_alike(logits_RV[rows], [states[row] for row in rows])
    ]


def _choose_alike(logits_RV: Tensor, states: Sequence["_RowState"]) -> list[RowEvent]:
    rules, options = states[0].job.setup.rules, states[0].job.setup.options
    log_p_RV = rules.log_probabilities(logits_RV, [state.piece.token_ids for state in states])
    for log_p_V, state in zip(log_p_RV, states, strict=True):
        if state.progress is not None and state.expects_token:
            state.progress.mask(log_p_V)
    ranked = log_p_RV.topk(min(max(options.num_alternatives, 1), rules.num_allowed))
    values_RK, ids_RK = ranked.values.tolist(), ranked.indices.tolist()
    if options.do_sample:
        tokens = draw(
            log_p_RV,
            [state.next_uniform() for state in states],
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )
        index_R1 = torch.tensor(tokens, device=log_p_RV.device)[:, None]
        chosen = log_p_RV.gather(1, index_R1)[:, 0].tolist()
    else:
        tokens, chosen = [ids[0] for ids in ids_RK], [values[0] for values in values_RK]
    events = []
    for row, state in enumerate(states):
        if state.expects_token:
            alternatives = list(zip(ids_RK[row], values_RK[row], strict=True))
            event = RowEvent(state.job, state.sample, state.blank, tokens[row], chosen[row])
            events.append(event)
            state.accept(event, alternatives[: options.num_alternatives])
    return events


class _RowState:
    """Where one row is: its blank, and the inputs it must be fed before it chooses again."""

    def __init__(self, job: DecodingJob, sample: int) -> None:
        setup, options = job.setup, job.setup.options
        self.job = job
        self.sample = sample
        self.filling = job.fillings[sample]
        # Rows of the same way can share the work of choosing.
        drawing = (options.do_sample, options.temperature, options.top_k, options.top_p)
        self.way = (id(setup.rules), options.num_alternatives, *drawing)
        self._is_filled = False
        self._blanks = job.prompt.blanks
        self._rules = setup.rules
        self._max_tokens = job.prompt.max_tokens or setup.rules.max_tokens
        self._start_id = setup.start_id
        self._feeds_cut_token = setup.feeds_cut_token
        self.progress = job.prompt.begin(self.blank, self._max_tokens)
        # A row's random numbers depend on nothing but its own text, so not on its batch.
        self._rng = np.random.default_rng((options.seed, sample, *job.prompt.token_ids))
        self._rng.random(sum(len(one.token_ids) + one.is_finished for one in self.filling.pieces))
        self._inputs: deque[tuple[int, int, int]] = deque()

    @property
    def is_done(self) -> bool:
        return self._is_filled or self.job.is_done

    @property
    def piece(self) -> Piece:
        return self.filling.pieces[-1]

    @property
    def blank(self) -> int:
        return len(self.filling.pieces) - 1

    @property
    def expects_token(self) -> bool:
        return not self.is_done and not self._inputs

    def next_uniform(self) -> float:
        return float(self._rng.random()) if self.expects_token else 0.0

    def accept(self, event: RowEvent, alternatives: list[tuple[int, float]]) -> None:
        piece, token_id = self.piece, event.token_id
        if token_id in self._rules.end_ids:
            piece.end_log_probability = event.log_probability
        else:
            piece.token_ids.append(token_id)
            piece.log_probabilities.append(event.log_probability)
            piece.alternatives.append(alternatives)
            self._inputs.append((token_id, self._blanks[self.blank], len(piece.token_ids) + 1))
            if self.progress is not None:
                self.progress = self.progress.after(token_id)
        is_cut = not piece.is_finished and self._is_long_enough(piece)
        if is_cut and not self._feeds_cut_token:
            self._inputs.clear()
        if piece.is_finished or is_cut:
            self._open_next_blank()

    def _is_long_enough(self, piece: Piece) -> bool:
        ends_early = self.job.ends_early
        is_longest = len(piece.token_ids) == self._max_tokens
        return is_longest or (ends_early is not None and ends_early(piece))

    def _open_next_blank(self) -> None:
        self._is_filled = self.blank + 1 == len(self._blanks)
        if self._is_filled:
            self.job.num_open -= 1
            self.job.is_done = self.job.num_open == 0
        else:
            self.filling.pieces.append(Piece())
            self.progress = self.job.prompt.begin(self.blank, self._max_tokens)
            self._inputs.append((self._start_id, self._blanks[self.blank], 1))

    def next_input(self) -> tuple[int, int, int]:
        """Return the token to feed, its position and its position in the span."""
        return self._inputs.popleft()
