"""Minimal pairs: sentences scored as if each token were asked for alone, ties, files, baselines."""

import copy
import json

import numpy as np
import pytest
import torch
from evaluation_toys import write
from tiny_glms import tiny_glm, with_sentinels, write_folder
from tiny_models import encoder_decoder

from unblank.api import Unblank, load
from unblank.cli import main
from unblank.data.shards import prepare_corpus
from unblank.evaluation.minimal_pairs import BASELINE
from unblank.evaluation.run import evaluate
from unblank.evaluation.sentence_layouts import read_sentences
from unblank.evaluation.suite_options import suite_options
from unblank.evaluation.token_frequencies import TokenFrequencies
from unblank.models.electra import ElectraInfillConfig, ElectraInfillForPreTraining
from unblank.tokenization import special_ids
from unblank.tokenization.special import add_sentinels, encoder_decoder_ids

GOOD, BAD = "the old cat sat on a warm mat", "the old cats sat a on warm"
PAIRS = [
    {"good": GOOD, "bad": BAD, "phenomenon": "order", "paradigm": "one"},
    {"good": "one small dog saw the house", "bad": "one small dog house", "phenomenon": "order",
     "paradigm": "one"},
    {"good": "a cat run", "bad": "run a cat", "phenomenon": "order", "paradigm": "two"},
    {"good": "the far house", "bad": "the house far", "phenomenon": "other", "paradigm": "three"},
]  # fmt: skip


@pytest.fixture
def pairs_file(tmp_path):
    return write(tmp_path / "nlu/blimp/dev.jsonl", PAIRS)


def measured(model, *words, **more):
    options = suite_options("blimp")(model=str(model), **more)
    scores, path = evaluate(options)
    return scores, json.loads(path.read_text(encoding="utf-8"))


def log_p(model, ids, positions, prefix, place, token):
    """Return the log-probability of a token at a place, by a forward of this one example."""
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids]),
            position_ids=torch.tensor(positions)[:, None],
            prefix_lengths=torch.tensor([prefix]),
        ).logits[0, place]
    return float(logits.log_softmax(0)[token])


def naive_score(given, text, way, sentinel=None):
    special = special_ids(given.tokenizer)
    (sentence,) = read_sentences(given.tokenizer, [text])
    ids = sentence.token_ids.tolist()
    total = 0.0
    if way in ("gmask", "causal"):
        for index, token in enumerate(ids):
            a = [special.cls, special.gmask] if way == "gmask" else []
            b = [special.sop if way == "gmask" else special.cls, *ids[:index]]
            rows = [[0, 1] + [1] * len(b), [0, 0, *range(1, len(b) + 1)]]
            if way == "causal":
                rows = [list(range(len(b))), [0] * len(b)]
            total += log_p(given.model, a + b, rows, len(a), -1, token)
        return total
    for start, end in sentence.words:
        before, after = [special.cls, *ids[:start]], [*ids[end:], special.eos]
        word = ids[start:end]
        for index, token in enumerate(word if way == "masked" else [*word, special.eop]):
            if way == "masked":
                seen = [*before, *word[:index], *[special.mask] * (len(word) - index), *after]
                rows = [list(range(len(seen))), [0] * len(seen)]
                place = len(before) + index
                total += log_p(given.model, seen, rows, len(seen), place, token)
                continue
            mark, first = (special.mask, special.sop) if sentinel is None else (sentinel, sentinel)
            a, b = [*before, mark, *after], [first, *word[:index]]
            at = len(before) if sentinel is None else given.model.config.max_position_embeddings
            rows = [[*range(len(a)), *[at] * len(b)], [0] * len(a) + list(range(1, len(b) + 1))]
            total += log_p(given.model, a + b, rows, len(a), -1, token)
    return total


