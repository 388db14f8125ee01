"""Beam search of the published GLM written down a second time, for one blank of one text.

Both of its decoders, by name: they differ in the length that divides the score of a hypothesis. No
cache, no batch, one forward pass a beam; `unblank.generation.beam` is the search of the library.
"""

from typing import Any

import torch

LENGTHS = {
    "evaluation": lambda num_tokens: max(num_tokens, 1),
    "interactive": lambda num_tokens: num_tokens + 1,  # its hypotheses begin with [sop]
}


@torch.no_grad()
def naive_glm_beams(
    model: Any,
    token_ids: list[int],
    blank: int,
    *,
    decoder: str,
    start_id: int,
    end_ids: tuple[int, ...],
    num_beams: int,
    length_penalty: float,
    max_tokens: int,
) -> list[list[int]]:
    """Return the finished hypotheses of the blank at this place, best first, without their ends."""
    length_of = LENGTHS[decoder]
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    finished: list[tuple[float, list[int]]] = []

    def finish(log_p: float, tokens: list[int]) -> None:
        finished.append((log_p / length_of(len(tokens)) ** length_penalty, tokens))
        finished.sort(key=lambda pair: -pair[0])
        del finished[num_beams:]

    for num_tokens in range(max_tokens):
        candidates = []
        for log_p, tokens in beams:
            next_log_p = _next_log_p(model, token_ids, blank, start_id, tokens)
            candidates += [(log_p + p, tokens, i) for i, p in enumerate(next_log_p)]
        candidates = sorted(candidates, key=lambda one: -one[0])[: 2 * num_beams]
        beams = []
        for rank, (log_p, tokens, token_id) in enumerate(candidates):
            if token_id not in end_ids:
                beams.append((log_p, [*tokens, token_id]))
            elif rank < num_beams:
                finish(log_p, tokens)
            if len(beams) == num_beams:
                break
        best_possible = candidates[0][0] / length_of(num_tokens) ** length_penalty
        if len(finished) == num_beams and finished[-1][0] >= best_possible:
            return [tokens for _, tokens in finished]
    for log_p, tokens in beams:
        finish(log_p, tokens)
    return [tokens for _, tokens in finished]


def _next_log_p(
    model: Any, token_ids: list[int], blank: int, start_id: int, tokens: list[int]
) -> list[float]:
    size, count = len(token_ids), len(tokens) + 1
    positions = [[*range(size), *[blank] * count], [*[0] * size, *range(1, count + 1)]]
    logits = model(
        torch.tensor([[*token_ids, start_id, *tokens]]),
        position_ids=torch.tensor(positions)[:, None],
        prefix_lengths=torch.tensor([size]),
        use_cache=False,
    ).logits[0, -1]
    log_p: list[float] = torch.log_softmax(logits.float(), dim=-1).tolist()
    return log_p
