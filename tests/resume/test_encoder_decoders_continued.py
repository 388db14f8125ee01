"""Pretraining of encoder-decoders goes on from a checkpoint bit for bit."""

import json

import pytest

from unblank.pretraining.run import run_pretrain

DELTALM = {"model__preset": "deltalm-tiny", "model__num_hidden_layers": 2}


GANLM = {"model__preset": "ganlm-tiny"}


DROPOUT = {"model__hidden_dropout": 0.1, "model__attention_dropout": 0.1}


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if name != "tokens_per_second"}
        for line in lines
    ]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("family", [DELTALM, GANLM], ids=["deltalm", "ganlm"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(make_config, tmp_path, family):
    settings = {**family, **DROPOUT, "optim__schedule": "constant"}
    run_pretrain(make_config(**settings, train__max_steps=2))
    resumed = run_pretrain(make_config(**settings))
    whole = run_pretrain(make_config(**settings, train__output_dir=tmp_path / "whole"))
    assert metrics(resumed) == metrics(whole)
    assert weights(resumed) == weights(whole)


def test_other_groups_than_the_checkpoint_s_are_refused(make_config):
    run_pretrain(make_config(**DELTALM))
    with pytest.raises(ValueError, match=r"micro_batch_size.* was 2"):
        run_pretrain(make_config(**DELTALM, train__micro_batch_size=4))
