"""Learning-rate schedules as pure functions of the update number.

Linear warm-up, then cosine, linear or inverse-square-root decay or none, never below the floor.
"""

import math

from unblank.engine.settings import ScheduleName

__all__ = ["learning_rate_multiplier"]


def learning_rate_multiplier(
    update: int, *, schedule: ScheduleName, warmup_steps: int, decay_steps: int, floor: float
) -> float:
    """Return the share of the peak learning rate that update number `update` uses.

    With w = `warmup_steps`, N = `decay_steps`, r = `floor` and t = (update - w) / (N - w) in
    [0, 1]: warm-up update / w; cosine r + (1 - r) (1 + cos(pi t)) / 2; linear 1 - (1 - r) t;
    inverse square root max(r, sqrt(w / update)).

    Args:
        update: number of the optimiser step, counted from 1.
        schedule: shape of the decay after warm-up.
        warmup_steps: updates of linear warm-up; the last of them has multiplier 1.
        decay_steps: update at which cosine and linear arrive at the floor, and stay there.
        floor: smallest multiplier after warm-up, in [0, 1).
    """
    if update < warmup_steps:
        return update / warmup_steps
    if schedule == "constant":
        return 1.0
    if schedule == "inverse_sqrt":
        return max(floor, math.sqrt(max(warmup_steps, 1) / update))
    progress = min(1.0, (update - warmup_steps) / max(decay_steps - warmup_steps, 1))
    if schedule == "linear":
        return 1.0 - (1.0 - floor) * progress
    return floor + (1.0 - floor) * (1.0 + math.cos(math.pi * progress)) / 2
