"""`run_finetune` on pairs: what it writes, chooses and refuses, for every family."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from labelled_toys import labelled_glm
from safetensors.torch import load_file
from tiny_glms import write_folder
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import unblank
from unblank.engine.units import InfillUnit
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneSettings, PairSettings
from unblank.integrity import find_damage
from unblank.settings.recipes import read_settings

GLM = {"model__preset": "tiny", "model__num_hidden_layers": 1}


GANLM = {"model__preset": "ganlm-tiny"}


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def from_folder(config, folder):
    """Return the model section that starts from a folder instead of a preset."""
    shape = dict.fromkeys(("hidden_size", "num_hidden_layers", "num_attention_heads"))
    return replace(config.model, preset="", init_from=folder, **shape)


def results(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("family", [{}, GANLM, GLM], ids=["deltalm", "ganlm", "glm"])
def test_every_family_becomes_a_folder_that_writes(pairs_config, family):
    folder = run_finetune(pairs_config(**family, train__metric="exact_match"))
    opened = unblank.load(folder)
    assert isinstance(opened.generate("the red dog", max_tokens=4).text, str)
    assert [line["step"] for line in lines(folder, "validation.jsonl")] == [2, 4]
    assert {"loss", "exact_match"} <= lines(folder, "validation.jsonl")[0].keys()
    assert len(lines(folder, "predictions/step-00000004.jsonl")) == 12
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["settings"]["data"]["source"] == "en"
    assert results(folder)["chosen"] == "best"
    best = unblank.load(folder / "best").model.state_dict()
    assert all(torch.equal(best[k], v) for k, v in opened.model.state_dict().items())
    assert find_damage(folder / "best", "provenance.json") is None


@pytest.mark.parametrize("family", [{}, GANLM], ids=["deltalm", "ganlm"])
def test_the_auto_classes_write_what_the_library_writes(pairs_config, family):
    folder = run_finetune(pairs_config(**family, optim__learning_rate=5e-3))
    ours, tokenizer = unblank.load(folder, device="cpu"), AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    sources = ["the red dog", "one cat", "the red dog ran to one cat"]
    read = tokenizer(sources, return_tensors="pt", padding=True)
    never = sorted(
        {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder} - {model.config.eos_token_id}
    )
    rows = model.generate(**read, max_new_tokens=6, suppress_tokens=never)
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    assert texts == [one.text for one in ours.generate(sources, max_tokens=6)]


def test_a_model_that_is_tuned_again_ends_a_source_once(pairs_config):
    folder = run_finetune(pairs_config())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = pairs_config(train__output_dir=folder / "again")
    config = replace(
        config,
        model=from_folder(config, folder),
        tokenizer=TokenizerSettings(extra_tokens=("__x__",)),
    )
    again = AutoTokenizer.from_pretrained(run_finetune(config))
    assert again("one cat")["input_ids"] == tokenizer("one cat")["input_ids"]
    tag, *_, end = again("__x__ the red dog")["input_ids"]
    assert [tag, end] == again.convert_tokens_to_ids(["__x__", "<|endofpiece|>"])


def test_a_model_learns_the_pairs_and_the_best_step_is_chosen(pairs_config):
    config = pairs_config(train__max_steps=60, train__validate_every=20, optim__learning_rate=5e-3)
    folder = run_finetune(config)
    losses = {line["step"]: line["loss"] for line in lines(folder, "validation.jsonl")}
    assert min(losses.values()) < 0.7 * math.log(330)
    chosen = results(folder)["candidates"]["best"]
    assert losses[chosen["steps"][0]] == min(losses.values()) == chosen["scores"]["loss"]
    again = pairs_config(method="none", train__output_dir=folder / "again")
    again = replace(again, model=from_folder(again, folder))
    assert results(run_finetune(again))["scores"]["loss"] == pytest.approx(min(losses.values()))


def test_an_average_is_measured_beside_the_best_and_the_better_one_is_kept(pairs_config):
    folder = run_finetune(
        pairs_config(train__max_steps=10, train__validate_every=2, train__average_last=3)
    )
    candidates = results(folder)["candidates"]
    assert candidates["average"]["steps"] == [6, 8, 10]
    snapshots = [
        load_file(folder / "snapshots" / f"step-{step:08d}" / "weights.safetensors")
        for step in (6, 8, 10)
    ]
    best = results(folder)["candidates"]["best"]["scores"]["loss"]
    average = candidates["average"]["scores"]["loss"]
    assert results(folder)["chosen"] == ("average" if average < best else "best")
    folder = run_finetune(
        pairs_config(
            train__max_steps=10,
            train__validate_every=2,
            train__average_last=3,
            train__final="average",
        )
    )
    kept = load_file(folder / "model.safetensors")
    for name in snapshots[0]:
        mean = sum(one[name].double() for one in snapshots) / 3
        assert torch.equal(kept[name], mean.float())


def test_a_run_stops_early_and_stays_stopped(pairs_config):
    config = pairs_config(
        train__max_steps=40, train__validate_every=1, train__patience=2, optim__learning_rate=1.0
    )
    folder = run_finetune(config)
    history = lines(folder, "validation.jsonl")
    best = min(history, key=lambda line: line["loss"])["step"]
    assert history[-1]["step"] == best + 2 < 40
    before = (folder / "model.safetensors").read_bytes()
    run_finetune(config)
    assert lines(folder, "validation.jsonl") == history
    assert (folder / "model.safetensors").read_bytes() == before


def test_seeds_are_runs_of_their_own_with_mean_and_deviation(pairs_config, capsys):
    folder = run_finetune(pairs_config(train__seeds=(1, 2, 3)))
    losses = [results(folder / f"seed-{seed}")["scores"]["loss"] for seed in (1, 2, 3)]
    assert len(set(losses)) == 3
    mean = sum(losses) / 3
    deviation = math.sqrt(sum((loss - mean) ** 2 for loss in losses) / 2)
    summary = results(folder)
    assert summary["mean"]["loss"] == pytest.approx(mean)
    assert summary["standard_deviation"]["loss"] == pytest.approx(deviation)
    assert f"{mean:.4f}" in capsys.readouterr().out
    one = run_finetune(pairs_config(train__seed=2, train__output_dir=folder.parent / "alone"))
    assert results(one)["scores"]["loss"] == losses[1]


def test_every_other_step_is_plain_text_without_sentinels(pairs_config, pair_folder, monkeypatch):
    seen = []
    call = InfillUnit.__call__

    def watched(self, model, batch, device):
        if model.training:
            seen.append((set(batch.objectives), batch.labels, batch.decoder_input_ids))
        return call(self, model, batch, device)

    monkeypatch.setattr(InfillUnit, "__call__", watched)
    plain = (str(pair_folder / "plain.txt"),)
    config = pairs_config(data__monolingual=plain, data__text_unit="line", train__max_steps=8)
    folder = run_finetune(config)
    kinds = [kind for (kind,), _, _ in seen]
    assert kinds == ["source_target", "span_corruption"] * 4
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sentinels = {i for token, i in tokenizer.get_vocab().items() if token.startswith("[MASK")}
    assert len(sentinels) > 20
    for _, labels, decoder_ids in seen:
        assert not sentinels & {*labels.flatten().tolist(), *decoder_ids.flatten().tolist()}


def test_several_held_out_entries_are_scored_each_and_all_together(pairs_config, pair_folder):
    path = pair_folder / "held_out.jsonl"
    config = pairs_config(
        data__validation=(f"{path}:en:de", f"{path}:de:en"),
        train__metric="chrf",
        train__max_steps=2,
        train__validate_every=2,
    )
    scores = results(run_finetune(config))["scores"]
    each = [scores["chrf held_out.jsonl:en:de"], scores["chrf held_out.jsonl:de:en"]]
    assert min(each) <= scores["chrf"] <= max(each)


def test_too_few_sentinels_for_the_plain_text_are_refused(pairs_config, pair_folder):
    config = pairs_config(
        data__monolingual=(str(pair_folder / "plain.txt"),), seq2seq__mask_ratio=0.9
    )
    config = replace(config, seq2seq=replace(config.seq2seq, max_source_length=400))
    with pytest.raises(ValueError, match=r"\b20 sentinels\b.*--tokenizer\.num-sentinels 40"):
        run_finetune(config)


def test_language_tags_are_added_once_and_unknown_ones_are_refused(pairs_config, pair_folder):
    path = pair_folder / "train.jsonl"
    entries = (f"{path}:en:de", f"{path}:de:en")
    first = run_finetune(pairs_config())
    tagged = pairs_config(
        data__train=entries,
        data__languages=("en-de", "de-en"),
        data__validation_languages=("en-de",),
        train__output_dir=first.parent / "tagged",
    )
    tagged = replace(
        tagged,
        model=from_folder(tagged, first),
        tokenizer=replace(tagged.tokenizer, path=None),
    )
    with pytest.raises(ValueError, match=r"'__de__'.*--tokenizer\.extra-tokens __de__"):
        run_finetune(tagged)
    given = replace(tagged.tokenizer, extra_tokens=("__de__", "__en__"))
    folder = run_finetune(replace(tagged, tokenizer=given))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = len(AutoTokenizer.from_pretrained(pair_folder / "tokenizer"))
    assert tokenizer.convert_tokens_to_ids(["__de__", "__en__"]) == [size, size + 1]
    assert tokenizer.tokenize("__de__ the dog")[0] == "__de__"
    assert unblank.load(folder).model.config.tokenizer_size == size + 2


def test_each_entry_gives_its_share_of_the_held_out_samples(pairs_config, pair_folder):
    few = pair_folder / "few.jsonl"
    held_out = (pair_folder / "held_out.jsonl").read_text().splitlines()
    few.write_text("\n".join(held_out[:6]))
    val, again = pair_folder / "held_out.jsonl", pair_folder / "again" / "held_out.jsonl"
    again.parent.mkdir()
    again.write_text("\n".join(held_out))
    folder = run_finetune(
        pairs_config(
            data__validation=(f"{val}:en:de", f"{few}:de:en", f"{again}:en:de"),
            train__metric="exact_match",
            train__validation_samples=5,
        )
    )
    records = [json.loads(line) for line in held_out]
    shown = [line["source"] for line in lines(folder, "predictions/step-00000004.jsonl")]
    parts = [
        (shown[:2], "en", records),
        (shown[2:3], "de", records[:6]),
        (shown[3:], "en", records),
    ]
    for sources, field, own in parts:
        places = [[record[field] for record in own].index(source) for source in sources]
        assert places == sorted(set(places))
    assert len(shown) == 5
    names = [name for name in lines(folder, "validation.jsonl")[0] if "match " in name]
    assert [name.removeprefix("exact_match ") for name in names] == [
        "held_out.jsonl:en:de (1)",
        "few.jsonl:de:en",
        "held_out.jsonl:en:de (3)",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__train": ()}, r"--data\.train"),
        ({"model__preset": ""}, r"--model\.init-from FOLDER"),
        ({"data__validation": (), "train__patience": 2}, r"patience.*--data\.validation"),
        ({"train__metric": "blue"}, r"train\.metric.*'blue'.*seq2seq.*loss"),
        ({"model__preset": "electra-tiny"}, "family electra"),
        (
            {"ganlm__discriminator_weight": 3.0},
            r"ganlm\.discriminator_weight",
        ),
        (
            {"ganlm__branch": "discriminator", "method": "lora", "model__init_from": Path("pair")},
            r"ganlm\.branch discriminator.*--method full",
        ),
    ],
)
def test_what_cannot_run_is_refused_in_words(pairs_config, changes, message):
    with pytest.raises(ValueError, match=message):
        run_finetune(pairs_config(**changes))


def test_another_file_of_training_pairs_is_not_continued_on(pairs_config, pair_folder):
    config = pairs_config()
    run_finetune(config)
    other = replace(config.data, train=(str(pair_folder / "held_out.jsonl"),))
    with pytest.raises(ValueError, match=r"checkpoints/step-\d+\b"):
        run_finetune(replace(config, data=other))
    with pytest.raises(ValueError, match=r"seq2seq\.label_smoothing .*0\.1.*0\.0"):
        run_finetune(pairs_config(seq2seq__label_smoothing=0.0))


def test_more_positions_than_the_model_has_are_refused(pairs_config):
    folder = run_finetune(pairs_config())
    config = pairs_config(seq2seq__max_source_length=4096, train__output_dir=folder.parent / "long")
    model = from_folder(config, folder)
    with pytest.raises(ValueError, match=r"seq2seq\.max_source_length.*\b4096\b"):
        run_finetune(replace(config, model=model))


def test_lengths_that_were_not_given_are_those_of_the_model(pairs_config, tmp_path):
    short = labelled_glm()
    write_folder(short, tmp_path / "short")
    config = replace(
        pairs_config(seq2seq=PairSettings()),
        model=ModelSettings(init_from=tmp_path / "short"),
        tokenizer=TokenizerSettings(),
    )
    recorded = read_settings(FinetuneSettings, run_finetune(config) / "run.yaml").seq2seq
    positions = short.model.config.max_position_embeddings
    assert (recorded.max_source_length, recorded.max_target_length) == (positions, positions)


@pytest.mark.parametrize("family", [{}, GANLM, GLM], ids=["deltalm", "ganlm", "glm"])
def test_answers_longer_than_the_model_are_refused_before_the_first_step(pairs_config, family):
    config = pairs_config(**family, train__metric="bleu", generation__max_tokens=5000)
    with pytest.raises(ValueError, match="max_tokens is 5000"):
        run_finetune(config)
    assert not (config.train.output_dir / "metrics.jsonl").exists()
