"""Learning-rate schedules as pure functions of the update number.

Linear warm-up, then cosine, linear or inverse-square-root decay, none, or none until the last part
of the run (wsd: warm-up, stable, decay); never below the floor.
"""

import math
from typing import Any

from unblank.engine.settings import DECAY_RATIO, OptimSettings, ScheduleName

__all__ = ["WSD_DECAY", "learning_rate_multiplier", "stable_steps", "wsd_identity"]

WSD_DECAY = "the decay of optim.schedule wsd"
"""Name under which runs with that schedule are compared."""


def learning_rate_multiplier(
    update: int,
    *,
    schedule: ScheduleName,
    warmup_steps: int,
    decay_steps: int,
    floor: float,
    decay_ratio: float = DECAY_RATIO,
) -> float:
    """Return the share of the peak learning rate that update number `update` uses.

    With w = `warmup_steps`, N = `decay_steps`, r = `floor` and t = (update - w) / (N - w) in
    [0, 1]: warm-up update / w; cosine r + (1 - r) (1 + cos(pi t)) / 2; linear 1 - (1 - r) t;
    inverse square root max(r, sqrt(w / update)). wsd is 1 until step s, the last before its decay,
    then 1 - (1 - r) sqrt(u) with u = (update - s) / (N - s) (Haegele et al., 2024, "Scaling
    laws and compute-optimal training beyond fixed training durations", section 3.2).

    Args:
        update: number of the optimiser step, counted from 1.
        schedule: shape of the decay after warm-up.
        warmup_steps: updates of linear warm-up; the last of them has multiplier 1.
        decay_steps: update at which cosine, linear and wsd arrive at the floor, and stay there.
        floor: smallest multiplier after warm-up, in [0, 1).
        decay_ratio: share of `decay_steps` over which wsd decays, in (0, 1].
    """
    if update < warmup_steps:
        return update / warmup_steps
    if schedule == "constant":
        return 1.0
    if schedule == "inverse_sqrt":
        return max(floor, math.sqrt(max(warmup_steps, 1) / update))
    start = warmup_steps
    if schedule == "wsd":
        start = _stable_steps(warmup_steps, decay_steps, decay_ratio)
    progress = min(1.0, max(0, update - start) / max(decay_steps - start, 1))
    if schedule == "wsd":
        return 1.0 - (1.0 - floor) * math.sqrt(progress)
    if schedule == "linear":
        return 1.0 - (1.0 - floor) * progress
    return floor + (1.0 - floor) * (1.0 + math.cos(math.pi * progress)) / 2


def stable_steps(optim: OptimSettings, max_steps: int) -> int | None:
    """Return the last step of wsd before its decay; None for other schedules."""
    if optim.schedule != "wsd":
        return None
    return _stable_steps(
        optim.warmup(max_steps), optim.decay_steps or max_steps, optim.decay_ratio or DECAY_RATIO
    )


def wsd_identity(optim: OptimSettings, max_steps: int, step: int) -> dict[str, Any]:
    """Return what stands for the length of a run with wsd when two starts of it are compared.

    As long as the decay has not begun, every length gives the same steps.
    """
    start, end = stable_steps(optim, max_steps), optim.decay_steps or max_steps
    assert start is not None
    return {
        "optim.decay_steps": None,
        "optim.decay_ratio": None,
        WSD_DECAY: f"from step {start + 1} to {end}" if step > start else "not begun",
        "the steps of warm-up": optim.warmup(max_steps),
    }


def _stable_steps(warmup_steps: int, decay_steps: int, decay_ratio: float) -> int:
    """Return the last update before the decay, which never cuts the warm-up short."""
    return max(warmup_steps, decay_steps - round(decay_ratio * decay_steps))
