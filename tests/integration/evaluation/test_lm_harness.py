"""lm-eval on a GLM: each kind of request, and a local task from file to table."""

import json
import math
import shutil

import pytest
import torch
from evaluation_toys import write
from lm_eval_tasks import leave_its_own_tasks_unread
from tiny_models import encoder_decoder

from unblank.evaluation.options import LmEvalOptions
from unblank.evaluation.run import evaluate
from unblank.tokenization import special_ids
from unblank.tokenization.encoding import encode_texts

pytest.importorskip("lm_eval", reason="needs the extra eval")


class Request:
    """What lm-eval hands a model, as far as a model looks at it."""

    def __init__(self, *args):
        self.args = args


@pytest.fixture(scope="module")
def harness(tiny):
    from unblank.evaluation.lm_harness import BlankLM

    return BlankLM(tiny.model, tiny.tokenizer)


def next_logits(tiny, context_ids, written):
    special = special_ids(tiny.tokenizer)
    part_a = [special.cls, *context_ids, special.gmask]
    num_b = 1 + len(written)
    positions = [
        [*range(len(part_a)), *[len(part_a) - 1] * num_b],
        [0] * len(part_a) + list(range(1, num_b + 1)),
    ]
    with torch.inference_mode():
        return tiny.model(
            input_ids=torch.tensor([[*part_a, special.sop, *written]]),
            position_ids=torch.tensor(positions)[:, None],
            prefix_lengths=torch.tensor([len(part_a)]),
        ).logits[0, -1]


def naive_log_probability(tiny, context_ids, continuation_ids):
    """One forward a token; whether greedy decoding would write the same."""
    total, is_greedy = 0.0, True
    for index, token in enumerate(continuation_ids):
        logits = next_logits(tiny, context_ids, continuation_ids[:index])
        total += float(logits.log_softmax(0)[token])
        is_greedy &= int(logits.argmax()) == token
    return total, is_greedy


def test_continuations_of_shared_contexts_score_as_if_each_stood_alone(tiny, harness):
    pairs = [
        ("the old cat", " sat on a mat"),
        ("the old cat", " sat"),
        ("one small dog", " sat"),
        ("the old cat", " sat"),
        ("", "the cat"),
        ("the old cat ", "sat"),
        ("a [MASK] in the text", " run"),
    ]
    found = harness.loglikelihood([Request(*pair) for pair in pairs])
    for (context, continuation), (log_p, is_greedy) in zip(pairs, found, strict=True):
        kept = context.rstrip()
        context_ids = encode_texts(tiny.tokenizer, [kept])[0] if kept else []
        text = context[len(kept) :] + continuation
        expected = naive_log_probability(tiny, context_ids, encode_texts(tiny.tokenizer, [text])[0])
        assert log_p == pytest.approx(expected[0], abs=1e-4)
        assert is_greedy == expected[1]
    assert found[1] == found[3] == found[5]


def test_greedy_is_true_for_what_the_model_itself_writes(tiny, harness):
    (written,) = harness.generate_until([Request("the old cat", {"max_gen_toks": 3})])
    context_ids = encode_texts(tiny.tokenizer, ["the old cat"])[0]
    best = []
    for _ in range(2):
        best.append(int(next_logits(tiny, context_ids, best).argmax()))
    from unblank.generation.score import Cloze, score_first_choices

    special = special_ids(tiny.tokenizer)
    part_a = (special.cls, *context_ids, special.gmask)
    cloze = Cloze(part_a, len(part_a) - 1, [best, [best[0], best[1] + 1]])
    ((_, is_first),) = score_first_choices(tiny.model, [cloze], sop_id=special.sop)
    assert is_first.tolist() == [True, False]
    assert isinstance(written, str)


def test_rolling_scores_every_token_once_the_first_given_nothing(tiny, harness):
    texts = ["the old grey cat sat", " ".join(["a warm mat and one dog"] * 14), ""]
    found = harness.loglikelihood_rolling([Request(text) for text in texts])
    ids = encode_texts(tiny.tokenizer, [texts[0]])[0]
    assert found[0] == pytest.approx(naive_log_probability(tiny, [], ids)[0], abs=1e-4)
    ids = encode_texts(tiny.tokenizer, [texts[1]])[0]
    assert len(ids) > 64
    expected, position = naive_log_probability(tiny, [], ids[:63])[0], 63
    while position < len(ids):
        before, target = ids[position - 32 : position], ids[position : position + 32]
        expected += naive_log_probability(tiny, before, target)[0]
        position += 32
    assert found[1] == pytest.approx(expected, abs=1e-3)
    assert found[2] == 0.0


