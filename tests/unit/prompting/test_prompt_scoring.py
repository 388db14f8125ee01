"""Scores of labels equal those of a naive second way: one plain forward for every candidate."""

import pytest
import torch

from unblank.prompting import load_task, make_examples, predict, score_examples, task_names
from unblank.prompting.scoring import encode_example
from unblank.tokenization import special_ids


def naive_score(tiny, part_a, blank, candidate, *, with_end):
    """The log-probability of one candidate: a row of its own, position by position."""
    special = special_ids(tiny.tokenizer)
    inputs = [*part_a, special.sop, *candidate]
    first = torch.tensor([*range(len(part_a)), *[blank] * (len(candidate) + 1)])
    second = torch.tensor([*[0] * len(part_a), *range(1, len(candidate) + 2)])
    with torch.no_grad():
        logits = tiny.model(
            input_ids=torch.tensor([inputs]),
            position_ids=torch.stack([first, second])[:, None],
            prefix_lengths=torch.tensor([len(part_a)]),
        ).logits[0]
    log_p = logits.float().log_softmax(dim=-1)
    targets = [*candidate, special.eop] if with_end else candidate
    return sum(float(log_p[len(part_a) + i, target]) for i, target in enumerate(targets))


@pytest.mark.parametrize("name", task_names())
def test_one_pass_scores_equal_those_of_one_candidate_after_the_other(tiny, name):
    task = load_task(name)
    for example in make_examples(task, dict(task.example)):
        for number, pattern in enumerate(task.patterns):
            prompt = encode_example(tiny.tokenizer, task, example, pattern, max_length=128)
            scores = score_examples(tiny.model, tiny.tokenizer, task, [example], pattern=number)[0]
            for score, slots in zip(scores, prompt.slots, strict=True):
                ways = [
                    naive_score(
                        tiny,
                        prompt.cloze.token_ids,
                        prompt.cloze.blank,
                        prompt.cloze.candidates[slot],
                        with_end=prompt.scoring != "logit",
                    )
                    for slot in slots
                ]
                expected = torch.tensor(ways).logsumexp(dim=0)
                torch.testing.assert_close(score, expected, atol=2e-4, rtol=1e-4)


def test_an_ensemble_averages_the_probabilities_of_its_patterns(tiny):
    task = load_task("rte")
    examples = make_examples(task, dict(task.example))
    alone = [predict(tiny.model, tiny.tokenizer, task, examples, patterns=[n])[0] for n in (0, 4)]
    together = predict(tiny.model, tiny.tokenizer, task, examples, patterns=[0, 4])[0]
    expected = torch.tensor([one.probabilities for one in alone]).mean(dim=0)
    torch.testing.assert_close(torch.tensor(together.probabilities), expected)


def test_batches_do_not_change_a_score(tiny):
    task = load_task("copa")
    record = dict(task.example)
    examples = [
        made
        for premise in ("A cat sat.", "The dog ran on a mat so it is true.", "No.")
        for made in make_examples(task, {**record, "premise": premise})
    ]
    one_by_one = score_examples(tiny.model, tiny.tokenizer, task, examples, batch_size=1)
    together = score_examples(tiny.model, tiny.tokenizer, task, examples, batch_size=3)
    for alone, beside in zip(one_by_one, together, strict=True):
        torch.testing.assert_close(alone, beside, atol=1e-4, rtol=1e-4)


def test_masked_scores_equal_those_of_each_candidate_alone(tiny):
    special = special_ids(tiny.tokenizer)
    task = load_task("copa")
    for example in make_examples(task, dict(task.example)):
        prompt = encode_example(tiny.tokenizer, task, example, task.pattern(), max_length=128)
        (scores,) = score_examples(tiny.model, tiny.tokenizer, task, [example], layout="masked")
        part_a, blank = list(prompt.cloze.token_ids), prompt.cloze.blank
        for score, candidate in zip(scores, prompt.cloze.candidates, strict=True):
            row = part_a[:blank] + [special.mask] * len(candidate) + part_a[blank + 1 :]
            with torch.no_grad():
                log_p = tiny.model(input_ids=torch.tensor([row])).logits[0].log_softmax(dim=-1)
            expected = sum(log_p[blank + i, token] for i, token in enumerate(candidate))
            torch.testing.assert_close(score, expected, atol=1e-4, rtol=1e-4)
