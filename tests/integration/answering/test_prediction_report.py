"""The report on a file with labels."""

import pytest

from unblank import extras
from unblank.answering.report import Judged, report_on
from unblank.prompting import load_task


def test_a_score_that_needs_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda package: package != "sklearn")
    judged = [Judged(right=(label,), guess=label, probability=0.9) for label in ("0", "1")]
    with pytest.warns(UserWarning, match=r"matthews.*unblank\[eval\]"):
        report = report_on(load_task("cola"), judged, 0.0, 0)
    assert report.values["scores"]["accuracy"] == 100.0
