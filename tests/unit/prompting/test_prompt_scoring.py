"""Scores of labels equal those of a naive second way: one plain forward for every candidate."""

import numpy as np
import pytest
import torch

from unblank.examples import IGNORE_INDEX
from unblank.generation.score import Cloze
from unblank.objectives.context import make_context
from unblank.objectives.infilling import single_token_span
from unblank.objectives.settings import ObjectiveSettings
from unblank.prompting import load_task, make_examples, predict, score_examples, task_names
from unblank.prompting.patterns import FilledPattern
from unblank.prompting.scoring import ClozePrompt, encode_example, score_prompts
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


def test_an_answer_marked_by_a_sentinel_scores_as_the_span_of_pretraining(tiny_with_sentinels):
    model, special = tiny_with_sentinels.model, special_ids(tiny_with_sentinels.tokenizer)
    positions, vocabulary = model.config.max_position_embeddings, model.config.vocab_size
    context = make_context(
        ObjectiveSettings(sentinels=True), special, np.zeros(vocabulary, bool), positions
    )
    text = np.array([special.cls, *context.ordinary_ids[40:60], special.eos])
    example = single_token_span(text, np.random.default_rng(5), context)
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor(example.input_ids)[None],
            position_ids=torch.tensor(example.position_ids)[:, None],
            prefix_lengths=torch.tensor([example.prefix_length]),
        ).logits[0]
    labels = torch.tensor(example.labels)
    is_label = labels != IGNORE_INDEX
    log_p = logits.log_softmax(dim=-1)[is_label].gather(1, labels[is_label][:, None])

    part_a = example.input_ids[: example.prefix_length].tolist()
    blank = part_a.index(special.sentinels[0])
    part_a[blank] = special.mask
    span = labels[is_label][:-1].tolist()
    cloze = Cloze(tuple(part_a), blank, [tuple(span), (*span, span[0])])
    prompt = ClozePrompt(cloze, ((0,), (1,)), FilledPattern("", "[MASK]", ""), "sum")
    (scores,) = score_prompts(model, special, [prompt], "sentinel")
    torch.testing.assert_close(scores[0], log_p.sum(), atol=1e-4, rtol=1e-4)
    (in_blank,) = score_prompts(model, special, [prompt], "blank")
    assert abs(in_blank[0].item() - scores[0].item()) > 1e-3


def test_sentinels_are_asked_for_only_where_there_are_some(tiny):
    task = load_task("rte")
    examples = make_examples(task, dict(task.example))
    with pytest.raises(ValueError, match="'sentinel'"):
        score_examples(tiny.model, tiny.tokenizer, task, examples, layout="sentinel")
