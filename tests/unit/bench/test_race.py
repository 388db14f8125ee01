"""Turns, ratios and the worker process."""

from pathlib import Path

import bench_workers
import pytest
from bench_workers import InProcessWorker

from unblank.bench import race as race_module
from unblank.bench.race import Contestant, Result, paired_ratio, race

TOYS = str(Path(bench_workers.__file__).parent)


@pytest.fixture
def worker_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", TOYS)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_contestants_take_turns_in_processes_of_their_own(worker_path):
    said: list[str] = []
    contestants = {
        "slow": Contestant(workload="bench_workers:sleeping", arguments={"milliseconds": 40}),
        "quick": Contestant(workload="bench_workers:sleeping", arguments={"milliseconds": 10}),
    }
    results = race(contestants, repeats=3, log=said.append, warmups=1)
    assert [line.split(",")[0] for line in said[2:]] == ["slow", "quick"] * 4
    assert all(len(result.seconds) == len(result.units) == 3 for result in results.values())
    assert results["slow"].step_seconds >= 0.04
    assert 0 < results["slow"].imports_bytes <= results["slow"].peak_bytes
    assert paired_ratio(results["quick"], results["slow"]) > 1.5


def test_one_thread_is_timed_by_what_it_computes_not_by_what_it_waits(worker_path):
    workload, arguments = "bench_workers:half_asleep", {"milliseconds": 100}
    one_core = Contestant(workload=workload, arguments=arguments, num_threads=1)
    seconds = race({"a": one_core}, repeats=1, log=print, warmups=0)["a"].seconds[0]
    assert 0.1 <= seconds < 0.15


def test_a_failing_contestant_is_named_with_its_error(worker_path):
    contestants = {"broken": Contestant(workload="bench_workers:failing")}
    with pytest.raises(RuntimeError, match=r"(?s)broken.*toy broke"):
        race(contestants, repeats=1, log=print)


def test_the_ratio_is_taken_within_each_turn():
    # The machine is ten times slower in the second turn, for both.
    ours = Result(seconds=[1.0, 10.0, 1.0], units=[6.0] * 3)
    theirs = Result(seconds=[3.0, 30.0, 2.0], units=[6.0] * 3)
    assert paired_ratio(ours, theirs) == pytest.approx(3.0)
    assert ours.rate == 6.0


def test_only_one_contestant_works_at_a_time(monkeypatch):
    at_work: list[str] = []
    order: list[str] = []

    class Watching(InProcessWorker):
        def __init__(self, name, contestant):
            super().__init__(name, contestant)
            self.name = name

        def step(self):
            assert not at_work
            at_work.append(self.name)
            order.append(self.name)
            measured = super().step()
            at_work.pop()
            return measured

    monkeypatch.setattr(race_module, "Worker", Watching)
    workload = "bench_workers:sleeping"
    contestants = {
        name: Contestant(workload=workload, arguments={"milliseconds": 0}) for name in "abc"
    }
    race(contestants, repeats=2, log=lambda line: None, warmups=0)
    assert order == list("abcabc")
