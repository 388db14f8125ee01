"""Tables of scores in many languages."""

from unblank.evaluation.language_tables import scores_table
from unblank.evaluation.results import Score


class CountedScore(Score):
    """Counts how often its language is looked at."""

    looks = 0

    def __getattribute__(self, name):
        if name == "language":
            CountedScore.looks += 1
        return super().__getattribute__(name)


def test_thousands_of_directions_are_a_table_in_linear_time():
    scores = [
        CountedScore(task="t", metric=metric, value=1.0, count=3, language=f"{n}-en")
        for n in range(500)
        for metric in ("bleu", "chrf")
    ]
    table = scores_table("scores", scores)
    assert table.row_count == 500
    assert CountedScore.looks < 10 * len(scores)
