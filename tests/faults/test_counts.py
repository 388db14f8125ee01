import counts
from counts import hard_count


def test_the_usual_suite_tries_few_and_the_hard_one_all(monkeypatch):
    for hardness, expected in ((0.0, 20), (0.001, 20), (0.1, 200), (1.0, 2000)):
        monkeypatch.setattr(counts, "HARDNESS", hardness)
        assert hard_count(20, 2000) == expected
