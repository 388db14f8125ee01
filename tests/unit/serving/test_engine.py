"""The engine under many requests at once: nothing is lost, mixed up, or beyond its bounds."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from served_toys import toy_glm, toy_translator

from unblank.generation.beam import BeamDecoder
from unblank.generation.independent import IndependentDecoder
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions, GenerationOptions
from unblank.generation.rows import Rows
from unblank.generation.seq2seq import SourceAnswerer
from unblank.serving.cache_budget import CacheBudget, Demand
from unblank.serving.engine import (
    CallTask,
    DecodingTask,
    Engine,
    EngineClosedError,
    EngineFailedError,
    QueueFullError,
)

GLM = toy_glm()
WAYS = [
    DecodingOptions(max_tokens=6),
    DecodingOptions(max_tokens=9, min_tokens=9),
    DecodingOptions(do_sample=True, seed=3, num_return=2, max_tokens=5),
    DecodingOptions(num_beams=3, num_return=2, max_tokens=4),
]
FILLERS = [Filler(GLM.model, GLM.tokenizer, way) for way in WAYS]
TEXTS = ["the cat [MASK] on a mat", "so [MASK]", "Maybe it is [MASK], good or [MASK] " * 2]


@pytest.fixture
def engine():
    engine = Engine(cache_tokens=600, max_waiting=50)
    yield engine
    engine.stop()


def task_of(filler, text, **more):
    future = Future()
    blanked = filler.read(text)
    return blanked, DecodingTask(filler.setup, blanked.prompt, future.set_result, **more), future


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=20))
@settings(max_examples=10, deadline=None)
def test_each_gets_what_it_gets_alone(requests):
    engine = Engine(cache_tokens=900, max_waiting=50)
    sent = []
    for way, text, gives_up in requests:
        blanked, task, future = task_of(FILLERS[way], TEXTS[text])
        engine.submit([task])
        sent.append((way, text, blanked, future, gives_up))
        if gives_up:
            engine.cancel(task)
    for way, text, blanked, future, gives_up in sent:
        if not gives_up:
            found = FILLERS[way].result(blanked, future.result(60))
            (alone,) = FILLERS[way].fill([TEXTS[text]])
            for one, other in zip(
                (found, *found.alternatives), (alone, *alone.alternatives), strict=True
            ):
                assert [b.token_ids for b in one.blanks] == [b.token_ids for b in other.blanks]
                assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
    engine.stop()
    assert engine.is_idle
    assert engine.figures.failed == 0


def test_the_cache_never_holds_more_than_its_budget(engine, monkeypatch):
    cells, step = [], Rows.step

    def noted_step(rows, *given):
        logits = step(rows, *given)
        cells.append((rows._cache.num_rows * rows.num_columns, engine._budget.reserved))
        return logits

    monkeypatch.setattr(Rows, "step", noted_step)
    futures = []
    for number in range(30):
        _, task, future = task_of(FILLERS[1], TEXTS[number % 2])
        engine.submit([task])
        futures.append(future)
    assert all(future.result(60) for future in futures)
    assert len(cells) >= 8  # steps of one wave, if all come before its first step
    assert all(held <= reserved <= 600 for held, reserved in cells)
    assert max(held for held, _ in cells) > 300
    assert engine.figures.tokens == 30 * 9


@torch.no_grad()
def test_a_beam_search_keeps_to_its_demand(monkeypatch):
    options = DecodingOptions(num_beams=4, num_return=3, max_tokens=7, min_tokens=7)
    filler = Filler(GLM.model, GLM.tokenizer, options)
    prompt = filler.read("the [MASK] cat [MASK] on [MASK]").prompt
    first, held, step = {}, [], Rows.step

    def noted_step(rows, *given):
        base = first.setdefault(id(rows), rows.num_columns)  # what the search began with is kept
        logits = step(rows, *given)
        held.append(base + rows.num_columns)
        return logits

    monkeypatch.setattr(Rows, "step", noted_step)
    BeamDecoder(filler.setup, [prompt]).run()
    demand = Demand.of(filler.setup, prompt)
    assert 0.5 * demand.tokens < max(held) <= demand.tokens


def test_what_could_never_fit_is_refused_at_once(engine):
    filler = Filler(GLM.model, GLM.tokenizer, DecodingOptions(do_sample=True, num_return=40))
    with pytest.raises(ValueError, match="600"):
        engine.submit([task_of(filler, TEXTS[0])[1]])
    assert engine.is_idle


def held(engine):
    """Keep the engine busy until the event that is returned is set."""
    begun, go = threading.Event(), threading.Event()

    def hold():
        begun.set()
        go.wait(30)

    engine.submit([CallTask(hold, lambda result: None)])
    assert begun.wait(30)
    return go


def test_a_full_queue_says_when_to_come_again(engine):
    go = held(engine)
    engine.submit([CallTask(int, lambda result: None) for _ in range(50)])
    with pytest.raises(QueueFullError) as refused:
        engine.submit([CallTask(int, lambda result: None)])
    assert 1 <= refused.value.retry_after <= 60
    with pytest.raises(ValueError, match="51 texts"):
        engine.submit([CallTask(int, lambda result: None) for _ in range(51)])
    go.set()


def test_who_gives_up_frees_the_place_at_once(engine):
    go = held(engine)
    tasks = [CallTask(int, lambda result: None) for _ in range(50)]
    engine.submit(tasks)
    engine.cancel(tasks[7])
    engine.submit([CallTask(int, lambda result: None)])
    go.set()


def test_a_row_that_is_given_up_goes_before_the_next_step(engine, monkeypatch):
    seen = []
    step = IndependentDecoder.step
    # A slow step, so that the figures are read while the turn that dropped the row still runs.
    monkeypatch.setattr(IndependentDecoder, "step", lambda self: [step(self), time.sleep(0.1)][0])

    def give_up(event):
        seen.append(event)
        engine.cancel(task)

    filler = Filler(GLM.model, GLM.tokenizer, DecodingOptions(min_tokens=50, max_tokens=50))
    _, task, _ = task_of(filler, TEXTS[0], on_token=give_up)
    engine.submit([task])
    while not engine.is_idle:
        time.sleep(0.001)
    # Its first token and, in the same turn, the second.
    assert len(seen) <= 2
    assert engine.figures.tokens <= 2
    assert engine.figures.reserved_tokens == 0


def test_an_error_of_a_call_is_its_own(engine):
    ended = Future()
    engine.submit([CallTask(lambda: 1 // 0, ended.set_result)])
    assert isinstance(ended.result(30), ZeroDivisionError)
    _, task, future = task_of(FILLERS[0], TEXTS[0])
    engine.submit([task])
    assert future.result(30)


def test_after_a_failed_step_the_next_request_is_served(engine, monkeypatch):
    def fail(*given):
        raise RuntimeError("no memory")

    monkeypatch.setattr("unblank.generation.rows.Rows.step", fail)
    _, task, future = task_of(FILLERS[1], TEXTS[0])
    engine.submit([task])
    assert isinstance(future.result(30), EngineFailedError)
    monkeypatch.undo()
    _, task, future = task_of(FILLERS[1], TEXTS[0])
    engine.submit([task])
    assert not isinstance(future.result(30), Exception)
    assert engine.figures.failed == 1


def test_nothing_that_came_with_a_failed_step_waits_for_ever(engine, monkeypatch):
    """Tasks that one turn takes from the queue together: calls, searches, texts."""

    def fail(*given):
        raise RuntimeError("no memory")

    monkeypatch.setattr("unblank.generation.rows.Rows.feed_prompts", fail)
    go = held(engine)
    called, ended = Future(), []
    engine.submit([CallTask(lambda: 5, called.set_result)])
    for way in (0, 3, 0):  # the second one is a beam search
        _, task, future = task_of(FILLERS[way], TEXTS[0])
        engine.submit([task])
        ended.append(future)
    go.set()
    assert called.result(30) == 5
    assert all(isinstance(future.result(30), EngineFailedError) for future in ended)
    assert engine.is_idle


def test_a_closed_engine_finishes_what_it_has(engine):
    go = held(engine)
    _, task, future = task_of(FILLERS[1], TEXTS[0])
    engine.submit([task])
    engine.close()
    with pytest.raises(EngineClosedError):
        engine.submit([task_of(FILLERS[0], TEXTS[0])[1]])
    assert not engine.is_idle
    go.set()
    assert future.result(30)
    assert engine.is_idle


def test_a_stopped_engine_tells_those_that_wait(engine):
    go = held(engine)
    _, task, future = task_of(FILLERS[0], TEXTS[0])
    engine.submit([task])
    threading.Timer(0.1, go.set).start()
    engine.stop()
    assert isinstance(future.result(30), EngineClosedError | list)


def test_many_threads_may_ask_at_once():
    unblank = toy_translator()
    engine = Engine(cache_tokens=2000, max_waiting=100)
    answerer = SourceAnswerer(unblank.model, unblank.tokenizer, GenerationOptions(max_tokens=8))
    sources = [" ".join(["one", "two", "three"][: 1 + number % 3]) for number in range(24)]

    def ask(source):
        future, read = Future(), answerer.read(source)
        engine.submit([DecodingTask(answerer.setup, read.prompt, future.set_result)])
        return answerer.result(read, future.result(60))

    with ThreadPoolExecutor(8) as pool, torch.inference_mode():
        found = list(pool.map(ask, sources))
    engine.stop()
    for one, alone in zip(found, answerer.answer(sources), strict=True):
        assert one.token_ids == alone.token_ids
        assert one.log_probability == pytest.approx(alone.log_probability, abs=1e-4)


demands = st.builds(
    Demand, st.integers(1, 4), st.integers(1, 50), st.integers(1, 50), st.booleans()
)


@given(st.lists(demands, max_size=8))
def test_reserved_tokens_are_what_padded_rows_take(given_demands):
    budget = CacheBudget(10**9)
    for demand in given_demands:
        budget.reserve(demand)
    shared = [demand for demand in given_demands if not demand.is_apart]
    cells = sum(demand.tokens for demand in given_demands if demand.is_apart)
    widest = max((demand.prompt_tokens for demand in shared), default=0)
    longest = max((demand.answer_tokens for demand in shared), default=0)
    cells += sum(demand.num_rows for demand in shared) * (widest + longest)
    assert budget.reserved == cells
    for demand in given_demands:
        budget.release(demand)
    assert budget.reserved == budget.num_rows == 0
