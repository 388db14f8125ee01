"""`data.hold_out`: one folder gives a held-out curve."""

import json
from dataclasses import replace

import pytest

from unblank.data.prepared import PreparedCorpus
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainOptimSettings


def corpora(folder):
    """Return the tokens of each prepared corpus by its number of documents."""
    found = {}
    for path in folder.rglob("offsets.bin"):
        corpus = PreparedCorpus(path.parent)
        found[len(corpus)] = {tuple(corpus.tokens(n).tolist()) for n in range(len(corpus))}
    return found


def test_a_run_on_one_file_has_a_held_out_loss_of_documents_it_never_sees(make_config, tmp_path):
    optim = PretrainOptimSettings(schedule="constant")
    config = make_config(
        data__hold_out=3.0, data__cache_dir=tmp_path / "shards", tokenizer__path=None,
        tokenizer__vocab_size=300, train__sample_every=2, train__validate_every=2,
    )  # fmt: skip
    config = replace(config, optim=optim)
    folder = run_pretrain(config)
    lines = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert (folder / "fills.jsonl").is_file()
    found = corpora(tmp_path / "shards")
    (few, many) = sorted(found)
    assert few == 3
    assert not found[few] & found[many]
    longer = replace(config.train, max_steps=6)
    resumed = run_pretrain(replace(config, train=longer))
    lines = (resumed / "validation.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 6]


def test_named_held_out_text_takes_its_place(make_config, text_folder, tmp_path):
    validation = (str(text_folder / "held_out.txt"),)
    config = make_config(
        data__hold_out=0.5, data__validation=validation, data__cache_dir=tmp_path / "shards"
    )
    with pytest.warns(UserWarning, match=r"data\.train"):
        run_pretrain(config)
    (_, many) = sorted(corpora(tmp_path / "shards"))
    paragraphs = [text for text in (text_folder / "train.txt").read_text().split("\n\n") if text]
    assert many == len(paragraphs)


def test_one_document_cannot_be_divided(make_config, tmp_path):
    config = make_config(data__hold_out=0.5, data__text_unit="file")
    with pytest.warns(UserWarning, match=r"data\.hold_out"):
        folder = run_pretrain(config)
    assert not (folder / "validation.jsonl").exists()
