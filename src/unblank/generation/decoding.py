"""Which token comes next: forbidden tokens, ranking, and drawing from the filtered distribution.

Log-probabilities are the model's own, in fp32 over the whole table. Forbidden tokens become -inf
after the softmax and nothing is renormalised, as in the original decoder; only sampling
renormalises, over what its filters leave.

Shapes: `R` rows, `V` vocabulary, `K` ranked tokens.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

__all__ = ["TokenRules", "draw"]


class TokenRules:
    """What may be generated, and when.

    Args:
        end_ids: tokens that end a blank.
        forbidden_ids: tokens that are never generated.
        vocab_size: V.
        max_tokens: a blank is cut there.
        min_tokens: end tokens are forbidden before that many tokens.
        no_repeat_ngram: no n-gram of this size occurs twice in a blank; 0 is off.
    """

    def __init__(
        self,
        *,
        end_ids: Collection[int],
        forbidden_ids: Collection[int],
        vocab_size: int,
        max_tokens: int,
        min_tokens: int = 0,
        no_repeat_ngram: int = 0,
    ) -> None:
        self.end_ids = frozenset(end_ids)
        self.vocab_size = vocab_size
        self.max_tokens = max_tokens
        self.min_tokens = min_tokens
        self.no_repeat_ngram = no_repeat_ngram
        # On the CPU also where a plan builds its model on the meta device: the ids are read.
        self._forbidden = torch.tensor(
            sorted(set(forbidden_ids) - self.end_ids), dtype=torch.long, device="cpu"
        )
        self.num_allowed = vocab_size - len(self._forbidden)

    @property
    def allowed_ids(self) -> list[int]:
        """The tokens that may be generated in a blank, in ascending order, without its ends."""
        barred = {*self._forbidden.tolist(), *self.end_ids}
        return [token_id for token_id in range(self.vocab_size) if token_id not in barred]

    def log_probabilities(
        self,
        logits_RV: Tensor,
        pieces: Sequence[Sequence[int]],
        must_end: Sequence[int] = (),
    ) -> Tensor:
        """Return float32[R, V], -inf where a token may not come next.

        Args:
            logits_RV: of the next token.
            pieces: R lists, the tokens of the current blank so far.
            must_end: rows in which only an end token may come.
        """
        log_p_RV = torch.log_softmax(logits_RV.float(), dim=-1)
        if self._forbidden.device != log_p_RV.device:
            self._forbidden = self._forbidden.to(log_p_RV.device)
        # After the softmax and without renormalising: log-probabilities stay the model's own.
        log_p_RV.index_fill_(1, self._forbidden, -torch.inf)
        for row, piece in enumerate(pieces):
            banned = self._banned_after(piece)
            if banned:
                log_p_RV[row, banned] = -torch.inf
        if must_end:
            self._leave_only_ends(log_p_RV, must_end)
        return log_p_RV

    def _leave_only_ends(self, log_p_RV: Tensor, rows: Sequence[int]) -> None:
        rows_R1, ends = torch.tensor(rows)[:, None], sorted(self.end_ids)
        log_p_of_ends = log_p_RV[rows_R1, ends]
        log_p_RV[rows] = -torch.inf
        log_p_RV[rows_R1, ends] = log_p_of_ends

    def _banned_after(self, piece: Sequence[int]) -> list[int]:
        banned = repeated_ngram_ends(piece, self.no_repeat_ngram) if self.no_repeat_ngram else []
        if len(piece) < self.min_tokens:
            banned.extend(self.end_ids)
        return banned


def repeated_ngram_ends(piece: Sequence[int], size: int) -> list[int]:
    """Return the tokens that would end an n-gram of this size that `piece` already holds."""
    start = list(piece[len(piece) - size + 1 :])
    if len(start) < size - 1:
        return []
    places = range(len(piece) - size + 1)
    return [piece[i + size - 1] for i in places if list(piece[i : i + size - 1]) == start]


def draw(
    log_p_RV: Tensor,
    uniform_R: Sequence[float],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> list[int]:
    """Return one token a row, drawn by inverting the cumulative distribution.

    The temperature acts first, then top-k, then top-p (the smallest set of most likely tokens that
    holds that probability).

    Args:
        log_p_RV: float32[R, V].
        uniform_R: R numbers in [0, 1), one a row.
        temperature: divides the log-probabilities; above 0.
        top_k: tokens kept; 0 is all.
        top_p: probability kept, in (0, 1].
    """
    num_kept = min(top_k, log_p_RV.shape[1]) if top_k else log_p_RV.shape[1]
    if num_kept == log_p_RV.shape[1] and top_p == 1.0:
        values_RK, ids_RK = log_p_RV, None
    else:
        values_RK, ids_RK = log_p_RV.topk(num_kept)
    # In float64: the running sum over a large vocabulary would lose rare tokens in float32. From
    # the best token on: however low the temperature, something is left to draw.
    below_best_RK = values_RK.double() - values_RK.amax(dim=-1, keepdim=True)
    p_RK = torch.softmax(below_best_RK / temperature, dim=-1)
    if top_p < 1.0:
        p_RK = p_RK * (p_RK.cumsum(dim=-1) - p_RK < top_p)
    cumulative_RK = p_RK.cumsum(dim=-1)
    targets_R1 = torch.tensor(uniform_R, dtype=torch.double, device=log_p_RV.device)[:, None]
    # The draw is scaled to the sum, which is below 1 after top-p and never exactly 1.
    picks_R1 = torch.searchsorted(cumulative_RK, targets_R1 * cumulative_RK[:, -1:], right=True)
    # Rounding may put a draw of nearly 1 after the last token.
    picks_R1 = picks_R1.clamp(max=num_kept - 1)
    drawn: list[int] = (picks_R1 if ids_RK is None else ids_RK.gather(1, picks_R1))[:, 0].tolist()
    return drawn
