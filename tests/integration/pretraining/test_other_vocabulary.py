"""A run that gives an existing model further tokens or another vocabulary, and is continued."""

import json
from pydoc_data.topics import topics

import pytest
from transformers import AutoTokenizer

import unblank
from unblank.engine import saving
from unblank.pretraining.run import run_pretrain
from unblank.tokenization.train import train_tokenizer


@pytest.fixture
def from_model(finished, make_config):
    """A run that starts from a finished model."""

    def make(**changes):
        shape = ("hidden_size", "num_hidden_layers", "num_attention_heads")
        fixed = {f"model__{name}": None for name in shape}
        start = {"model__init_from": finished, "tokenizer__path": None}
        output = {"train__output_dir": finished.parent / "next"}
        return make_config(**{**fixed, **start, **output, **changes})

    return make


@pytest.fixture
def other(tmp_path):
    texts = list(topics.values())[20:32]
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=500, show_progress=False)
    tokenizer.save_pretrained(tmp_path / "other")
    return tmp_path / "other"


def test_a_foreign_tokenizer_is_refused_before_anything_is_written(from_model, other, finished):
    with pytest.raises(ValueError, match="tokenizer"):
        run_pretrain(from_model(tokenizer__path=other))
    assert not (finished.parent / "next" / "run.yaml").exists()


@pytest.mark.parametrize("change", ["extra", "transfer"])
def test_a_run_with_new_rows_goes_on_from_its_checkpoint_as_if_it_had_never_stopped(
    from_model, other, finished, monkeypatch, change
):
    given = {
        "extra": {"tokenizer__extra_tokens": ("[USER]", "[BOT]")},
        "transfer": {"tokenizer__path": other, "tokenizer__transfer_rows": True},
    }[change]
    whole = run_pretrain(from_model(**given, train__output_dir=finished.parent / "whole"))
    write = saving.write_checkpoint

    def stop(root, step, write_files):
        if step == 4:
            raise KeyboardInterrupt
        return write(root, step, write_files)

    monkeypatch.setattr(saving, "write_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        run_pretrain(from_model(**given))
    monkeypatch.undo()
    continued = run_pretrain(from_model(**given))
    assert losses(continued) == losses(whole)
    tokenizer = AutoTokenizer.from_pretrained(continued)
    model = unblank.load(continued).model
    assert model.config.tokenizer_size == len(tokenizer)
    own = len(AutoTokenizer.from_pretrained(finished))
    if change == "extra":
        assert tokenizer.convert_tokens_to_ids(["[USER]", "[BOT]"]) == [own, own + 1]
    else:
        assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(other).get_vocab()


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]