@pytest.mark.parametrize("way", ["blanks", "gmask", "causal", "masked"])
def test_a_sentence_scores_as_if_each_token_were_asked_for_alone(
    tiny, model_folder, pairs_file, tmp_path, way
):
    _, content = measured(model_folder, file=(str(pairs_file),), by=(way,), output=tmp_path / "o")
    for line, pair in zip(content["predictions"], PAIRS, strict=True):
        naive = [naive_score(tiny, pair[name], way) for name in ("good", "bad")]
        np.testing.assert_allclose(line["scores"], naive, rtol=1e-5)
        assert line["points"] == float(naive[0] > naive[1])


def test_a_model_of_sentinels_is_asked_by_them(tiny, pairs_file, tmp_path):
    given = with_sentinels(tiny)
    folder = write_folder(given, tmp_path / "model")
    settings = {"objective": {"token": 1.0, "sentinels": True}}
    record = {"made_by": "unblank 9 pretrain", "settings": settings, "files": {}}
    (folder / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    _, content = measured(folder, file=(str(pairs_file),))
    sentinel = special_ids(given.tokenizer).sentinels[0]
    naive = naive_score(given, GOOD, "blanks", sentinel)
    assert content["predictions"][0]["scores"][0] == pytest.approx(naive, rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "way"),
    [("causal", "causal"), ("masked", "masked"), ("sentence", "gmask"), ("token", "blanks")],
)
def test_the_way_is_that_of_pretraining(tiny, pairs_file, tmp_path, capsys, objective, way):
    folder = write_folder(tiny, tmp_path / "model")
    record = {"made_by": "unblank 9 pretrain", "settings": {"objective": {objective: 1.0}}}
    (folder / "provenance.json").write_text(json.dumps(record | {"files": {}}), encoding="utf-8")
    scores, _ = measured(folder, file=(str(pairs_file),))
    assert {score.details["way"] for score in scores} == {way}
    assert f"scored by {way}, as the model was pretrained" in capsys.readouterr().err


@pytest.fixture(scope="module")
def deltalm_of_sentinels():
    model, tokenizer = encoder_decoder("deltalm")
    add_sentinels(tokenizer, 3)
    config = copy.deepcopy(model.config)
    config.vocab_size = config.tokenizer_size = len(tokenizer)
    torch.manual_seed(5)
    return Unblank(type(model)(config).eval(), tokenizer)


@pytest.fixture
def seq2seq_folder(deltalm_of_sentinels, tmp_path):
    """Return a function: weights of objectives -> a folder of a DeltaLM pretrained with them."""

    def written(**weights):
        folder = write_folder(deltalm_of_sentinels, tmp_path / "seq2seq")
        record = {"made_by": "unblank 9 pretrain", "settings": {"seq2seq": weights}, "files": {}}
        (folder / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
        return folder

    return written


def seq2seq_parts(kind, ids, start, end, special):
    """Return source, decoder input and the decoder's places of the word."""
    word, whole = ids[start:end], [*ids, special.eos]
    if kind == "denoising":
        source = [special.cls, *ids[:start], special.mask, *ids[end:], special.eos]
        return source, [special.sop, *whole[:-1]], range(start, end)
    if kind == "mass":
        masks = [special.mask] * len(word)
        source = [special.cls, *ids[:start], *masks, *ids[end:], special.eos]
        return source, [special.sop, *word[:-1]], range(len(word))
    first = special.sentinels[0]
    source = [special.cls, *ids[:start], first, *ids[end:], special.eos]
    return source, [first, *word[:-1]], range(len(word))


@pytest.mark.parametrize("kind", ["span_corruption", "denoising", "mass"])
def test_an_encoder_decoder_predicts_each_word_as_it_was_pretrained(
    seq2seq_folder, pairs_file, kind
):
    others = dict.fromkeys(("span_corruption", "denoising", "mass"), 0.0)
    folder = seq2seq_folder(**(others | {kind: 1.0}))
    _, content = measured(folder, file=(str(pairs_file),))
    given = load(folder, device="cpu")
    special = encoder_decoder_ids(given.tokenizer)
    (sentence,) = read_sentences(given.tokenizer, [GOOD])
    ids, total = sentence.token_ids.tolist(), 0.0
    for start, end in sentence.words:
        source, target, places = seq2seq_parts(kind, ids, start, end, special)
        with torch.inference_mode():
            logits = given.model(
                input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target])
            ).logits[0]
        for place, token in zip(places, ids[start:end], strict=True):
            total += float(logits[place].log_softmax(0)[token])
    assert content["predictions"][0]["scores"][0] == pytest.approx(total, rel=1e-5)
    with pytest.raises(ValueError, match=r"causal.*deltalm.*blanks"):
        measured(folder, file=(str(pairs_file),), by=("causal",))


