"""A table of what was tried, at the end of the tests of faults."""

from collections import Counter
from collections.abc import Callable

import pytest

PROPERTY = "faults tried"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Return what puts counts into the final table: `tally(kind, outcome=count, ...)`.

    A kind is a row, such as "damaged records"; counts of the same kind are added up, also over
    tests. Give `tried`, and what became of them (underscores are shown as spaces):
    `tally("damaged records", tried=2000, named=1990, harmless=10)`.
    """

    def add(kind: str, **counts: int) -> None:
        record_property(PROPERTY, [kind, counts])

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == PROPERTY:
                kind, counts = value
                rows.setdefault(kind, Counter()).update(counts)
    if not rows:
        return
    terminalreporter.section("faults tried")
    for kind, counts in sorted(rows.items()):
        shown = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
        terminalreporter.write_line(f"| {kind} | {shown} |")
