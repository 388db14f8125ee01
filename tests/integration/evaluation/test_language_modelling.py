"""LAMBADA and perplexity against naive implementations: no windows, no packing, no batches."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unblank.adapters.prompts import save_prompt
from unblank.adapters.record import AdapterRecord, fingerprint
from unblank.evaluation.left_to_right import continuation_layout, window_bounds
from unblank.evaluation.perplexity import choose_window
from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options
from unblank.evaluation.token_scores import score_labels
from unblank.evaluation.wikitext import detokenize
from unblank.models import GlmInfillForConditionalGeneration
from unblank.prompting.soft import attach_soft_prompt, new_soft_prompt
from unblank.tokenization import special_ids
from unblank.tokenization.encoding import encode_texts

IDS = list(range(20, 50))


def next_logits(tiny, before, written, context, *, ends_text=False):
    """Ask the model, as a user would, for the token after `before` and what is written of it."""
    special = special_ids(tiny.tokenizer)
    seen = [*before, *written]
    if context == "causal":
        ids, prefix = [special.cls, *seen], 0
        positions = [list(range(len(ids))), [0] * len(ids)]
    else:
        visible = len(before) if context == "bi" else min(1, len(before))
        part_a = [special.cls, *seen[:visible], special.gmask] + [special.eos] * ends_text
        prefix = len(part_a)
        part_b = [special.sop, *seen[visible:]]
        ids = part_a + part_b
        place = visible + 1
        positions = [
            list(range(prefix)) + [place] * len(part_b),
            [0] * prefix + list(range(1, len(part_b) + 1)),
        ]
    with torch.inference_mode():
        return tiny.model(
            input_ids=torch.tensor([ids]),
            position_ids=torch.tensor(positions)[:, None],
            prefix_lengths=torch.tensor([prefix]),
        ).logits[0, -1]


def naive_log_probabilities(tiny, before, target, context, *, ends_text=False):
    """Score token by token with one forward each."""
    found = []
    for index, token in enumerate(target):
        logits = next_logits(tiny, before, target[:index], context, ends_text=ends_text)
        found.append((float(logits.log_softmax(0)[token]), int(logits.argmax()) == token))
    return found


@pytest.mark.parametrize("context", ["bi", "uni", "causal"])
@pytest.mark.parametrize("num_before", [0, 1, 7])
def test_tokens_score_as_if_each_were_asked_for_alone(tiny, context, num_before):
    special = special_ids(tiny.tokenizer)
    before, target = IDS[:num_before], IDS[num_before : num_before + 5]
    example = continuation_layout(before, target, special, context=context, ends_text=True)
    (score,) = score_labels(tiny.model, [example])
    naive = naive_log_probabilities(tiny, before, target, context, ends_text=True)
    np.testing.assert_allclose(score.log_probabilities, [p for p, _ in naive], atol=1e-4)
    assert score.is_first_choice.tolist() == [is_first for _, is_first in naive]


def test_a_score_does_not_depend_on_what_else_is_in_the_batch(tiny):
    special = special_ids(tiny.tokenizer)
    examples = [
        continuation_layout(IDS[:n], IDS[n : n + 1 + n % 4], special, context=context)
        for n in range(12)
        for context in ("bi", "uni")
    ]
    done = []
    together = score_labels(tiny.model, examples, row_length=50, advance=done.append)
    assert sum(done) == len(examples)
    for example, score in zip(examples, together, strict=True):
        (alone,) = score_labels(tiny.model, [example])
        np.testing.assert_allclose(score.log_probabilities, alone.log_probabilities, atol=1e-5)


@given(st.integers(0, 60), st.integers(2, 20), st.data())
def test_windows_score_every_token_but_the_first_once_with_all_the_context_there_is(
    num_tokens, window, data
):
    stride = data.draw(st.integers(1, window - 1))
    bounds = window_bounds(num_tokens, window, stride)
    scored = [token for _, first, end in bounds for token in range(first, end)]
    assert scored == list(range(1, num_tokens))
    for number, (first, first_scored, end) in enumerate(bounds):
        assert end - first <= window
        assert number == 0 or first_scored - first == window - stride


def test_a_stride_without_context_is_refused():
    with pytest.raises(ValueError, match=r"stride.*\b4\b.*window"):
        window_bounds(9, 4, 4)


def run(model_folder, tmp_path, suite, **options):
    path = tmp_path / "out.json"
    path.unlink(missing_ok=True)  # of another measurement, which is never replaced
    config = suite_options(suite)(model=str(model_folder), suite=suite, output=path, **options)
    scores, written = evaluate(config)
    assert written == path
    return scores, json.loads(path.read_text(encoding="utf-8"))


def test_perplexity_equals_a_plain_loop_over_windows(tiny, model_folder, data_folder, tmp_path):
    scores, content = run(
        model_folder, tmp_path, "perplexity", data=data_folder, tasks=("novels",), window=10,
        stride=4,
    )  # fmt: skip
    file = data_folder / "text_en/novels.validation.jsonl"
    texts = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    for context in ("bi", "uni"):
        loss, tokens, words, size = 0.0, 0, 0, 0
        for text in texts:
            ids = encode_texts(tiny.tokenizer, [text])[0]
            position = 1
            while position < len(ids):
                end = min(10 if position == 1 else position + 4, len(ids))
                before = ids[max(0, 0 if position == 1 else position - 6) : position]
                found = naive_log_probabilities(tiny, before, ids[position:end], context)
                loss -= sum(log_p for log_p, _ in found)
                position = end
            tokens += len(ids) - 1
            words += len(text.split()) - 1
            size += len(text.encode()) - len(tiny.tokenizer.decode(ids[:1]).encode())
        mine = {s.metric: s for s in scores if s.task == f"novels ({context})"}
        assert mine["perplexity a token"].value == pytest.approx(math.exp(loss / tokens), rel=1e-4)
        assert mine["perplexity a word"].value == pytest.approx(math.exp(loss / words), rel=1e-4)
        assert mine["bits a byte"].value == pytest.approx(loss / math.log(2) / size, rel=1e-4)
        assert [s.count for s in mine.values()] == [tokens, words, size]
        assert all(s.standard_error > 0 for s in mine.values())
    predicted = [line for line in content["predictions"] if line["task"] == "novels (uni)"]
    assert sum(line["tokens"] for line in predicted) == tokens
    assert sum(line["loss"] for line in predicted) == pytest.approx(loss, rel=1e-4)


def test_lambada_is_right_only_if_every_token_is_the_first_choice(
    tiny, model_folder, data_folder, tmp_path
):
    scores, content = run(model_folder, tmp_path, "lambada", data=data_folder)
    assert [score.task for score in scores] == ["lambada (bi)", "lambada (uni)"]
    for line in content["predictions"]:
        ids = encode_texts(tiny.tokenizer, [line["text"]])[0]
        whole = encode_texts(tiny.tokenizer, [f"{line['text']} {line['answer']}"])[0]
        assert whole[: len(ids)] == ids
        context = "uni" if "uni" in line["task"] else "bi"
        naive = naive_log_probabilities(tiny, ids, whole[len(ids) :], context, ends_text=True)
        assert line["log_probability"] == pytest.approx(sum(p for p, _ in naive), abs=1e-4)
        assert line["correct"] == all(is_first for _, is_first in naive)


def test_a_word_whose_tokens_are_all_first_choices_counts(tiny, model_folder, tmp_path):
    """The model writes its own last word, token by token, and then must get it right."""
    special = special_ids(tiny.tokenizer)
    before, target = encode_texts(tiny.tokenizer, ["the old cat"])[0], []
    for _ in range(2):
        target.append(int(next_logits(tiny, before, target, "bi", ends_text=True).argmax()))
    example = continuation_layout(before, target, special, ends_text=True)
    wrong = continuation_layout(before, [target[0], target[1] + 1], special, ends_text=True)
    right_score, wrong_score = score_labels(tiny.model, [example, wrong])
    assert right_score.is_first_choice.all()
    assert wrong_score.is_first_choice.tolist() == [True, False]


def test_long_passages_lose_their_beginning_and_that_is_said(
    model_folder, tmp_path, capsys, data_folder
):
    long = " ".join(["the old cat sat on a warm mat"] * 12)
    (tmp_path / "long.jsonl").write_text(json.dumps({"text": long}) + "\n", encoding="utf-8")
    scores, _ = run(model_folder, tmp_path, "lambada", file=(str(tmp_path / "long.jsonl"),))
    assert scores[0].details["cut"] == 1
    assert "1 passage cut at the beginning" in capsys.readouterr().err


def prompt_folder(model_folder, folder, length):
    """Write a prompt of random vectors, as a finished run of --method prompt does."""
    model = GlmInfillForConditionalGeneration.from_pretrained(model_folder).requires_grad_(False)
    attach_soft_prompt(model, new_soft_prompt(model, length, "none", 5))
    folder.mkdir()
    count = save_prompt(folder, model, model.state_dict(), with_training=False)
    AdapterRecord(
        kind="prompt",
        base_model=str(model_folder),
        base_fingerprint=fingerprint(model_folder),
        num_parameters=count,
        settings={"length": length},
    ).write(folder)
    return folder


@pytest.mark.parametrize("suite", ["lambada", "perplexity"])
def test_a_trained_prompt_is_seen_and_leaves_its_positions_to_no_text(
    model_folder, tmp_path, suite
):
    tuned = prompt_folder(model_folder, tmp_path / "tuned", 20)
    file = tmp_path / "long.jsonl"
    file.write_text(json.dumps({"text": " ".join(["the old cat sat on a warm mat"] * 12)}) + "\n")
    options = {"file": (str(file),), "context": ("bi", "uni", "causal")}
    _, plain = run(model_folder, tmp_path, suite, **options)
    scores, content = run(tuned, tmp_path, suite, **options)
    value = "log_probability" if suite == "lambada" else "loss"
    for before, after in zip(plain["predictions"], content["predictions"], strict=False):
        assert before[value] != pytest.approx(after[value], abs=1e-3)
    if suite == "perplexity":
        assert {score.details["window"] for score in scores} == {64 - 20}


def test_the_window_is_that_of_the_paper_unless_the_model_is_smaller():
    assert choose_window(None, None, 1024) == (512, 256)
    assert choose_window(None, None, 64) == (64, 32)
    assert choose_window(40, 8, 64) == (40, 8)
    with pytest.raises(ValueError, match="64 positions"):
        choose_window(65, None, 64)


def test_wikitext_reads_as_ordinary_text_again():
    tokenised = "He said : \" It 's a 10 @-@ year @-@ old cat \" ; she did n't ( 1 @.@ 5 % ) ."
    assert detokenize(tokenised) == ("He said: \"It's a 10-year-old cat\"; she didn't (1.5%).")


def test_perplexity_of_languages_and_their_mean(model_folder, tmp_path):
    lines = {"en": ["the old cat sat on a mat"], "de": ["some small dog", "one far house"]}
    for code, texts in lines.items():
        records = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (tmp_path / f"own.{code}.jsonl").write_text(records)
    settings = {"window": 10, "context": ("uni",)}
    found, _ = run(
        model_folder, tmp_path, "perplexity", file=(f"{tmp_path}/own.{{lang}}.jsonl",), **settings
    )
    bits = {one.language: one.value for one in found if one.metric == "bits a byte"}
    assert {one.task for one in found} == {"own files (uni)"}
    for code in lines:
        alone, _ = run(
            model_folder, tmp_path, "perplexity", file=(f"{tmp_path}/own.{code}.jsonl",), **settings
        )
        (value,) = (one.value for one in alone if one.metric == "bits a byte")
        assert bits[code] == pytest.approx(value)
    assert bits["mean"] == pytest.approx((bits["en"] + bits["de"]) / 2)
    assert bits["mean without en"] == pytest.approx(bits["de"])
