"""What a benchmark says beside its numbers: whether a target is met, and who else was at work."""

import subprocess
import sys
import time

import pytest

from unblank.bench.machine import OthersShare
from unblank.bench.report import ReportRow, at_least, at_most
from unblank.commands.bench import BenchSettings


def test_a_target_is_held_against_the_column_it_names():
    values = {"name": "row", "unit": "s", "ours": 11.0, "ratio": 2.0}
    assert ReportRow(**values, target=at_least(2)).has_passed
    assert not ReportRow(**values, target=at_most(1.9)).has_passed
    assert ReportRow(**values, target=at_most(12, of="ours")).has_passed
    assert ReportRow(**values).has_passed is None


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"size": ()}])
def test_settings_that_measure_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=r"repeats|size"):
        BenchSettings(**wrong)


def test_the_work_of_other_processes_is_told_from_our_own():
    others = OthersShare()
    if others.measure() is None:
        pytest.skip("this system has no /proc/stat")
    spinning = "import time; end = time.time() + 0.5\nwhile time.time() < end: pass"
    foreign = subprocess.Popen([sys.executable, "-c", spinning])
    time.sleep(0.6)
    before = others.measure()
    foreign.wait()  # what an ended child used counts as ours
    assert before > others.measure()