def test_span_corruption_needs_sentinels(deltalm_folder, pairs_file):
    with pytest.raises(ValueError, match="sentinel"):
        measured(deltalm_folder, file=(str(pairs_file),))


def test_electra_judges_each_token(tiny, pairs_file, tmp_path):
    fields = tiny.model.config.to_dict() | {"generator_layers": 1}
    del fields["model_type"], fields["architectures"]
    torch.manual_seed(6)
    model = ElectraInfillForPreTraining(ElectraInfillConfig(**fields)).eval()
    folder = write_folder(Unblank(model, tiny.tokenizer), tmp_path / "model")
    scores, content = measured(folder, file=(str(pairs_file),))
    assert {score.details["way"] for score in scores} == {"judged"}
    special = special_ids(tiny.tokenizer)
    for line, pair in zip(content["predictions"], PAIRS, strict=True):
        (sentence,) = read_sentences(tiny.tokenizer, [pair["good"]])
        ids = torch.tensor([[special.cls, *sentence.token_ids, special.eos]])
        with torch.inference_mode():
            judgements = model.text_outputs(ids)["judgements"][0, 1:-1]
        total = float(judgements.log_softmax(-1)[:, 1].sum())
        assert line["scores"][0] == pytest.approx(total, rel=1e-5)
    with pytest.raises(ValueError, match=r"blanks.*electra.*judged"):
        measured(folder, file=(str(pairs_file),), by=("blanks",))
    with pytest.raises(ValueError, match="electra"):
        load(folder)


def test_a_constant_model_gets_half(tmp_path):
    given = tiny_glm([GOOD, BAD] * 9, kind="wordpiece", max_position_embeddings=64)
    with torch.no_grad():
        for parameter in given.model.parameters():
            parameter.zero_()
    folder = write_folder(given, tmp_path / "model")
    pairs = [{"good": "the old cat", "bad": "old the cat"}, {"good": "a mat", "bad": "mat a"}]
    path = write(tmp_path / "pairs.jsonl", pairs)
    for way in ("gmask", "causal"):
        (score,), _ = measured(folder, data=path, by=(way,))
        assert (score.value, score.details["ties"]) == (50.0, 2)


def test_every_paradigm_weighs_the_same(model_folder, pairs_file, tmp_path, pictures):
    scores, content = measured(model_folder, data=tmp_path, output=tmp_path / "o.json")
    points = [100 * line["points"] for line in content["predictions"]]
    by_task = {score.task: score for score in scores}
    assert list(by_task) == ["order (blanks)", "other (blanks)", "blimp (blanks)"]
    first = (points[0] + points[1]) / 2
    assert by_task["order (blanks)"].value == pytest.approx((first + points[2]) / 2)
    whole = by_task["blimp (blanks)"]
    assert whole.value == pytest.approx((first + points[2] + points[3]) / 3)
    assert whole.details["paradigms"] == {"one": first, "two": points[2], "three": points[3]}
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
    limited, _ = measured(model_folder, data=tmp_path, limit=1, output=tmp_path / "limited.json")
    assert limited[-1].count == 3


def test_a_limit_draws_from_every_file(model_folder, tmp_path):
    files = [
        write(tmp_path / f"{name}.jsonl", [{"good": GOOD, "bad": f"{BAD} {n}"} for n in range(20)])
        for name in "ab"
    ]
    options = {"file": tuple(map(str, files)), "limit": 6, "by": ("causal",)}
    _, content = measured(model_folder, output=tmp_path / "o.json", **options)
    places = [line["place"].rpartition(", ") for line in content["predictions"]]
    assert [file for file, _, _ in places] == [str(files[0])] * 3 + [str(files[1])] * 3
    assert [line for _, _, line in places[:3]] != ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize("more", [{"split": "test"}, {"tasks": ("blimp",)}])
