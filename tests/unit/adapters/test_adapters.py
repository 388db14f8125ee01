"""Few trained parameters: they learn, leave the model alone, and open again as they were."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

import unblank
from unblank.adapters.lora import merge_lora
from unblank.adapters.merge import merge
from unblank.adapters.opening import attach_adapter
from unblank.adapters.prompts import attach_prompt
from unblank.adapters.record import AdapterRecord, fingerprint
from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.api import Unblank
from unblank.cli import main
from unblank.engine.finished import published_model
from unblank.families.loading import load_folder
from unblank.families.settings import ModelSettings
from unblank.families.table import FAMILIES
from unblank.finetuning.methods import _LoraMethod, build_method, prompt_for_tokenizer
from unblank.finetuning.requirements import require_possible_method
from unblank.finetuning.settings import FinetuneSettings, PairSettings
from unblank.generation.candidates import ScoringOptions
from unblank.integrity import ADAPTER_RECORD_NAME
from unblank.models import GlmInfillForSequenceClassification
from unblank.models.deltalm import DeltaLMConfig, DeltaLMForConditionalGeneration

TEXTS = ["the cat sat on [MASK] mat", "the dog ran: [MASK]", "[MASK], it is so"]
WORDS = [["a", "the"], ["true", "good or bad"], ["Yes", "No", "Maybe it is"]]
RIGHT = [1, 0, 2]

SETTINGS = {
    "lora": {"lora": LoraSettings(rank=4, dropout=0.0)},
    "prompt": {"prompt": PromptSettings(length=6)},
    "prompt-lstm": {"prompt": PromptSettings(length=6, encoder="lstm")},
    "prompt-mlp": {"prompt": PromptSettings(length=6, encoder="mlp")},
    "deep-prompt": {"prompt": PromptSettings(length=6)},
}
every_method = pytest.mark.parametrize("name", SETTINGS)


@pytest.fixture(scope="session")
def base(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


def method_of(name, base):
    config = FinetuneSettings(
        task="sst2",
        method=name.removesuffix("-lstm").removesuffix("-mlp"),
        model=ModelSettings(init_from=base),
        **SETTINGS[name],
    )
    method = build_method(
        config.method,
        base=base,
        seed=config.train.seed,
        described={
            "task": "sst2",
            "seed": config.train.seed,
            "patterns": "{sentence} It was [MASK].",
        },
        lora=config.lora,
        prompt=config.prompt,
    )
    return method, config


def opened(name, base, checkpoint=None):
    method, config = method_of(name, base)
    model, tokenizer = load_folder(base, dtype="fp32")
    if config.method == "prompt":
        prompt_for_tokenizer(base, config.prompt.length)(tokenizer)
    return method, Unblank(method.prepare(model.train(), checkpoint), tokenizer)


def scores_of(one):
    return torch.cat([
        torch.tensor([c.score for c in scores.candidates])
        for scores in one.score(TEXTS, WORDS)
    ])  # fmt: skip


def toy_loss(one):
    scorer = one.scorer(ScoringOptions())
    clozes = [scorer._cloze(text, words) for text, words in zip(TEXTS, WORDS, strict=True)]
    special = unblank.tokenization.special_ids(one.tokenizer)
    found = unblank.generation.score.score_batch(
        one.model, clozes, sop_id=special.sop, end_id=special.eop
    )
    return -sum(torch.log_softmax(s, 0)[right] for s, right in zip(found, RIGHT, strict=True))


def train(one, num_steps=12, learning_rate=0.02):
    trained = [p for p in one.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate)
    losses = []
    for _ in range(num_steps):
        loss = toy_loss(one)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def tiny_deltalm():
    config = DeltaLMConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_decoder_layers=1,
        num_attention_heads=2, intermediate_size=32,
    )  # fmt: skip
    return DeltaLMForConditionalGeneration(config)


def state_of(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@every_method
def test_a_method_learns_and_leaves_every_base_weight_bit_identical(name, base):
    before = load_file(base / "model.safetensors")
    _, one = opened(name, base)
    losses = train(one, learning_rate=0.2 if name == "deep-prompt" else 0.02)
    assert losses[-1] < 0.5 * losses[0]
    after = {key.replace(".base_layer.", "."): value for key, value in state_of(one.model).items()}
    assert all(torch.equal(after[key], value) for key, value in before.items())
    trained = [key for key, p in one.model.named_parameters() if p.requires_grad]
    assert all("lora_" in key or "prompt" in key for key in trained)


@every_method
def test_a_saved_folder_opens_with_its_base_model_and_scores_the_same(name, base, tmp_path):
    method, one = opened(name, base)
    train(one, num_steps=3)
    expected = scores_of(one)
    method.save(tmp_path, one.model, state_of(one.model), one.tokenizer)
    again = unblank.load(tmp_path, dtype="fp32")
    assert_close(scores_of(again), expected, atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in again.model.parameters())
    plain = scores_of(unblank.load(base, dtype="fp32"))
    assert (plain - expected).abs().max() > 1e-2
    assert again.fill(TEXTS[0], max_tokens=4).blanks


@every_method
def test_training_goes_on_where_a_checkpoint_was_written(name, base, tmp_path):
    method, one = opened(name, base)
    train(one, num_steps=2)
    method.save(tmp_path, one.model, state_of(one.model), one.tokenizer, to_continue=True)
    _, other = opened(name, base, checkpoint=tmp_path)
    assert_close(toy_loss(other), toy_loss(one))
    names = [key for key, p in one.model.named_parameters() if p.requires_grad]
    assert names == [key for key, p in other.model.named_parameters() if p.requires_grad]
    assert train(other, num_steps=3) == pytest.approx(train(one, num_steps=3), rel=1e-5)


@pytest.mark.parametrize("name", ["prompt", "prompt-lstm", "deep-prompt"])
def test_an_exported_prompt_has_the_size_of_its_vectors(name, base, tmp_path):
    method, one = opened(name, base)
    method.save(tmp_path, one.model, state_of(one.model), one.tokenizer)
    record = AdapterRecord.read(tmp_path)
    layers, width = one.model.config.num_hidden_layers, one.model.config.hidden_size
    numbers = 6 * width * (2 * layers if name == "deep-prompt" else 1)
    assert record.num_parameters == numbers
    size = (tmp_path / "prompt.safetensors").stat().st_size
    assert 4 * numbers <= size < 4 * numbers + 256
    assert record.settings["length"] == 6
    assert record.settings["patterns"] == "{sentence} It was [MASK]."


def test_merged_adapters_give_the_logits_of_the_adapted_model(base, tmp_path):
    method, one = opened("lora", base)
    train(one, num_steps=3)
    method.save(tmp_path, one.model, state_of(one.model), one.tokenizer)
    plain, tokenizer = load_folder(base, dtype="fp32")
    names = set(plain.state_dict())
    merged = merge_lora(plain, tmp_path)
    assert set(merged.state_dict()) == names
    found = scores_of(Unblank(merged, tokenizer))
    assert_close(found, scores_of(one), atol=1e-4, rtol=1e-4)


def test_the_merge_command_writes_a_plain_folder(base, tmp_path, capsys):
    method, one = opened("lora", base)
    train(one, num_steps=3)
    method.save(tmp_path, one.model, state_of(one.model), one.tokenizer)
    main(["merge", str(tmp_path), str(tmp_path / "merged")])
    assert str(tmp_path / "merged") in capsys.readouterr().out
    merged = unblank.load(tmp_path / "merged")
    assert set(merged.model.state_dict()) == set(unblank.load(base).model.state_dict())
    assert_close(scores_of(merged), scores_of(one), atol=1e-4, rtol=1e-4)
    with pytest.raises(FileExistsError):
        merge(tmp_path, tmp_path / "merged")


def test_a_prompt_is_not_merged(base, tmp_path):
    method, one = opened("prompt", base)
    method.save(tmp_path, one.model, state_of(one.model), one.tokenizer)
    with pytest.raises(ValueError, match="prompt"):
        merge(tmp_path, tmp_path / "merged")
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json"):
        merge(base, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("name", ["lora", "prompt"])
def test_a_damaged_adapter_is_refused(name, base, tmp_path):
    method, one = opened(name, base)
    with published_model(tmp_path, {}) as folder:
        method.save(folder, one.model, state_of(one.model), one.tokenizer)
    unblank.load(tmp_path)
    path = next(tmp_path.glob("*model.safetensors"), tmp_path / "prompt.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=path.name):
        unblank.load(tmp_path)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_a_folder_of_peft_alone_opens_too(base, tmp_path):
    peft = pytest.importorskip("peft")
    model, tokenizer = load_folder(base, dtype="fp32")
    config = peft.LoraConfig(target_modules=["qkv_proj"], init_lora_weights=False, r=2)
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(tmp_path)
    expected = scores_of(Unblank(adapted.get_base_model(), tokenizer))
    assert_close(scores_of(unblank.load(tmp_path, dtype="fp32")), expected)


def test_another_or_a_missing_base_model_is_refused(base, tiny, tmp_path):
    method, one = opened("prompt", base)
    folder, moved = tmp_path / "run", tmp_path / "moved"
    folder.mkdir()
    method.save(folder, one.model, state_of(one.model), one.tokenizer)
    record = AdapterRecord.read(folder)
    replace(record, base_model=str(moved)).write(folder)
    with pytest.raises(FileNotFoundError, match=r"moved.*adapter\.json"):
        unblank.load(folder)
    model = copy.deepcopy(tiny.model)
    with torch.no_grad():
        model.model.norm.bias[0] += 1e-6
    model.save_pretrained(moved)
    tiny.tokenizer.save_pretrained(moved)
    with pytest.raises(ValueError, match=r"weights.*moved"):
        unblank.load(folder)


def test_a_fingerprint_sees_shapes_and_any_change_of_a_vector(tmp_path):
    tensors = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(3, dtype=torch.bfloat16)}
    found = []
    for change in ("none", "bias", "shape", "dtype"):
        folder = tmp_path / change
        folder.mkdir()
        changed = {name: tensor.clone() for name, tensor in tensors.items()}
        if change == "bias":
            changed["a.bias"][2] = 1.0
        if change == "shape":
            changed["a.weight"] = torch.zeros(3, 2)
        if change == "dtype":
            changed["a.weight"] = torch.zeros(2, 3, dtype=torch.float16)
        save_file(changed, folder / "model.safetensors")
        found.append(fingerprint(folder))
    assert len(set(found)) == 4
    assert fingerprint(tmp_path / "none") == found[0]


def test_a_damaged_record_names_its_file(tmp_path):
    (tmp_path / ADAPTER_RECORD_NAME).write_text("{")
    with pytest.raises(ValueError, match=r"adapter\.json"):
        unblank.load(tmp_path)
    (tmp_path / ADAPTER_RECORD_NAME).write_text(json.dumps({"kind": "lora", "surprise": 1}))
    with pytest.raises(ValueError, match=r"adapter\.json.*surprise"):
        unblank.load(tmp_path)


@every_method
def test_the_head_of_a_classifier_is_trained_and_saved_with_the_rest(name, base, tiny, tmp_path):
    method, _ = method_of(name, base)
    torch.manual_seed(0)
    model = GlmInfillForSequenceClassification.from_pretrained(base, num_labels=3)
    model = method.prepare(model, None)
    trained = {key for key, p in model.named_parameters() if p.requires_grad}
    assert any("out_proj" in key for key in trained)
    assert any("dense" in key for key in trained)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1
    method.save(tmp_path, model, state_of(model), None, to_continue=True)
    with pytest.raises(ValueError, match=r"dense.*GlmInfillForConditional"):
        unblank.load(tmp_path)
    torch.manual_seed(1)
    again = GlmInfillForSequenceClassification.from_pretrained(base, num_labels=3)
    again = method.prepare(again, tmp_path)
    ids = torch.arange(5, 17).view(2, 6)
    assert_close(again.eval()(ids).logits, model.eval()(ids).logits)
    plain = GlmInfillForSequenceClassification.from_pretrained(base, num_labels=3)
    opened_again = attach_adapter(
        plain, copy.deepcopy(tiny.tokenizer), tmp_path, AdapterRecord.read(tmp_path)
    )
    assert_close(opened_again.eval()(ids).logits, model(ids).logits)


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_lora_of_an_encoder_decoder_reaches_the_layers_of_both_sides(targets):
    model = tiny_deltalm()
    lora = LoraSettings(targets=targets, rank=2)
    method = _LoraMethod(base=Path(), seed=0, described={}, lora=lora)
    adapted = method.prepare(model, None)
    reached = {
        name.split(".lora_A")[0].rpartition(".")[2]
        for name, p in adapted.named_parameters()
        if p.requires_grad and ".lora_A" in name
    }
    assert reached == set(FAMILIES["deltalm"].lora_targets[targets])
    sides = {"encoder", "decoder"}
    assert all(any(side in name for name, p in adapted.named_parameters() if p.requires_grad)
               for side in sides)  # fmt: skip


@pytest.mark.parametrize("name", ["prompt", "deep-prompt"])
def test_prompts_of_an_encoder_decoder_are_refused_with_the_reason(name, base):
    method, _ = method_of(name, base)
    with pytest.raises(ValueError, match=r"'deltalm'.*--method lora"):
        method.prepare(tiny_deltalm(), None)


def test_settings_of_another_method_are_refused():
    with pytest.raises(ValueError, match=r"lora\.rank.*--method full"):
        require_possible_method(FinetuneSettings(lora=LoraSettings(rank=2)))
    deep = FinetuneSettings(method="deep-prompt", prompt=PromptSettings(encoder="mlp"))
    with pytest.raises(ValueError, match=r"prompt\.encoder.*--method deep-prompt"):
        require_possible_method(deep)


def test_few_parameters_need_a_finished_model():
    with pytest.raises(ValueError, match=r"--model\.init-from"):
        require_possible_method(FinetuneSettings(method="lora"))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_does_not_start_from_an_adapter(method, base, tmp_path):
    tuned, one = opened("prompt", base)
    tuned.save(tmp_path, one.model, state_of(one.model), one.tokenizer)
    config = FinetuneSettings(method=method, model=ModelSettings(init_from=tmp_path))
    with pytest.raises(ValueError, match=r"adapter\.json.*unblank merge"):
        require_possible_method(config)


def test_impossible_prompts_are_refused_before_text_is_read(base, tmp_path):
    _, config = method_of("prompt", base)
    with pytest.raises(ValueError, match=r"prompt\.length 65 .*\b128\b"):
        require_possible_method(replace(config, prompt=PromptSettings(length=65)))
    short = replace(
        config,
        task="seq2seq",
        seq2seq=PairSettings(max_source_length=40),
        prompt=PromptSettings(length=21),
    )
    with pytest.raises(ValueError, match=r"\b40\b.*seq2seq\.max_source_length"):
        require_possible_method(short)
    tiny_deltalm().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"--method prompt.*'deltalm'"):
        require_possible_method(replace(config, model=ModelSettings(init_from=tmp_path)))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "neither vectors nor keys_values"),
        ({"vectors": torch.zeros(3, 7)}, r"\[3, 7\]"),
        ({"vectors": torch.zeros(32)}, r"\[32\]"),
        ({"keys_values": torch.zeros(2, 2)}, r"\[2, 2\]"),
        ({"keys_values": torch.zeros(9, 2, 3, 32)}, r"\[9, 2, 3, 32\]"),
    ],
)
def test_a_prompt_of_another_shape_is_refused(tiny, tmp_path, tensors, message):
    save_file(tensors, tmp_path / "prompt.safetensors")
    with pytest.raises(ValueError, match=message):
        attach_prompt(copy.deepcopy(tiny.model), copy.deepcopy(tiny.tokenizer), tmp_path)


def test_a_head_of_another_shape_is_not_spread_over_the_classes(tiny, tmp_path):
    model = GlmInfillForSequenceClassification(tiny.model.config)
    head = {
        f"head.{name}": parameter[:1].detach().clone()
        for name, parameter in model.named_parameters()
        if name.startswith("out_proj.")
    }
    vectors = torch.zeros(3, model.config.hidden_size)
    save_file({"vectors": vectors, **head}, tmp_path / "prompt.safetensors")
    with pytest.raises(ValueError, match=r"out_proj\.\w+ has the shape \[1"):
        attach_prompt(model, copy.deepcopy(tiny.tokenizer), tmp_path)
