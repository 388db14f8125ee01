"""Pretraining on text by language: equal held-out samples, bits a byte, shares and epochs."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from unblank.pretraining import held_out
from unblank.pretraining.run import run_pretrain

TEXTS = {
    "eng": ["The rain falls on the hill and the river.", "The sun is over the sea today."],
    "deu": ["Der Regen f\u00e4llt auf den H\u00fcgel und den Fluss.", "Die Sonne steht im Meer."],
    "tha": ["\u0e1d\u0e19\u0e15\u0e01\u0e1a\u0e19\u0e20\u0e39\u0e40\u0e02\u0e32 " * 3] * 2,
}
COPIES = {"eng": 60, "deu": 12, "tha": 12}


@pytest.fixture
def measured(monkeypatch):
    """Source and (batch, logits) of every batch that the first validation measured."""
    seen = []
    measure = held_out.held_out_losses

    def watched(model, unit, batches, *rest):
        with torch.no_grad():
            seen.extend(
                (part.source, batch, model(**batch.model_inputs()).logits)
                for part, some in batches.items()
                for batch in some
            )
        return measure(model, unit, batches, *rest)

    monkeypatch.setattr(held_out, "held_out_losses", watched)
    return seen


def test_a_run_on_languages(make_config, tmp_path, measured, capsys, pictures):
    for code, texts in TEXTS.items():
        lines = [f"{number}\t{texts[number % 2]} {number}" for number in range(COPIES[code])]
        (tmp_path / f"{code}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = make_config(
        tokenizer__path=None,
        tokenizer__kind="bpe",
        tokenizer__vocab_size=320,
        tokenizer__alpha=0.3,
        data__train=(f"{tmp_path}/{{lang}}.tsv:2",),
        data__hold_out=0.3,
        data__alpha=0.3,
        data__cache_dir=tmp_path / "shards",
        train__validate_every=4,
        train__validation_samples=6,
    )
    folder = run_pretrain(config)
    (line,) = map(json.loads, (folder / "validation.jsonl").read_text().splitlines())
    # By hand: of every language as many samples, and their cross-entropy for each byte.
    tokenizer = training_tokenizer(folder)
    nats, num_bytes, samples = ({} for _ in range(3))
    for source, batch, logits in measured:
        labels = batch.labels.flatten()
        loss = float(cross_entropy(logits.flatten(0, 1), labels, reduction="sum"))
        nats[source] = nats.get(source, 0.0) + loss
        for ids in batch.labels.numpy():
            text = [number for number in ids if number >= 0 and number not in SPECIAL(tokenizer)]
            spelt = "".join(tokenizer.convert_ids_to_tokens(text))  # a sign for every byte
            num_bytes[source] = num_bytes.get(source, 0) + len(spelt)
        samples[source] = samples.get(source, 0) + len(batch.sample_numbers)
    assert set(samples.values()) == {2}
    bits = {source: nats[source] / num_bytes[source] / math.log(2) for source in nats}
    codes = ("de", "en", "th")  # the files in their order
    for source, code in enumerate(codes):
        assert line[f"bits_a_byte_on_{code}"] == pytest.approx(bits[source], rel=1e-5)
    assert line["bits_a_byte"] == pytest.approx(np.mean(list(bits.values())), rel=1e-5)
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("languages", "epochs", "de", "th"))
    assert (folder / "languages.png").stat().st_size > 1000


def training_tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def SPECIAL(tokenizer):
    return set(tokenizer.added_tokens_decoder)


def test_the_language_is_said_once(make_config, tmp_path):
    (tmp_path / "a.txt").write_text("one two three four")
    config = make_config(
        model__preset="deltalm-tiny", data__train=(f"{tmp_path}/a.txt@en",), data__languages=("en",)
    )
    with pytest.raises(ValueError, match=r"data\.languages"):
        run_pretrain(config)