def test_a_file_as_data_has_no_splits_and_no_tasks(more, model_folder, tmp_path):
    path = write(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(ValueError, match=rf"\bdata and {next(iter(more))}\b"):
        measured(model_folder, data=path, **more)


def test_frequencies_come_from_the_training_text_or_a_named_one(tiny, pairs_file, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the far house " * 30 + "a cat", encoding="utf-8")
    folder = write_folder(tiny, tmp_path / "runs/model")
    corpus = prepare_corpus(
        text, tiny.tokenizer, cache_dir=tmp_path / "runs/shards", show_progress=False
    )
    record = {
        "made_by": "unblank 9 pretrain", "data": [corpus.folder.name], "files": {},
        "settings": {"data": {"cache_dir": None}},
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    found, _ = measured(folder, file=(str(pairs_file),))
    (folder / "provenance.json").unlink()
    named, _ = measured(folder, file=(str(pairs_file),), frequencies=(str(text),))
    rows = [[s.value for s in scores if s.metric == BASELINE] for scores in (found, named)]
    assert rows[0] == rows[1]
    assert rows[0][1] == 50.0  # the same words in another order
    capsys.readouterr()
    without, _ = measured(folder, file=(str(pairs_file),))
    assert not any(score.metric == BASELINE for score in without)
    assert "--frequencies" in capsys.readouterr().err


def test_frequencies_are_counted_and_smoothed(tiny):
    (sentence,) = read_sentences(tiny.tokenizer, ["the cat"])
    counts = np.bincount(sentence.token_ids, minlength=len(tiny.tokenizer))
    share = np.log(2 / (len(sentence.token_ids) + len(tiny.tokenizer)))
    assert TokenFrequencies(counts).score(sentence) == pytest.approx(2 * share, rel=1e-9)


def test_where_no_words_are_cut_each_token_is_one():
    given = tiny_glm(["thecatsatonthemat"] * 30, kind="unigram", vocab_size=600)
    (sentence,) = read_sentences(given.tokenizer, ["thecatsaton"])
    assert len(sentence.words) == len(sentence.token_ids) > 1


@pytest.mark.parametrize(
    ("records", "named"),
    [
        ([{"good": "a cat", "bad": "a cat "}], ["line 1", "same sentence", "'a cat'"]),
        ([PAIRS[0], {"good": "a", "wrong": "b"}], ["line 2", "'bad'", "'wrong'"]),
        ([{"good": "a", "bad": ""}], ["line 1", "'bad'"]),
        ([{"good": "a", "bad": 7}], ["line 1", "'bad'", "7"]),
        ([PAIRS[0], {"good": "a", "bad": "b"}], ["line 2", "'phenomenon'"]),
        ([], ["pairs.jsonl"]),
        ([{"good": "cat " * 80, "bad": "mat " * 80}], ["80 tokens", "62"]),
    ],
)
def test_a_file_that_holds_no_pairs_is_refused_by_line(
    model_folder, tmp_path, capsys, records, named
):
    path = write(tmp_path / "pairs.jsonl", records)
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", str(model_folder), "--suite", "blimp", "--file", str(path)])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in named), error


def test_what_is_the_same_or_left_out_is_said(model_folder, tmp_path, capsys):
    records = [*PAIRS[2:], {**PAIRS[2], "bad": "a  cat run"}, {**PAIRS[3], "bad": "cat " * 80}]
    path = write(tmp_path / "pairs.jsonl", records)
    scores, _ = measured(model_folder, file=(str(path),), output=tmp_path / "o.json")
    error = capsys.readouterr().err
    assert "pairs.jsonl, line 3" in error
    assert "left out 1 pair of 4" in error
    assert scores[-1].count == 3
