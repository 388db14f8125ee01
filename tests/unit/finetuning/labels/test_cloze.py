"""Cloze questions of tasks with labels: losses equal naive ones, and what is held out."""

import json

import pytest
import torch
from labelled_toys import labelled_glm, write_toys

from unblank.engine.parallel import World
from unblank.families.settings import ModelSettings
from unblank.families.table import FAMILIES
from unblank.finetuning.labels.cloze import ClozeScorer, describe_prompts
from unblank.finetuning.labels.reading import Labelled, StartingPoint, split_held_out
from unblank.finetuning.labels.training import LabelBatch, LabelUnit
from unblank.prompting import load_task, make_examples, read_examples
from unblank.prompting.scoring import encode_example
from unblank.prompting.training import target_shares
from unblank.tokenization import special_ids


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    return write_toys(tmp_path_factory.mktemp("toys"))


@pytest.mark.parametrize("pattern", [0, 1])
def test_the_loss_is_that_of_one_plain_forward_a_candidate(toys, pattern):
    toy = labelled_glm()
    model, tokenizer = toy.model, toy.tokenizer
    task = load_task(toys["task"])
    examples = read_examples(task, [toys["train"]]).examples[:5]
    prompts = [
        encode_example(tokenizer, task, example, task.pattern(pattern), max_length=48)
        for example in examples
    ]
    batch = LabelBatch(prompts, [target_shares(task, e) for e in examples], list(range(5)))
    unit = LabelUnit(ClozeScorer(labelled(task, tokenizer)))
    loss = unit(model, batch, torch.device("cpu"))["cloze"]
    assert loss.num_scored == unit.counts(batch)["cloze"] == 5
    loss.loss_sum.backward()
    gradient = model.model.embed_tokens.weight.grad.clone()
    model.zero_grad()
    expected = sum(
        naive_loss(model, tokenizer, prompt, example.answers[0])
        for prompt, example in zip(prompts, examples, strict=True)
    )
    expected.backward()
    torch.testing.assert_close(loss.loss_sum, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, model.model.embed_tokens.weight.grad, atol=1e-4, rtol=1e-3)


def labelled(task, tokenizer):
    """Return a task without any examples."""
    return Labelled(
        start=StartingPoint(ModelSettings(), 0, None),
        family=FAMILIES["glm"],
        task=task,
        tokenizer=tokenizer,
        train=(),
        validation=(),
        max_length=48,
        content=[],
        world=World(0, 1, torch.device("cpu")),
    )


def naive_loss(model, tokenizer, prompt, answer):
    """Softmax over the labels, each the sum of the probabilities of its ways to be said."""
    special = special_ids(tokenizer)
    part_a, blank = list(prompt.cloze.token_ids), prompt.cloze.blank
    scores = []
    for slots in prompt.slots:
        ways = []
        for slot in slots:
            words = list(prompt.cloze.candidates[slot])
            first = [*range(len(part_a)), *[blank] * (len(words) + 1)]
            second = [*[0] * len(part_a), *range(1, len(words) + 2)]
            log_p = (
                model(
                    input_ids=torch.tensor([[*part_a, special.sop, *words]]),
                    position_ids=torch.tensor([[first], [second]]),
                    prefix_lengths=torch.tensor([len(part_a)]),
                )
                .logits[0, len(part_a) :]
                .log_softmax(dim=-1)
            )
            targets = words if prompt.scoring == "logit" else [*words, special.eop]
            ways.append(sum(log_p[place, target] for place, target in enumerate(targets)))
        scores.append(torch.stack(ways).exp().sum().log())
    return -torch.stack(scores).log_softmax(dim=0)[answer]


def test_words_that_are_several_tokens_are_scored_by_their_sum(toys):
    tokenizer = labelled_glm().tokenizer
    task = load_task(toys["task"])
    (example, *_) = read_examples(task, [toys["train"]]).examples
    scorings = [
        encode_example(tokenizer, task, example, pattern, max_length=48).scoring
        for pattern in task.patterns
    ]
    assert scorings == ["logit", "sum"]


def test_candidates_that_are_the_same_tokens_are_counted_or_refused(tmp_path):
    (tmp_path / "own.yaml").write_text("candidates: options\npatterns: ['{text} [MASK].']\n")
    task, tokenizer = load_task(tmp_path / "own.yaml"), labelled_glm().tokenizer
    record = {"text": "we saw", "label": 0}

    def encode(*options):
        (example,) = make_examples(task, {**record, "options": list(options)}, "place")
        return encode_example(tokenizer, task, example, task.pattern(), max_length=48)

    assert describe_prompts([encode("fine", "dull")]) == "0 shortened"
    tied = encode("fine", "\u6771", "\u897f")
    assert describe_prompts([tied]) == "0 shortened, 1 with candidates that are the same tokens"
    with pytest.raises(ValueError, match=r"place: .*2 candidates"):
        encode("\u6771", "\u897f")


def test_the_same_examples_are_held_out_of_any_file_and_none_is_learnt(toys):
    examples = read_examples(load_task(toys["task"]), [toys["train"]]).examples
    learnt, held_out = split_held_out(examples, 0.25)
    assert sorted(e.place for e in (*learnt, *held_out)) == sorted(e.place for e in examples)
    assert not {e.fields["text"] for e in learnt} & {e.fields["text"] for e in held_out}
    assert 4 < len(held_out) < 32
    fewer = split_held_out(examples[10:], 0.25)[1]
    assert fewer == tuple(example for example in held_out if example in examples[10:])
    with pytest.raises(ValueError, match=r"\b1\b.*\b0\b"):
        split_held_out(learnt[:1], 0.01)


def test_what_is_held_out_does_not_depend_on_the_folder_of_the_file(tmp_path):
    task = load_task("multirc")
    passage = task.example["passage"]
    records = [
        json.dumps({**task.example, "passage": {**passage, "text": f"{number} {passage['text']}"}})
        for number in range(40)
    ]
    held_out = []
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        (folder / "train.jsonl").write_text("\n".join(records))
        examples = read_examples(task, [folder / "train.jsonl"]).examples
        out = split_held_out(examples, 0.4)[1]
        assert all(one in out for one in examples if one.group in {other.group for other in out})
        held_out.append([one.fields for one in out])
    assert held_out[0] == held_out[1]
