"""Greedy decoding and sampling: rows that do not compete, each at its own blank.

A row that ends a blank opens its next one in the following step, so every step feeds exactly one
token to every row and nothing is ever padded. A piece that is cut still feeds its last token, so
that later blanks see all of it.

Shapes: `R` rows, `V` vocabulary, `K` ranked tokens.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unblank.generation.decoding import draw
from unblank.generation.pieces import Filling, Piece
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup

__all__ = ["IndependentDecoder"]


@dataclass(frozen=True, slots=True)
class RowEvent:
    """One chosen token: of which prompt, alternative and blank (in filling order)."""

    prompt: int
    sample: int
    blank: int
    token_id: int
    log_probability: float


class IndependentDecoder:
    """Fills the blanks of a batch of prompts, `num_return` times each.

    Args:
        setup: how to decode.
        prompts: the batch.
    """

    def __init__(self, setup: DecoderSetup, prompts: Sequence[Prompt]) -> None:
        self._setup = setup
        self._options = setup.options
        self._rules = setup.rules
        self._prompts = prompts
        self._states = [
            _RowState(index, sample, prompt, setup)
            for index, prompt in enumerate(prompts)
            for sample in range(setup.options.num_return)
        ]

    def fillings(self) -> list[list[Filling]]:
        """Return what was decoded so far: a list of `num_return` fillings for each prompt."""
        step = self._options.num_return
        all_fillings = [state.filling for state in self._states]
        return [all_fillings[i : i + step] for i in range(0, len(all_fillings), step)]

    def run(self) -> Iterator[RowEvent]:
        """Decode to the end, yielding every token as it is chosen."""
        setup = self._setup
        rows = setup.new_rows(setup.model)
        logits_RV = rows.feed_prompts(self._prompts, setup.start_id, self._options.context)
        states = self._states
        if self._options.num_return > 1:
            of_prompt = [state.prompt_index for state in states]
            rows, logits_RV = rows.select(of_prompt), logits_RV[of_prompt]
        while True:
            yield from self._choose(logits_RV, states)
            live = [row for row, state in enumerate(states) if not state.is_done]
            if not live:
                return
            if len(live) <= len(states) // 2:
                rows, states = rows.select(live), [states[row] for row in live]
            inputs = [state.next_input() for state in states]
            token_ids, positions, span_positions = zip(*inputs, strict=True)
            logits_RV = rows.step(token_ids, (positions, span_positions))

    def _choose(self, logits_RV: Tensor, states: Sequence["_RowState"]) -> list[RowEvent]:
        pieces = [state.piece.token_ids for state in states]
        log_p_RV = self._rules.log_probabilities(logits_RV, pieces)
        num_ranked = min(max(self._options.num_alternatives, 1), self._rules.num_allowed)
        ranked = log_p_RV.topk(num_ranked)
        values_RK, ids_RK = ranked.values.tolist(), ranked.indices.tolist()
        if self._options.do_sample:
            tokens, chosen = self._draw(log_p_RV, states)
        else:
            tokens, chosen = [ids[0] for ids in ids_RK], [values[0] for values in values_RK]
        events = []
        for row, state in enumerate(states):
            if state.expects_token:
                alternatives = list(zip(ids_RK[row], values_RK[row], strict=True))
                events.append(state.event(tokens[row], chosen[row]))
                state.accept(
                    tokens[row], chosen[row], alternatives[: self._options.num_alternatives]
                )
        return events

    def _draw(
        self, log_p_RV: Tensor, states: Sequence["_RowState"]
    ) -> tuple[list[int], list[float]]:
        options = self._options
        tokens = draw(
            log_p_RV,
            [state.next_uniform() for state in states],
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )
        index_R1 = torch.tensor(tokens, device=log_p_RV.device)[:, None]
        return tokens, log_p_RV.gather(1, index_R1)[:, 0].tolist()


class _RowState:
    """Where one row is: its blank, and the inputs it must be fed before it chooses again."""

    def __init__(self, prompt_index: int, sample: int, prompt: Prompt, setup: DecoderSetup) -> None:
        self.prompt_index = prompt_index
        self.filling = Filling([Piece()])
        self.is_done = False
        self._sample = sample
        self._blanks = prompt.blanks
        self._rules = setup.rules
        self._max_tokens = prompt.max_tokens or setup.rules.max_tokens
        self._start_id = setup.start_id
        self._feeds_cut_token = setup.feeds_cut_token
        # A row's random numbers depend on nothing but its own text, so not on its batch.
        self._rng = np.random.default_rng((setup.options.seed, sample, *prompt.token_ids))
        self._inputs: deque[tuple[int, int, int]] = deque()

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

    def event(self, token_id: int, log_probability: float) -> RowEvent:
        return RowEvent(self.prompt_index, self._sample, self.blank, token_id, log_probability)

    def accept(
        self, token_id: int, log_probability: float, alternatives: list[tuple[int, float]]
    ) -> None:
        piece = self.piece
        if token_id in self._rules.end_ids:
            piece.end_log_probability = log_probability
        else:
            piece.token_ids.append(token_id)
            piece.log_probabilities.append(log_probability)
            piece.alternatives.append(alternatives)
            self._inputs.append((token_id, self._blanks[self.blank], len(piece.token_ids) + 1))
        is_cut = not piece.is_finished and len(piece.token_ids) == self._max_tokens
        if is_cut and not self._feeds_cut_token:
            self._inputs.clear()
        if piece.is_finished or is_cut:
            self.is_done = self.blank + 1 == len(self._blanks)
            if not self.is_done:
                self.filling.pieces.append(Piece())
                self._inputs.append((self._start_id, self._blanks[self.blank], 1))

    def next_input(self) -> tuple[int, int, int]:
        """Return the token to feed, its position and its position in the span.

        A row that is done but still in the batch is fed its opening again: nobody reads its output.
        """
        return self._inputs.popleft() if self._inputs else (self._start_id, self._blanks[0], 1)
