"""Understanding and writing: what a suite prints equals what its parts give by themselves."""

import json
from statistics import fmean

import pytest
import torch
from evaluation_toys import write

from unblank.cli import main
from unblank.data.language_files import LanguageFile
from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options
from unblank.metrics.text import score_texts
from unblank.prompting.examples import make_examples
from unblank.prompting.scoring import encode_example
from unblank.prompting.task_files import load_task
from unblank.questions.asking import QuestionEncoder
from unblank.questions.reading import read_questions
from unblank.questions.windows import cut_windows
from unblank.tokenization import special_ids

RTE = [
    {"premise": f"the cat sat on mat {n}", "hypothesis": "a cat sat", "label": label, "idx": n}
    for n, label in enumerate(["entailment", "not_entailment"] * 3)
]
CB = [
    {"premise": "the cat sat", "hypothesis": f"a dog run {n}", "label": label, "idx": n}
    for n, label in enumerate(["entailment", "contradiction", "neutral"])
]


def run(model_folder, tmp_path, **options):
    path = tmp_path / "out.json"
    path.unlink(missing_ok=True)  # of another measurement, which is never replaced
    scores, _ = evaluate(
        suite_options(options["suite"])(model=str(model_folder), output=path, **options)
    )
    return scores, json.loads(path.read_text(encoding="utf-8"))


def test_superglue_equals_scoring_each_candidate_by_itself(tiny, model_folder, tmp_path):
    write(tmp_path / "nlu/superglue/RTE/val.jsonl", RTE)
    scores, content = run(
        model_folder, tmp_path, suite="superglue", data=tmp_path, tasks=("rte",), pattern=(0,)
    )
    assert [(score.task, score.metric) for score in scores] == [("rte", "accuracy")]
    lines = content["predictions"]
    for record, line in zip(RTE, lines, strict=True):
        text = f'"a cat sat" ? [MASK], "{record["premise"]}"'
        alone = {word: tiny.score(text, [word]).best.score for word in ("Yes", "No")}
        assert line["probabilities"][0] > 0
        best = max(alone, key=alone.__getitem__)
        assert (line["prediction"] == "entailment") == (best == "Yes"), (alone, line)
    hits = [line["prediction"] == line["labels"][0] for line in lines]
    assert scores[0].value == 100.0 * sum(hits) / len(hits)


def test_questions_are_asked_in_the_layout_that_is_told(tiny, model_folder, tmp_path):
    write(tmp_path / "nlu/superglue/RTE/val.jsonl", RTE)
    options = {"suite": "superglue", "data": tmp_path, "tasks": ("rte",), "pattern": (0,)}
    _, content = run(model_folder, tmp_path, layout="masked", **options)
    mask, task = special_ids(tiny.tokenizer).mask, load_task("rte")
    for record, line in zip(RTE, content["predictions"], strict=True):
        (example,) = make_examples(task, record)
        cloze = encode_example(tiny.tokenizer, task, example, task.pattern(0), max_length=64).cloze
        scores = []
        for answer in cloze.candidates:
            ids = list(cloze.token_ids)
            ids[cloze.blank : cloze.blank + 1] = [mask] * len(answer)
            with torch.no_grad():
                log_p = tiny.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=-1)
            places = range(cloze.blank, cloze.blank + len(answer))
            scores.append(log_p[places, answer].sum())
        expected = torch.stack(scores).softmax(dim=0).tolist()
        assert line["probabilities"] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="'sentinel'"):
        run(model_folder, tmp_path, layout="sentinel", **options)


def test_data_of_one_class_is_told(model_folder, tmp_path, capsys):
    file = write(tmp_path / "rte.jsonl", RTE[::2])
    run(model_folder, tmp_path, suite="cloze", tasks=("rte",), file=(str(file),))
    told = capsys.readouterr().err
    assert f"{file}, line 1 to {file}, line 3" in told
    assert "'entailment'" in told


def test_the_average_counts_a_task_of_two_metrics_by_their_mean(model_folder, tmp_path, capsys):
    write(tmp_path / "nlu/superglue/RTE/val.jsonl", RTE)
    write(tmp_path / "nlu/superglue/CB/val.jsonl", CB)
    scores, _ = run(model_folder, tmp_path, suite="superglue", data=tmp_path)
    values = {(score.task, score.metric): score.value for score in scores}
    (average,) = (score for score in scores if score.task == "superglue")
    cb = fmean([values["cb", "accuracy"], values["cb", "macro_f1"]])
    assert average.value == pytest.approx(fmean([cb, values["rte", "accuracy"]]))
    assert average.metric == "mean of only 2 tasks"
    assert "left out copa" in capsys.readouterr().err


