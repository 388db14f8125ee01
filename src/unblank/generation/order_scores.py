"""The probability of given answers in every order of filling, exactly.

The answers of several blanks have another joint probability in each order, as each answer sees
those before it. The mean of these probabilities favours no order.

Shapes: `O` orders, `T` columns, `P` columns of Part A, `V` vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch

from unblank.generation.rows import Prompt
from unblank.plurals import counted

__all__ = ["OrderScores", "score_in_all_orders"]

_MOST_BLANKS_IN_ALL_ORDERS = 4


@dataclass(frozen=True, slots=True)
class OrderScores:
    """Joint log-probabilities of answers.

    Attributes:
        by_order: order of filling, blanks counted from 0 -> log-probability, ends included.
    """

    by_order: dict[tuple[int, ...], float]

    @property
    def log_probability(self) -> float:
        """Of the answers if every order is as likely as any other: log of the mean probability."""
        highest = max(self.by_order.values())
        total = math.fsum(math.exp(one - highest) for one in self.by_order.values())
        return highest + math.log(total / len(self.by_order))

    @property
    def best(self) -> tuple[int, ...]:
        """The order in which the answers are most probable."""
        return max(self.by_order, key=lambda order: self.by_order[order])


@torch.inference_mode()
def score_in_all_orders(
    model: Any, prompt: Prompt, answers: Sequence[Sequence[int]], *, start_id: int, end_id: int
) -> OrderScores:
    """Return the log-probabilities of the answers in each order, all orders in one batch.

    Args:
        model: that writes blanks, in evaluation mode.
        prompt: its blanks from left to right.
        answers: token ids of each, without ends.
        start_id: the token that opens a span.
        end_id: the token that ends one.

    Raises:
        ValueError: more than four blanks, or another number of answers.
    """
    num_blanks = len(prompt.blanks)
    if num_blanks > _MOST_BLANKS_IN_ALL_ORDERS or len(answers) != num_blanks:
        raise ValueError(
            f"{counted(len(answers), 'answer')} for {counted(num_blanks, 'blank')}: give one for "
            "each, of at most "
            f"{_MOST_BLANKS_IN_ALL_ORDERS} blanks"
        )
    orders = list(permutations(range(num_blanks)))
    part_a = len(prompt.token_ids)
    token_ids, places, inside, targets = [], [], [], []
    for order in orders:
        tokens = [*prompt.token_ids]
        place, span = list(range(part_a)), [0] * part_a
        target: list[int] = []
        for blank in order:
            tokens += [start_id, *answers[blank]]
            place += [prompt.blanks[blank]] * (len(answers[blank]) + 1)
            span += range(1, len(answers[blank]) + 2)
            target += [*answers[blank], end_id]
        token_ids.append(tokens)
        places.append(place)
        inside.append(span)
        targets.append(target)
    device = model.device
    logits_OTV = model(
        input_ids=torch.tensor(token_ids, device=device),
        position_ids=torch.tensor([places, inside], device=device),
        prefix_lengths=torch.full((len(orders),), part_a, device=device),
        use_cache=False,
    ).logits[:, part_a:]
    log_p_OTV = torch.log_softmax(logits_OTV.float(), dim=-1)
    chosen = log_p_OTV.gather(2, torch.tensor(targets, device=device)[:, :, None])[:, :, 0]
    return OrderScores(dict(zip(orders, chosen.double().sum(dim=1).tolist(), strict=True)))
