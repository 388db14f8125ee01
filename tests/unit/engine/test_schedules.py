import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.engine.schedules import learning_rate_multiplier, wsd_identity
from unblank.engine.settings import OptimSettings

CLOSED_FORMS = {
    "cosine": lambda t, r: r + (1 - r) * 0.5 * (1 + math.cos(math.pi * t)),
    "linear": lambda t, r: (1 - t) + r * t,
}


def wsd_by_parts(warmup, end, decay, floor):
    """Return the multipliers of updates 1, 2, ..., `end`, written down part by part."""
    rise = [update / warmup for update in range(1, warmup + 1)]
    stable = [1.0] * (end - decay - warmup)
    fall = [1 - (1 - floor) * (number / decay) ** 0.5 for number in range(1, decay + 1)]
    return rise + stable + fall


@pytest.mark.parametrize(
    ("warmup", "end", "ratio", "decay"), [(10, 110, 0.2, 22), (0, 50, 1.0, 50), (7, 20, 0.05, 1)]
)
def test_wsd_warms_up_stays_and_decays(warmup, end, ratio, decay):
    settings = {"schedule": "wsd", "warmup_steps": warmup, "decay_steps": end, "floor": 0.05}
    got = [
        learning_rate_multiplier(update, **settings, decay_ratio=ratio)
        for update in range(1, end + 1)
    ]
    assert got == pytest.approx(wsd_by_parts(warmup, end, decay, 0.05))
    assert learning_rate_multiplier(end + 30, **settings, decay_ratio=ratio) == pytest.approx(0.05)


@given(
    end=st.integers(1, 400),
    other=st.integers(1, 400),
    warmup=st.integers(0, 60),
    ratio=st.sampled_from([None, 0.01, 0.5, 1.0]),
    step=st.integers(0, 400),
)
def test_runs_of_two_lengths_are_called_equal_only_if_their_steps_so_far_are(
    end, other, warmup, ratio, step
):
    def rates(length):
        return [
            learning_rate_multiplier(
                update,
                schedule="wsd",
                warmup_steps=warmup,
                decay_steps=length,
                floor=0.0,
                decay_ratio=ratio or 0.2,
            )
            for update in range(1, step + 1)
        ]

    optim = OptimSettings(schedule="wsd", warmup_steps=warmup, decay_ratio=ratio)
    if wsd_identity(optim, end, step) == wsd_identity(optim, other, step):
        assert rates(end) == rates(other)
    elif end != other and step <= min(end, other):
        assert rates(end) != rates(other)


@pytest.mark.parametrize("schedule", CLOSED_FORMS)
@pytest.mark.parametrize(("warmup", "end", "floor"), [(10, 110, 0.05), (0, 50, 0.0), (7, 8, 0.1)])
def test_decay_follows_its_closed_form_and_stays_at_the_floor(schedule, warmup, end, floor):
    for update in range(1, end + 30):
        got = learning_rate_multiplier(
            update, schedule=schedule, warmup_steps=warmup, decay_steps=end, floor=floor
        )
        if update <= warmup:
            assert got == pytest.approx(update / warmup)
        else:
            share = min(1.0, (update - warmup) / (end - warmup))
            assert got == pytest.approx(CLOSED_FORMS[schedule](share, floor))
    assert got == pytest.approx(floor)


def test_the_released_base_recipe_peaks_and_lands_where_the_paper_says():
    def rate(update):
        return 4e-4 * learning_rate_multiplier(
            update, schedule="cosine", warmup_steps=6000, decay_steps=120_000, floor=0.05
        )

    assert rate(1) == pytest.approx(4e-4 / 6000)
    assert rate(6000) == pytest.approx(4e-4)
    assert rate(63_000) == pytest.approx(4e-4 * (0.05 + 0.95 / 2))
    assert rate(120_000) == pytest.approx(2e-5)
    assert rate(150_000) == pytest.approx(2e-5)


def test_inverse_square_root_halves_when_updates_quadruple():
    settings = {"schedule": "inverse_sqrt", "warmup_steps": 100, "decay_steps": 1, "floor": 0.01}
    assert learning_rate_multiplier(100, **settings) == pytest.approx(1.0)
    assert learning_rate_multiplier(400, **settings) == pytest.approx(0.5)
    assert learning_rate_multiplier(10**9, **settings) == 0.01


@given(
    update=st.integers(1, 10_000),
    schedule=st.sampled_from(["cosine", "linear", "wsd", "inverse_sqrt", "constant"]),
    warmup=st.integers(0, 3000),
    decay=st.integers(1, 9000),
    floor=st.floats(0, 0.9),
)
def test_the_multiplier_never_leaves_the_range_from_floor_to_one(
    update, schedule, warmup, decay, floor
):
    got = learning_rate_multiplier(
        update, schedule=schedule, warmup_steps=warmup, decay_steps=decay, floor=floor
    )
    assert 0 <= got <= 1
    assert update < warmup or got >= floor - 1e-12