def test_the_exact_match_of_multirc_counts_questions(model_folder, tmp_path):
    answers = [{"text": "a cat", "label": 1}, {"text": "a dog", "label": 0}]
    questions = [{"question": "what sat", "answers": answers} for _ in range(2)]
    record = {"passage": {"text": "the cat sat", "questions": questions}}
    write(tmp_path / "nlu/superglue/MultiRC/val.jsonl", [record, record])
    options = {"suite": "superglue", "data": tmp_path, "tasks": ("multirc",)}
    scores, content = run(model_folder, tmp_path, **options)
    counts = {score.metric: score.count for score in scores}
    assert counts == {"f1a": 8, "em": 4, "accuracy": 8}
    right = {}
    for line in content["predictions"]:
        is_right = line["prediction"] == line["labels"][0]
        right[line["group"]] = right.get(line["group"], True) and is_right
    exact = next(score.value for score in scores if score.metric == "em")
    assert exact == pytest.approx(100 * fmean(right.values()))


def test_a_part_of_two_validation_files_is_left_out_and_can_be_asked_for(
    model_folder, tmp_path, capsys
):
    records = [{"sentence": f"the cat sat {n}", "label": n} for n in (0, 1)]
    for domain in ("in_domain", "out_of_domain"):
        write(tmp_path / f"nlu/glue/CoLA/validation_{domain}.jsonl", records)
    write(tmp_path / "nlu/glue/SST-2/validation.jsonl", records)
    options = {"suite": "glue", "data": tmp_path}
    scores, _ = run(model_folder, tmp_path, **options)
    assert {score.task for score in scores} == {"sst2"}
    told = " ".join(capsys.readouterr().err.split())
    assert "left out cola" in told
    assert "validation_in_domain.jsonl" in told
    assert "such as validation_in_domain: --tasks cola --split NAME" in told
    one = {"tasks": ("cola",), "split": "validation_out_of_domain"}
    scores, _ = run(model_folder, tmp_path, **options, **one)
    assert scores[0].count == 2
    with pytest.raises(ValueError, match="--tasks cola --split NAME"):
        run(model_folder, tmp_path, **options, tasks=("cola", "sst2"))


def test_ones_own_task_needs_no_code(model_folder, tmp_path):
    task = tmp_path / "mood.yaml"
    task.write_text(
        "verbalizer: {good: warm, bad: cold}\npatterns: ['{text} It is [MASK].']\n",
        encoding="utf-8",
    )
    file = write(tmp_path / "mood.jsonl", [{"text": "a cat", "label": "good"}] * 3)
    scores, content = run(
        model_folder, tmp_path, suite="cloze", tasks=(str(task),), file=(str(file),)
    )
    assert scores[0].task == "mood"
    assert content["predictions"][0]["labels"] == ["good"]
    with pytest.raises(ValueError, match="--tasks NAME_OR_YAML --file FILE"):
        run(model_folder, tmp_path, suite="cloze", tasks=(str(task),))


def test_written_texts_are_scored_against_their_references(model_folder, tmp_path):
    records = [{"sentence": f"the cat saw dog {n}", "question": "who saw it ?"} for n in range(3)]
    write(tmp_path / "seq2seq/squad_qg/validation.jsonl", records)
    scores, content = run(
        model_folder, tmp_path, suite="question-generation", data=tmp_path, max_tokens=5,
        num_beams=2,
    )  # fmt: skip
    lines = content["predictions"]
    expected = score_texts(
        [line["prediction"] for line in lines],
        [line["references"] for line in lines],
        ["bleu", "rouge"],
    )
    assert {score.metric: score.value for score in scores} == pytest.approx(expected.values)
    assert lines[0]["source"] == "the cat saw dog 0"
    own = write(tmp_path / "own.jsonl", [{"long": ["a cat.", "a dog."], "short": ["cat", "dog"]}])
    _, content = run(
        model_folder, tmp_path, suite="summarization", file=(str(own),), source_field="long",
        target_field="short", max_tokens=3, num_beams=1, no_repeat_ngram=0,
    )  # fmt: skip
    assert content["predictions"][0]["source"] == "a cat. a dog."
    assert content["predictions"][0]["references"] == ["cat", "dog"]


