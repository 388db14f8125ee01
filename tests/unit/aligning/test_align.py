"""States of translations: against a row at a time, a naive search and counts by hand."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from tiny_models import encoder_decoder, tiny_unblank

from unblank.aligning.measure import measure_alignment, read_translations
from unblank.aligning.states import sentence_states
from unblank.aligning.vocabulary import vocabulary_overlap
from unblank.commands import align
from unblank.metrics.retrieval import retrieval_accuracy

SENTENCES = ["the old cat", "a small dog ran to some far house", "one warm mat", "saw"]


def opened(kind):
    if kind == "glm":
        tiny = tiny_unblank("bpe")
        return tiny.model.eval(), tiny.tokenizer
    return encoder_decoder(kind)


@pytest.mark.parametrize("kind", ["glm", "deltalm", "ganlm"])
def test_states_do_not_depend_on_the_other_rows(kind):
    model, tokenizer = opened(kind)
    together = sentence_states(model, tokenizer, SENTENCES, batch_size=3)
    assert together.shape == (3, len(SENTENCES), 32)
    for number, sentence in enumerate(SENTENCES):
        alone = sentence_states(model, tokenizer, [sentence])
        np.testing.assert_allclose(together[:, number], alone[:, 0], atol=1e-5)


def test_the_first_states_are_the_mean_of_embeddings():
    model, tokenizer = opened("glm")
    (first, *_) = sentence_states(model, tokenizer, ["saw"])
    ids = tokenizer("saw", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        found = model.model(
            input_ids=torch.tensor([[model.config.cls_token_id, *ids, model.config.eos_token_id]]),
            output_hidden_states=True,
        ).hidden_states[0]
    np.testing.assert_allclose(first[0], found[0, 1:-1].mean(dim=0).numpy(), atol=1e-6)


def test_retrieval_is_what_a_naive_search_finds():
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(30, 5)).astype(np.float32)
    answers = queries + rng.normal(size=(30, 5)).astype(np.float32)

    def cosine(one, other):
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    nearest = [max(range(30), key=lambda n: cosine(query, answers[n])) for query in queries]
    right = sum(place == number for number, place in enumerate(nearest))
    assert 0 < right < 30
    assert retrieval_accuracy(queries, answers) == pytest.approx(100 * right / 30)
    assert retrieval_accuracy(np.ones((4, 2), np.float32), np.ones((4, 2), np.float32)) == 0.0


def test_a_model_finds_the_same_sentence():
    model, tokenizer = opened("glm")
    found = measure_alignment(model, tokenizer, {"de": [(one, one) for one in SENTENCES]})
    assert found.means == [100.0] * 3
    assert found.best_layer == 0


def test_shared_tokens_are_counted():
    _, tokenizer = opened("glm")
    texts = {"en": ["the cat the dog"], "de": ["the house"]}
    used = {code: Counter(tokenizer.tokenize(text)) for code, (text,) in texts.items()}
    found = vocabulary_overlap(tokenizer, texts)
    by_hand = sum(count for token, count in used["en"].items() if token in used["de"])
    assert found["en"]["de"] == pytest.approx(100 * by_hand / used["en"].total())
    assert found["de"]["de"] == 100.0


@pytest.fixture
def files(tmp_path):
    aligned = [
        {"id": n, "eng": one, "deu": one[::-1], "fra": ""} for n, one in enumerate(SENTENCES)
    ]
    pairs = [{"lang": "deu", "text": one[::-1], "eng": one} for one in SENTENCES]
    for name, lines in (("aligned", aligned), ("pairs", pairs)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.mark.parametrize("entry", ["aligned.jsonl:{lang}", "pairs.jsonl@{lang}"])
def test_translations_are_read_in_both_shapes(files, entry):
    expected = {"de": [(one[::-1], one) for one in SENTENCES]}
    assert read_translations(f"{files}/{entry}", limit=9) == expected
    assert len(read_translations(f"{files}/{entry}", limit=2)["de"]) == 2
    with pytest.raises(ValueError, match=r"\bth\b"):
        read_translations(f"{files}/{entry}", limit=2, languages=["tha"])


def test_a_sentence_of_invisible_characters_is_left_out(tmp_path):
    lines = [{"eng": "a dog", "deu": "ein Hund"}, {"eng": "a cat", "deu": "\u200b"}]
    path = tmp_path / "two.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_translations(f"{path}:{{lang}}", limit=9) == {"de": [("ein Hund", "a dog")]}


def test_the_command_compares_two_models(files, capsys):
    tiny = tiny_unblank("bpe")
    for name in ("before", "after"):
        tiny.model.save_pretrained(files / name)
        tiny.tokenizer.save_pretrained(files / name)
    words = [str(files / "before"), "--after", str(files / "after"), "--output", str(files / "out")]
    align.run(align.parse([*words, "--parallel", f"{files}/aligned.jsonl:{{lang}}"]))
    found = json.loads((files / "out" / "alignment.json").read_text())
    before, after = (found["models"][str(files / name)] for name in ("before", "after"))
    assert before["mean_by_layer"] == after["mean_by_layer"]
    assert len(before["t-SNE"]["de"]) == len(SENTENCES)
    assert (files / "out" / "alignment.png").stat().st_size > 5000
    assert "embeddings" in capsys.readouterr().out
