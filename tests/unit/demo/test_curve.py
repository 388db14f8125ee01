"""Curves of characters: each point where it belongs."""

from unblank.demo.curve import text_plot


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