def test_bleu_is_divided_as_its_language_needs_or_as_asked_and_says_so(
    model_folder, tmp_path, capsys
):
    chinese = {"sentence": "the cat saw", "question": "\u8c01\u770b\u89c1\u4e86\u732b"}
    write(tmp_path / "seq2seq/squad_qg/validation.jsonl", [chinese] * 2)
    options = {"data": tmp_path, "tasks": ("squad_qg",), "max_tokens": 3, "num_beams": 1}
    for given, expected in (({}, "zh"), ({"bleu_tokenizer": "char"}, "char")):
        _, content = run(model_folder, tmp_path, suite="question-generation", **options, **given)
        signature = content["scores"][0]["details"]["signature"]
        assert f"tok:{expected}|" in signature
        assert f"squad_qg: bleu {signature}" in capsys.readouterr().err


def test_every_summary_of_a_dialogue_is_a_reference(model_folder, tmp_path):
    record = {"dialogue": "a: the cat sat."} | {f"summary{n}": f"cat {n}." for n in (1, 2, 3)}
    write(tmp_path / "seq2seq/dialogsum/test.jsonl", [record])
    write(tmp_path / "seq2seq/dialogsum/dev.jsonl", [{"dialogue": "a dog.", "summary": "dog."}])
    for split, expected in (("test", ["cat 1.", "cat 2.", "cat 3."]), ("validation", ["dog."])):
        options = {"data": tmp_path, "tasks": ("dialogsum",), "split": split, "max_tokens": 3}
        _, content = run(model_folder, tmp_path, suite="summarization", num_beams=1, **options)
        assert content["predictions"][0]["references"] == expected


def test_each_length_penalty_is_tried_as_if_alone_and_the_best_is_named(
    model_folder, tmp_path, capsys
):
    records = [{"sentence": f"the cat saw dog {n}", "question": "who saw it ?"} for n in range(3)]
    write(tmp_path / "seq2seq/squad_qg/validation.jsonl", records)
    options = {"suite": "question-generation", "data": tmp_path, "max_tokens": 6, "num_beams": 3}
    both, content = run(model_folder, tmp_path, length_penalty=(0.0, 4.0), **options)
    for penalty in (0.0, 4.0):
        alone, one = run(model_folder, tmp_path, length_penalty=(penalty,), **options)
        name = f"squad_qg, penalty {penalty:g}"
        assert [s.value for s in both if s.task == name] == [s.value for s in alone]
        texts = [line["prediction"] for line in content["predictions"] if line["task"] == name]
        assert texts == [line["prediction"] for line in one["predictions"]]
    assert "squad_qg: length penalty" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"length_penalty.*num_beams"):
        run(model_folder, tmp_path, **{**options, "num_beams": 1}, length_penalty=(0.5, 1.0))


def test_a_missing_field_is_named_with_file_and_line(model_folder, tmp_path, capsys):
    write(tmp_path / "seq2seq/squad_qg/validation.jsonl", [{"sentence": "a", "quest": "b"}])
    words = ["evaluate", str(model_folder), "--suite", "question-generation"]
    with pytest.raises(SystemExit):
        main([*words, "--data", str(tmp_path)])
    error = capsys.readouterr().err
    assert "validation.jsonl, line 1" in error
    assert "'question'" in error
    assert "did you mean 'quest'" in error


