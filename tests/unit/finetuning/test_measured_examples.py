"""`validation_samples` is a fixed random choice of every file, not its beginning."""

from unblank.data.drawing import drawn_places
from unblank.finetuning.labels.held_out import measured_examples
from unblank.prompting.examples import TaskExample


def example(place, group=""):
    return TaskExample(place, {"text": place}, ("yes",), ("yes", "no"), None, group)


def test_each_file_gives_its_share_from_all_over_it():
    examples = [example(f"{name}.jsonl, line {n}") for name in "ab" for n in range(100)]
    drawn = measured_examples(examples, 40)
    assert drawn == measured_examples(examples, 40)
    assert [sum(one.place.startswith(name) for one in drawn) for name in "ab"] == [20, 20]
    assert list(drawn) == [one for one in examples if one in drawn]
    numbers = [int(one.place.rpartition(" ")[2]) for one in drawn]
    assert sum(number >= 50 for number in numbers) > 8
    assert measured_examples(examples, None) == tuple(examples) == measured_examples(examples, 500)
    assert measured_examples([], 3) == ()


def test_questions_that_are_judged_together_stay_together():
    examples = [example(f"a.jsonl, line {n}", f"group {n // 4}") for n in range(80)]
    drawn = measured_examples(examples, 10)
    groups = [one.group for one in drawn]
    assert len(drawn) == 8
    assert all(groups.count(group) == 4 for group in groups)
    assert len(measured_examples(examples, 2)) == 4, "at least one question whole"


def test_sources_of_pairs_are_drawn_from_all_over_each_entry():
    first, second = drawn_places([100, 50], 30)
    assert (len(first), len(second)) == (20, 10)
    assert first == sorted(set(first))
    assert max(first) >= 50
    assert [first, second] == drawn_places([100, 50], 30)
