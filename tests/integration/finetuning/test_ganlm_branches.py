"""Fine-tuning a GanLM on pairs: both branches, or one alone."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

import unblank
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneGanLMSettings

GANLM = {"model__preset": "ganlm-tiny"}


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def from_folder(config, folder):
    """Return the model section that starts from a folder instead of a preset."""
    shape = dict.fromkeys(("hidden_size", "num_hidden_layers", "num_attention_heads"))
    return replace(config.model, preset="", init_from=folder, **shape)


def test_the_discriminator_helps_and_is_dropped_unless_kept(pairs_config):
    folder = run_finetune(pairs_config(**GANLM))
    names = {name.partition(".")[0] for name in load_file(folder / "model.safetensors")}
    assert "discriminator" not in names
    assert {"loss_generator", "loss_discriminator", "loss_denoising"} <= lines(
        folder, "metrics.jsonl"
    )[0].keys()
    line = lines(folder, "metrics.jsonl")[0]
    total = line["loss_generator"] + 5 * line["loss_discriminator"] + line["loss_denoising"]
    assert line["loss"] == pytest.approx(total)
    kept = pairs_config(
        **GANLM, ganlm__keep_discriminator=True, train__output_dir=folder.parent / "kept"
    )
    names = load_file(run_finetune(kept) / "model.safetensors")
    assert any(name.startswith("discriminator.") for name in names)


def test_the_generator_alone_is_fine_tuned_with_both_weights_at_zero(pairs_config):
    alone = FinetuneGanLMSettings(discriminator_weight=0.0, denoising_weight=0.0)
    folder = run_finetune(pairs_config(**GANLM, ganlm=alone))
    assert "loss_discriminator" not in lines(folder, "metrics.jsonl")[0]


@pytest.mark.parametrize("family", [GANLM, {}], ids=["ganlm", "deltalm"])
def test_the_first_lines_name_the_branch_of_a_ganlm(pairs_config, capsys, family):
    if family:
        family = {**family, "ganlm": FinetuneGanLMSettings(branch="generator")}
    run_finetune(pairs_config(**family, train__max_steps=1))
    words = [line.strip("\u2502 ").split() for line in capsys.readouterr().out.splitlines()]
    named = [line for line in words if line[:1] == ["branch"]]
    assert named == ([["branch", "generator"]] if family else [])


def test_a_missing_discriminator_is_never_drawn_at_random(pairs_config):
    first = run_finetune(pairs_config(**GANLM))
    config = pairs_config(**GANLM, train__output_dir=first.parent / "second")
    model = from_folder(config, first)
    for branch in ("both", "discriminator"):
        ganlm = FinetuneGanLMSettings(branch=branch)
        with pytest.raises(ValueError, match=r"no discriminator\b.* --ganlm\.branch generator"):
            run_finetune(replace(config, model=model, ganlm=ganlm))
    run_finetune(replace(config, model=model, ganlm=FinetuneGanLMSettings(branch="generator")))


@pytest.mark.parametrize("branch", ["generator", "discriminator"])
def test_one_branch_is_tuned_alone_from_a_pair_and_goes_on_after_a_stop(pairs_config, branch):
    pair = run_finetune(pairs_config(**GANLM, ganlm__keep_discriminator=True))
    prefix = "discriminator." if branch == "discriminator" else "model."
    ganlm = FinetuneGanLMSettings(branch=branch)

    def tune(name, **changes):
        config = pairs_config(**GANLM, train__output_dir=pair.parent / name, **changes)
        return run_finetune(replace(config, model=from_folder(config, pair), ganlm=ganlm))

    start = load_file(pair / "model.safetensors")
    still = load_file(tune("still", optim__learning_rate=1e-30) / "model.safetensors")
    for name in still:
        if name.startswith("model.decoder."):
            assert_close(still[name], start[name.replace("model.", prefix, 1)])
    folder = tune("whole", train__final="last")
    assert "loss_discriminator" not in lines(folder, "metrics.jsonl")[0]
    assert isinstance(unblank.load(folder).generate("the red dog", max_tokens=4).text, str)
    tune("stopped", train__max_steps=2, optim__schedule="constant", train__final="last")
    resumed = tune("stopped", optim__schedule="constant", train__final="last")
    at_once = tune("at_once", optim__schedule="constant", train__final="last")
    ours, theirs = (load_file(one / "model.safetensors") for one in (resumed, at_once))
    assert ours.keys() == still.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
