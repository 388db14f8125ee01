"""Beam search over the blanks of a batch of texts, one blank after another.

For each blank the 2 * beams best continuations are looked at; those that end the blank become
hypotheses ranked by (sum of log p, end included) / length ** length_penalty. What the length counts
and when a search stops is data, `StoppingRule`: that of either decoder of the original GLM, or that
of fairseq, with which DeltaLM and GanLM were published. The best `num_return` hypotheses, one by
default, go on to the next blank.

The beams of a text are branches of one row, so what they share is stored and read once.

Shapes: `N` texts, `W` beams, `R` = N * W beams of all texts, `V` vocabulary, `K` ranked tokens.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from unblank.families.decoding import StoppingRule
from unblank.generation.options import DecodingOptions
from unblank.generation.pieces import Filling, Piece
from unblank.generation.rows import Chunk, Prompt, Rows
from unblank.generation.setup import DecoderSetup
from unblank.rules.constraint import RuleProgress

__all__ = ["BeamDecoder", "filled_up"]

_Value = TypeVar("_Value")

CandidatePicker = Callable[[Tensor, Tensor, int], Tensor]
"""(log_p float[R, V], beam scores float[N, W], count) -> int64[N, count], beam * V + token."""


def pick_best(log_p_RV: Tensor, beam_scores_NW: Tensor, count: int) -> Tensor:
    """Return the flat indices of the `count` best continuations of every text."""
    num_texts, num_beams = beam_scores_NW.shape
    vocab_size = log_p_RV.shape[1]
    # The best of all beams are among the best of each beam; far less to sort.
    ranked = log_p_RV.topk(min(count, vocab_size))
    scores = ranked.values.view(num_texts, num_beams, -1) + beam_scores_NW[:, :, None]
    picks = scores.flatten(1).topk(min(count, scores[0].numel())).indices
    beams = torch.arange(num_beams, device=log_p_RV.device)[:, None] * vocab_size
    flat = ranked.indices.view(num_texts, num_beams, -1) + beams
    return flat.flatten(1).gather(1, picks)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A continuation: the beam it continues, the token, and the summed log-probability with it."""

    beam: int
    token_id: int
    log_probability: float
    score: float
    ranked: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class _Beam:
    """The tokens of the current blank, after the pieces of the root that they grew from."""

    root: int
    piece: Piece
    score: float
    progress: RuleProgress | None