def test_languages_have_rows_of_their_own_and_a_mean_of_equal_weight(model_folder, tmp_path):
    records = RTE[:4]
    for language, some in (("en", records), ("swh", records[:1]), ("de", records[:2])):
        write(tmp_path / f"rte.{language}.jsonl", some)
    options = {"suite": "cloze", "tasks": ("rte",), "file": (f"{tmp_path}/rte.{{lang}}.jsonl",)}
    scores, content = run(model_folder, tmp_path, **options)
    values = {score.language: score.value for score in scores}
    assert list(values) == ["de", "en", "sw", "mean", "mean without en", "en above the others"]
    assert values["mean"] == pytest.approx(fmean([values["de"], values["en"], values["sw"]]))
    assert values["mean without en"] == pytest.approx(fmean([values["de"], values["sw"]]))
    gap = values["en"] - values["mean without en"]
    assert values["en above the others"] == pytest.approx(gap)
    assert {score.task for score in scores} == {"rte"}
    assert scores[3].count == 7
    assert {line["lang"] for line in content["predictions"]} == {"en", "sw", "de"}
    head, row, errors = (tmp_path / "out.csv").read_text().splitlines()
    assert errors.startswith('rte,"accuracy, standard error",')
    assert head == "task,metric,de,en,sw,mean,mean without en,en above the others"
    assert row.split(",")[3] == f"{values['en']:.2f}"
    assert (tmp_path / "out.md").read_text().startswith("| task | metric | de | en | sw |")


def test_a_suite_of_many_languages_reads_the_language_from_names(model_folder, tmp_path):
    label = {"premise": "the cat", "hypothesis": "a dog", "label": "neutral"}
    for language in ("de", "zho", "en"):
        write(tmp_path / f"xling/xnli/validation.{language}.jsonl", [label] * 2)
    options = {"suite": "xnli", "data": tmp_path, "prompts": "translated", "words": "english"}
    scores, content = run(model_folder, tmp_path, **options)
    assert [score.language for score in scores][:3] == ["de", "en", "zh"]
    assert {line["lang"] for line in content["predictions"]} == {"de", "en", "zh"}
    scores, _ = run(model_folder, tmp_path, languages=("zh",), **options)
    assert [score.language for score in scores] == ["zh"]
    with pytest.raises(ValueError, match=r"\bis\b"):
        run(model_folder, tmp_path, languages=("is",), **options)


def test_a_suite_of_questions_equals_finding_the_best_answer_of_each_window(
    tiny, model_folder, tmp_path
):
    context = "the cat sat on a mat so the dog ran and " * 6
    record = {"context": context, "question": "what sat?", "answers": ["cat", "dog"]}
    for language in ("en", "de"):
        write(tmp_path / f"xling/xquad/validation.{language}.jsonl", [record])
    options = {"suite": "xquad", "data": tmp_path, "max_source_length": 48, "max_tokens": 3}
    scores, content = run(model_folder, tmp_path, **options)
    line = content["predictions"][0]
    special = special_ids(tiny.tokenizer)
    encoder = QuestionEncoder(tiny.tokenizer, special, "english", "[sMASK]")
    question = read_questions(LanguageFile(tmp_path / "xling/xquad/validation.en.jsonl", "en"))[0]
    windows = cut_windows(tiny.tokenizer, context, lambda part: encoder.encode(question, part), 48)
    assert len(windows) > 2
    written = [
        tiny.fill(
            encoder.text(question, context[window.start : window.end]), max_tokens=3, min_tokens=1
        ).blanks[0]
        for window in windows
    ]
    best = max(
        written, key=lambda one: sum(one.log_probabilities) + (one.end_log_probability or 0.0)
    )
    assert line["written"].strip() == best.text.strip()
    assert {score.metric for score in scores} == {
        "f1", "em", "char_f1", "in_context", "other_script",
    }  # fmt: skip
    values = {(score.language, score.metric): score.value for score in scores}
    assert values["mean", "f1"] == pytest.approx(values["de", "f1"])


@pytest.mark.parametrize("num_beams", [1, 3])
def test_extracted_answers_stand_in_their_passages(tiny, model_folder, tmp_path, num_beams):
    records = [
        {"context": f"the {one} sat on a mat, so " * 5, "question": "what?", "answers": [one]}
        for one in ("dog", "cat")
    ]
    write(tmp_path / "xling/xquad/validation.en.jsonl", records)
    options = {"suite": "xquad", "data": tmp_path, "max_source_length": 48, "max_tokens": 4}
    options |= {"num_beams": num_beams}
    of_free, _ = run(model_folder, tmp_path, **options)
    scores, content = run(model_folder, tmp_path, extract=True, **options)
    share, free = (
        next(score.value for score in found if score.metric == "in_context")
        for found in (scores, of_free)
    )
    assert (share, free) == (100, 0)
    for line, record in zip(content["predictions"], records, strict=True):
        assert line["written"].strip() in record["context"]
        assert 1 <= len(tiny.tokenizer.tokenize(line["written"])) <= 4
