"""Curves of characters: each point where it belongs."""

import json

from unblank.demo.curve import text_plot
from unblank.demo.run import loss_curve


def test_points_lie_at_their_places():
    lines = text_plot({".": [(0, 0.0), (10, 1.0)], "o": [(5, 0.5)]}, width=11, height=5)
    assert lines == [
        "1.00 |          .",
        "     |",
        "     |     o",
        "     |",
        "0.00 |.",
        "     +-----------",
        "      0        10",
    ]


def test_one_point_and_no_point():
    assert text_plot({".": []}) == []
    assert sum(line.count("x") for line in text_plot({"x": [(3, 2.0)]})) == 1


def test_the_curve_of_a_run_leaves_out_its_first_steps(tmp_path):
    steps = range(10, 1001, 10)
    lines = [json.dumps({"step": step, "loss": 100.0 if step < 30 else 3.0}) for step in steps]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, ""]))
    (tmp_path / "validation.jsonl").write_text('{"step": 500, "loss": 2.0}\n')
    text = "\n".join(loss_curve(tmp_path))
    assert "100" not in text.replace("1000", "")
    assert text.count("o") == 1
    assert loss_curve(tmp_path / "nothing") == []