class BeamDecoder:
    """Fills the blanks of a batch of prompts by beam search.

    Args:
        setup: how to decode.
        prompts: the batch.
        pick: chooses the continuations to look at.

    Attributes:
        fillings: of every prompt, the best so far, `num_return` or fewer, best first.
    """

    def __init__(
        self, setup: DecoderSetup, prompts: Sequence[Prompt], pick: CandidatePicker = pick_best
    ) -> None:
        self._setup = setup
        self._options = setup.options
        self._rules = setup.rules
        self._prompts = prompts
        self._pick = pick
        self.fillings: list[list[Filling]] = [[Filling()] for _ in prompts]

    def run(self) -> list[list[Filling]]:
        """Return the best fillings of every prompt, `num_return` or fewer, best first."""
        for _ in self.steps():
            pass
        return self.fillings

    def steps(self) -> Iterator[None]:
        """Search step by step, one token of every beam each; `fillings` holds what is found."""
        fillings, setup = self.fillings, self._setup
        rows = setup.new_rows(setup.model)
        logits_RV = rows.feed_prompts(self._prompts, setup.start_id, self._options.context)
        live = list(range(len(self._prompts)))
        for blank in range(max(len(prompt.blanks) for prompt in self._prompts)):
            searches = [self._new_search(text, blank, fillings[text]) for text in live]
            yield from self._search(searches, rows, logits_RV)
            for text, search in zip(live, searches, strict=True):
                fillings[text] = search.fillings()
            going_on = [
                row for row, text in enumerate(live) if len(self._prompts[text].blanks) > blank + 1
            ]
            if not going_on:
                return
            live = [live[row] for row in going_on]
            rows = rows.select(going_on)
            logits_RV = self._go_on(rows, live, [searches[row].roots_of_best() for row in going_on])

    def fill_next(
        self, begun: Sequence[list[Filling]], rows: Rows, logits_RV: Tensor
    ) -> list[list[int]]:
        """Fill the next blank of every prompt, from rows that have opened it.

        Args:
            begun: of every prompt, the ways to fill the blanks before it, best first.
            rows: one a prompt, with a branch for each of these ways, the last one repeated; left
                as they are.
            logits_RV: of the branches.

        Returns:
            For every prompt, which of these ways each of its `fillings` goes on from.
        """
        searches = [
            self._new_search(text, len(roots[0].pieces), roots) for text, roots in enumerate(begun)
        ]
        for _ in self._search(searches, rows, logits_RV):
            pass
        self.fillings = [search.fillings() for search in searches]
        return [search.roots_of_best() for search in searches]

    def _go_on(self, rows: Rows, live: Sequence[int], roots: Sequence[Sequence[int]]) -> Tensor:
        """Give each root of the next blank a branch, and open the blank in it; return the logits.

        Args:
            rows: one a text, with a branch for each root of the last blank.
            live: number of each text.
            roots: of each text, which of the last roots its new ones grew from.
        """
        most = max(map(len, roots))
        rows.branch([root for of_text in roots for root in filled_up(of_text, most)])
        bridges = [filled_up(self._bridges(text), most) for text in live]
        return rows.feed([bridge for of_text in bridges for bridge in of_text])

    def _new_search(self, text: int, blank: int, roots: list[Filling]) -> "_BlankSearch":
        prompt = self._prompts[text]
        max_tokens = prompt.max_tokens or self._rules.max_tokens
        return _BlankSearch(
            roots,
            prompt.blanks[blank],
            self._options,
            self._rules.end_ids,
            max_tokens,
            self._setup.stopping,
            prompt.begin(blank, max_tokens),
        )

    def _bridges(self, text: int) -> list[Chunk]:
        """Return the columns between two blanks: the chosen piece and the next `[sop]`."""
        bridges = []
        for filling in self.fillings[text]:
            piece = filling.pieces[-1]
            is_whole = piece.is_finished or self._setup.feeds_cut_token
            tokens = piece.token_ids if is_whole else piece.token_ids[:-1]
            blanks = self._prompts[text].blanks[len(filling.pieces) - 1 :]
            positions = (*[blanks[0]] * len(tokens), blanks[1])
            span_positions = (*range(2, len(tokens) + 2), 1)
            bridges.append(Chunk((*tokens, self._setup.start_id), positions, span_positions))
        return bridges

    def _search(
        self, searches: Sequence["_BlankSearch"], base: Rows, base_logits_RV: Tensor
    ) -> Iterator[None]:
        """Run the searches of one blank to their ends.

        Args:
            searches: of the texts.
            base: one row a text, with a branch for each root; left as it is.
            base_logits_RV: of the branches.
        """
        roots = [search.root_of_each_beam() for search in searches]
        first_branches = range(0, len(base_logits_RV), base.num_branches)
        rows = base.select(range(len(searches)))
        rows.branch([root for of_text in roots for root in of_text])
        logits_RV = base_logits_RV[
            [
                first + root
                for first, of_text in zip(first_branches, roots, strict=True)
                for root in of_text
            ]
        ]
        for length in itertools.count(1):
            self._advance(searches, logits_RV)
            done = [index for index, search in enumerate(searches) if search.is_done]
            if len(done) == len(searches):
                return
            if done:
                searches = [searches[row] for row in rows.drop(done)]
            inputs = [pair for search in searches for pair in search.inputs()]
            rows.branch([parent for parent, _ in inputs])
            positions = [
                search.position for search in searches for _ in range(self._options.num_beams)
            ]
            yield
            token_ids = [token_id for _, token_id in inputs]
            logits_RV = rows.step(token_ids, (positions, [length + 1] * len(positions)))

    def _advance(self, searches: Sequence["_BlankSearch"], logits_RV: Tensor) -> None:
        num_beams, vocab_size = self._options.num_beams, logits_RV.shape[1]
        pieces = [tokens for search in searches for tokens in search.tokens_of_each_beam()]
        must_end = [
            index * num_beams + beam
            for index, search in enumerate(searches)
            if search.must_end
            for beam in range(num_beams)
        ]
        log_p_RV = self._rules.log_probabilities(logits_RV, pieces, must_end)
        for index, search in enumerate(searches):
            search.mask(log_p_RV[index * num_beams : (index + 1) * num_beams])
        scores_NW = torch.tensor([search.scores() for search in searches]).to(log_p_RV)
        # Twice as many as beams, so that enough are left to continue if some of them end.
        picks = self._pick(log_p_RV, scores_NW, 2 * num_beams)
        picked_log_p = log_p_RV.view(len(searches), -1).gather(1, picks)
        picked_scores = picked_log_p + scores_NW.gather(1, picks // vocab_size)
        picked_scores, order = picked_scores.sort(dim=1, descending=True, stable=True)
        ranked = log_p_RV.topk(min(self._options.num_alternatives, self._rules.num_allowed))
        ranked_ids, ranked_log_p = ranked.indices.tolist(), ranked.values.tolist()
        for index, (search, flat, log_p, scores) in enumerate(
            zip(
                searches,
                picks.gather(1, order).tolist(),
                picked_log_p.gather(1, order).tolist(),
                picked_scores.tolist(),
                strict=True,
            )
        ):
            candidates = []
            for pick, log_probability, score in zip(flat, log_p, scores, strict=True):
                beam, token_id = divmod(pick, vocab_size)
                row = index * num_beams + beam
                pairs = list(zip(ranked_ids[row], ranked_log_p[row], strict=True))
                candidates.append(_Candidate(beam, token_id, log_probability, score, pairs))
            search.advance(candidates)


class _BlankSearch:
    """The search of one text for one blank."""

    def __init__(
        self,
        roots: Sequence[Filling],
        position: int,
        options: DecodingOptions,
        end_ids: frozenset[int],
        max_tokens: int,
        stopping: StoppingRule,
        progress: RuleProgress | None,
    ) -> None:
        self.position = position
        self.num_roots = len(roots)
        self.is_done = False
        self._roots = roots
        self._num_beams = options.num_beams
        self._num_return = options.num_return
        self._length_penalty = options.length_penalty
        self._end_ids = end_ids
        self._max_tokens = max_tokens
        self._stopping = stopping
        # Roots compete by their joint log-probability; the best one counts as 0.
        best = roots[0].log_probability
        self._priors = [root.log_probability - best for root in roots]
        self._beams = [_Beam(i, Piece(), prior, progress) for i, prior in enumerate(self._priors)]
        self._parents = list(range(self.num_roots))
        self._hypotheses: list[tuple[float, _Beam]] = []

    @property
    def must_end(self) -> bool:
        """Whether the beams are as long as they may be, and only their ends are missing."""
        return len(self._beams[0].piece.token_ids) == self._max_tokens if self._beams else False

    def root_of_each_beam(self) -> list[int]:
        return filled_up(range(self.num_roots), self._num_beams)

    def tokens_of_each_beam(self) -> list[list[int]]:
        tokens = [beam.piece.token_ids for beam in self._beams]
        return tokens + [[]] * (self._num_beams - len(tokens))

    def scores(self) -> list[float]:
        scores = [beam.score for beam in self._beams]
        return scores + [-math.inf] * (self._num_beams - len(scores))

    def mask(self, log_p_WV: Tensor) -> None:
        """Set to -inf, in place, what the rules on the answer bar; `W` beams, `V` vocabulary."""
        for log_p_V, beam in zip(log_p_WV, self._beams, strict=False):
            if beam.progress is not None:
                beam.progress.mask(log_p_V)

    def inputs(self) -> list[tuple[int, int]]:
        """Return for every beam which one it goes on from and its new token; idle ones repeat 0."""
        inputs = [
            (parent, beam.piece.token_ids[-1])
            for parent, beam in zip(self._parents, self._beams, strict=True)
        ]
        return inputs + [(0, 0)] * (self._num_beams - len(inputs))

    def advance(self, candidates: Sequence[_Candidate]) -> None:
        """Go one token on; `candidates` are in order of their scores."""
        beams: list[_Beam] = []
        parents: list[int] = []
        possible = [candidate for candidate in candidates if candidate.score > -math.inf]
        for rank, candidate in enumerate(possible):
            beam = self._beams[candidate.beam]
            if candidate.token_id not in self._end_ids:
                beams.append(_extended(beam, candidate))
                parents.append(candidate.beam)
            # An end counts among the best continuations only, as in fairseq and transformers.
            elif rank < self._num_beams:
                self._add(_ended(beam, candidate))
            if len(beams) == self._num_beams:
                break
        length = len(self._beams[0].piece.token_ids)
        best_root = self._beams[possible[0].beam].root
        best_possible = self._normalized(possible[0].score, best_root, length)
        self._beams, self._parents = beams, parents
        if not beams or self._cannot_improve(best_possible):
            self.is_done = True
        elif length + 1 == self._max_tokens and not self._stopping.forces_end:
            self._cut()

    def _cut(self) -> None:
        """End the search at the longest allowed length: open beams compete as they are."""
        for beam in self._beams:
            self._add(beam)
        self.is_done = True

    def best(self) -> list[_Beam]:
        """Return the best hypotheses, best first; of equal ones the later found."""
        ranked = sorted(self._hypotheses, key=lambda pair: pair[0])[::-1]
        return [beam for _, beam in ranked[: self._num_return]]

    def roots_of_best(self) -> list[int]:
        """Return the roots that they grew from."""
        return [beam.root for beam in self.best()]

    def fillings(self) -> list[Filling]:
        """Return the best hypotheses after the pieces that they continue."""
        return [Filling([*self._roots[beam.root].pieces, beam.piece]) for beam in self.best()]

    def _add(self, beam: _Beam) -> None:
        score = self._normalized(beam.score, beam.root, len(beam.piece.token_ids))
        if self._stopping.keeps_first and len(self._hypotheses) == self._num_beams:
            return
        self._hypotheses.append((score, beam))
        if len(self._hypotheses) > self._num_beams:
            self._hypotheses.remove(min(self._hypotheses, key=lambda pair: pair[0]))

    def _cannot_improve(self, best_possible: float) -> bool:
        if len(self._hypotheses) < self._num_beams:
            return False
        worst = min(score for score, _ in self._hypotheses)
        return self._stopping.keeps_first or worst >= best_possible

    def _normalized(self, score: float, root: int, length: int) -> float:
        prior = self._priors[root]
        length = max(length + self._stopping.counts_marker, 1)
        normalized: float = prior + (score - prior) / length**self._length_penalty
        return normalized


def filled_up(values: Sequence[_Value], count: int) -> list[_Value]:
    """Return as many values, the last one repeated."""
    return [*values, *[values[-1]] * (count - len(values))]


def _extended(beam: _Beam, candidate: _Candidate) -> _Beam:
    piece = Piece(
        [*beam.piece.token_ids, candidate.token_id],
        [*beam.piece.log_probabilities, candidate.log_probability],
        [*beam.piece.alternatives, candidate.ranked],
    )
    progress = beam.progress.after(candidate.token_id) if beam.progress else None
    return _Beam(beam.root, piece, candidate.score, progress)


def _ended(beam: _Beam, candidate: _Candidate) -> _Beam:
    piece = beam.piece
    ended = Piece(
        piece.token_ids, piece.log_probabilities, piece.alternatives, candidate.log_probability
    )
    return _Beam(beam.root, ended, candidate.score, None)
