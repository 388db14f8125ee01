"""Candidates as BERT scores them: each token predicted in its place, all at once.

For models pretrained with the objective `masked`: the blank becomes as many `[MASK]` as a candidate
has tokens, so there is a row for each length, and tokens do not see each other.

Shapes: `R` rows, `T` columns, `M` masks of all rows, `C` candidates of a text.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unblank.generation.score import Cloze

__all__ = ["score_masked"]


def score_masked(model: Any, clozes: Sequence[Cloze], mask_id: int, *, mean: bool) -> list[Tensor]:
    """Return for each text float32[C], the summed log-probabilities of its candidates' tokens.

    Args:
        model: a `GlmInfillForConditionalGeneration`, run as an encoder.
        clozes: the texts.
        mask_id: what hides a token.
        mean: divide each sum by the number of tokens.
    """
    rows: list[list[int]] = []
    row_of: list[dict[int, int]] = []
    for cloze in clozes:
        lengths = dict.fromkeys(map(len, cloze.candidates))
        row_of.append({length: len(rows) + place for place, length in enumerate(lengths)})
        before, after = cloze.token_ids[: cloze.blank], cloze.token_ids[cloze.blank + 1 :]
        rows += [[*before, *[mask_id] * length, *after] for length in lengths]
    hidden_RTD = _encode(model, rows)
    scores = []
    for cloze, places in zip(clozes, row_of, strict=True):
        of_candidates: list[Tensor] = []
        log_p = {
            length: model.lm_head(hidden_RTD[row, cloze.blank : cloze.blank + length])
            .float()
            .log_softmax(dim=-1)
            for length, row in places.items()
        }
        for candidate in cloze.candidates:
            ids = torch.tensor(candidate, device=hidden_RTD.device)
            total = log_p[len(candidate)].gather(1, ids[:, None]).sum()
            of_candidates.append(total / len(candidate) if mean else total)
        scores.append(torch.stack(of_candidates))
    return scores


def _encode(model: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return float[R, T, D], the states of all rows, padded on the right."""
    width = max(map(len, rows))
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    is_real = torch.zeros_like(input_ids)
    for number, row in enumerate(rows):
        input_ids[number, : len(row)] = torch.tensor(row)
        is_real[number, : len(row)] = 1
    states: Tensor = model.model(
        input_ids=input_ids.to(model.device),
        attention_mask=is_real.to(model.device),
        use_cache=False,
    ).last_hidden_state
    return states