def test_answers_end_at_the_first_stop_text(harness):
    whole, cut = harness.generate_until(
        [
            Request("the old cat", {"max_gen_toks": 8}),
            Request("the old cat", {"until": ["a", "t"], "max_gen_toks": 8, "temperature": 0.0}),
        ]
    )
    assert whole.startswith(cut)
    assert not {"a", "t"} & set(cut)
    with pytest.raises(ValueError, match="repetition"):
        harness.generate_until([Request("the cat", {"repetition": 1.0})])


def test_long_contexts_lose_their_beginning_and_are_counted(tiny):
    from unblank.evaluation.lm_harness import BlankLM

    harness = BlankLM(tiny.model, tiny.tokenizer)
    long = " ".join(["cat"] * 200)
    shorter = " ".join(["cat"] * 150)
    (first, _), (second, _) = harness.loglikelihood(
        [Request(long, " dog"), Request(shorter, " dog")]
    )
    assert first == pytest.approx(second)
    assert harness.num_cut == 2


def choice_task(folder):
    """Write a task: one question with either answer as the right one."""
    choices = [{"question": "a cat", "choices": ["sat", "on a mat"]} for _ in range(2)]
    choices = [{**record, "label": n} for n, record in enumerate(choices)]
    data = write(folder / "data.jsonl", choices)
    task = folder / "choice.yaml"
    task.write_text(
        f"task: choice\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{question}}'\n"
        "doc_to_choice: '{{choices}}'\ndoc_to_target: '{{label}}'\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    return task


def test_a_local_task_runs_offline_from_file_to_table(model_folder, tmp_path):
    task = choice_task(tmp_path)
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "other.yaml").write_text("task: choice\ndataset_path: none\n")
    scores, path = evaluate(
        LmEvalOptions(model=str(model_folder), tasks=(str(task),), output=tmp_path / "o.json")
    )
    assert [(score.task, score.metric, score.count) for score in scores] == [("choice", "acc", 2)]
    # One question with either answer as the right one: exactly one of the two is right.
    assert scores[0].value == 0.5
    assert not math.isnan(scores[0].standard_error)
    assert '"doc_id": 1' in path.read_text(encoding="utf-8")
    group = tmp_path / "all.yaml"
    metrics = "[{metric: acc, aggregation: mean, weight_by_size: true}]"
    group.write_text(f"group: all\ntask: [choice]\naggregate_metric_list: {metrics}\n")
    shutil.rmtree(tmp_path / "copies")
    settings = {"model": str(model_folder), "output": tmp_path / "group.json"}
    scores, _ = evaluate(LmEvalOptions(**settings, tasks=(str(group),)))
    assert {(score.task, score.value, score.count) for score in scores} == {
        ("choice", 0.5, 2),
        ("all", 0.5, 2),
    }
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        evaluate(LmEvalOptions(model=str(model_folder), tasks=("none.yaml",)))
    with pytest.raises(ValueError, match=r"--tasks FILE\.yaml"):
        evaluate(LmEvalOptions(model=str(model_folder)))
    for text, message in (
        ("task: x\n  a: [\n", "lm-eval cannot read the task"),
        ("a: 1", "names"),
    ):
        task.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            evaluate(LmEvalOptions(model=str(model_folder), tasks=(str(task),)))


def test_lm_evals_own_command_knows_our_models(model_folder, tmp_path, monkeypatch, capsys):
    from unblank.lm_eval import cli_evaluate

    task = choice_task(tmp_path)
    own = f"--model unblank --model_args pretrained={model_folder},dtype=fp32"
    results = tmp_path / "results.json"
    asked = f"--tasks {task} --output_path {results}"
    monkeypatch.setattr("sys.argv", ["lm_eval", *own.split(), *asked.split()])
    leave_its_own_tasks_unread(monkeypatch)
    cli_evaluate()
    assert "|choice|" in capsys.readouterr().out
    (found,) = tmp_path.glob("results_*.json")
    scores = json.loads(found.read_text(encoding="utf-8"))["results"]["choice"]
    assert scores["acc,none"] == 0.5


def test_lm_eval_measures_what_fills_blanks(tmp_path):
    from unblank.evaluation.lm_harness import FolderLM

    for part in encoder_decoder("deltalm"):
        part.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="deltalm"):
        FolderLM(str(tmp_path))
