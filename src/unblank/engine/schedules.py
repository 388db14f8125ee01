"""Learning-rate schedules as pure functions of the update number.

Linear warm-up, then cosine, linear or inverse-square-root decay or none, never below the floor;
or a stable part and a decay at the end.
"""

import math

from unblank.engine.settings import ScheduleName

__all__ = ["last_stable_step", "learning_rate_multiplier"]


def learning_rate_multiplier(
    update: int,
    *,
    schedule: ScheduleName,
    warmup_steps: int,
    decay_steps: int,
    floor: float,
    cooldown_ratio: float = 0.2,
) -> float:
    """Return the share of the peak learning rate that update number `update` uses.

    With w = `warmup_steps`, N = `decay_steps`, r = `floor` and t = (update - w) / (N - w) in
    [0, 1]: warm-up update / w; cosine r + (1 - r) (1 + cos(pi t)) / 2; linear 1 - (1 - r) t;
    inverse square root max(r, sqrt(w / update)); wsd ("warm-up, stable, decay", Hu et al., 2024)
    1 up to step `last_stable_step`, then linear to r at N.

    Args:
        update: number of the optimiser step, counted from 1.
        schedule: shape of the decay after warm-up.
        warmup_steps: updates of linear warm-up; the last of them has multiplier 1.
        decay_steps: update at which cosine, linear and wsd arrive at the floor, and stay there.
        floor: smallest multiplier after warm-up, in [0, 1).
        cooldown_ratio: share of the steps in which wsd decays, in (0, 1].
    """
    if update < warmup_steps:
        return update / warmup_steps
    if schedule == "constant":
        return 1.0
    if schedule == "inverse_sqrt":
        return max(floor, math.sqrt(max(warmup_steps, 1) / update))
    if schedule == "wsd":
        warmup_steps = max(warmup_steps, last_stable_step(decay_steps, cooldown_ratio))
        if update <= warmup_steps:
            return 1.0
    progress = min(1.0, (update - warmup_steps) / max(decay_steps - warmup_steps, 1))
    if schedule in ("linear", "wsd"):
        return 1.0 - (1.0 - floor) * progress
    return floor + (1.0 - floor) * (1.0 + math.cos(math.pi * progress)) / 2


def last_stable_step(decay_steps: int, cooldown_ratio: float) -> int:
    """Return the last step of wsd that has the full learning rate.

    Up to there, two runs of different lengths are the same run.
    """
    return decay_steps - round(cooldown_ratio * decay_steps)
