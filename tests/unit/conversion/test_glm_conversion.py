"""GLM checkpoints of every layout become the same model, and nothing else becomes one."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoModel, AutoModelForSeq2SeqLM

import unblank
from unblank.models import GlmInfillForSequenceClassification

HEADS = 4


@pytest.fixture
def converted(glm_module, save_ranks, tmp_path):
    """The weights of the undivided checkpoint, converted."""
    unblank.convert(save_ranks(glm_module), tmp_path / "whole", num_attention_heads=HEADS)
    return load_file(tmp_path / "whole" / "model.safetensors")


def cut(module, ranks):
    """Cut a state dict into pieces by row and column ranges, as the original program does."""
    pieces = [{} for _ in range(ranks)]
    for key, tensor in module.items():
        for rank, piece in enumerate(pieces):
            if "query_key_value" in key:
                parts = [third.tensor_split(ranks)[rank] for third in tensor.tensor_split(3)]
                piece[key] = torch.cat(parts)
            elif "word_embeddings" in key or "h_to_4h" in key:
                piece[key] = tensor.tensor_split(ranks)[rank].clone()
            elif key.endswith(("attention.dense.weight", "4h_to_h.weight")):
                piece[key] = tensor.tensor_split(ranks, dim=1)[rank].clone()
            else:
                piece[key] = tensor
    return pieces


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_pieces_of_any_number_merge_to_the_whole(
    glm_module, save_ranks, converted, ranks, tmp_path
):
    folder = save_ranks(*cut(glm_module, ranks), name="pieces")
    unblank.convert(folder, tmp_path / "out", num_attention_heads=HEADS)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert merged.keys() == converted.keys()
    assert all(torch.equal(merged[key], converted[key]) for key in converted)


def test_the_last_rank_missing_is_noticed_by_the_shapes(glm_module, save_ranks, tmp_path):
    folder = save_ranks(*cut(glm_module, 4)[:3], name="pieces")
    with pytest.raises(ValueError, match=r"query_key_value\.weight.*\b4 pieces"):
        unblank.convert(folder, tmp_path / "out", num_attention_heads=HEADS)


def test_ranks_that_disagree_are_refused(glm_module, save_ranks, tmp_path):
    first, second = cut(glm_module, 2)
    second["transformer.final_layernorm.bias"] = torch.ones(64)
    with pytest.raises(ValueError, match=r"final_layernorm\.bias"):
        unblank.convert(
            save_ranks(first, second, name="a"), tmp_path / "out", num_attention_heads=HEADS
        )
    second.pop("transformer.final_layernorm.bias")
    with pytest.raises(ValueError, match=r"transformer\.final_layernorm\.bias"):
        unblank.convert(
            save_ranks(first, second, name="b"), tmp_path / "out", num_attention_heads=HEADS
        )
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_ranks_of_other_types_and_one_rank_twice_are_refused(glm_module, save_ranks, tmp_path):
    first, second = cut(glm_module, 2)
    halves = {key: tensor.half() for key, tensor in second.items()}
    with pytest.raises(ValueError, match="word_embeddings"):
        unblank.convert(
            save_ranks(first, halves, name="types"), tmp_path / "out", num_attention_heads=HEADS
        )
    with pytest.raises(ValueError, match="same weights"):
        unblank.convert(
            save_ranks(first, first, name="twice"), tmp_path / "out", num_attention_heads=HEADS
        )


@pytest.mark.parametrize("heads", [0, -4, 7])
def test_heads_that_do_not_divide_the_width_are_refused(glm_module, save_ranks, tmp_path, heads):
    with pytest.raises(ValueError, match="heads"):
        unblank.convert(save_ranks(glm_module), tmp_path / "out", num_attention_heads=heads)


def test_quantised_weights_and_tables_without_columns_are_refused(glm_module, save_ranks, tmp_path):
    key = "transformer.layers.0.attention.dense.weight"
    whole = glm_module[key]
    glm_module[key] = whole.to(torch.int8)
    with pytest.raises(ValueError, match=r"dense\.weight .*int8"):
        unblank.convert(
            save_ranks(glm_module, name="a"), tmp_path / "out", num_attention_heads=HEADS
        )
    glm_module |= {key: whole, "word_embeddings.weight": torch.ones(7)}
    with pytest.raises(ValueError, match=r"\[7\]"):
        unblank.convert(
            save_ranks(glm_module, name="b"), tmp_path / "out", num_attention_heads=HEADS
        )


@pytest.mark.parametrize("prefix", ["module.", "glm.", "model.", "module.model."])
def test_prefixes_of_wrappers_do_not_matter(glm_module, save_ranks, converted, prefix, tmp_path):
    wrapped = {prefix + key: tensor for key, tensor in glm_module.items()}
    unblank.convert(save_ranks(wrapped, name="w"), tmp_path / "out", num_attention_heads=HEADS)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(weights[key], converted[key]) for key in converted)


def test_both_multiglm_layouts_are_the_same_model(glm_module, save_ranks, converted, tmp_path):
    mixin = "mixins.block_position_embedding.block_position_embeddings.weight"
    module = dict(glm_module)
    module["transformer.word_embeddings.weight"] = module.pop("word_embeddings.weight")
    module[mixin] = module.pop("transformer.block_position_embeddings.weight")
    done = unblank.convert(
        save_ranks(module, name="m"), tmp_path / "out", num_attention_heads=HEADS
    )
    assert done.detection.family == "multiglm"
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(weights[key], converted[key]) for key in converted)


def test_no_key_is_dropped_or_invented(glm_module, save_ranks, tmp_path):
    stray = glm_module | {"transformer.layers.0.adapter.weight": torch.ones(2)}
    with pytest.raises(ValueError, match=r"adapter\.weight"):
        unblank.convert(
            save_ranks(stray, name="stray"), tmp_path / "out", num_attention_heads=HEADS
        )
    short = dict(glm_module)
    short.pop("transformer.layers.1.mlp.dense_h_to_4h.bias")
    with pytest.raises(ValueError, match=r"model\.layers\.1\.mlp\.up_proj\.bias"):
        unblank.convert(
            save_ranks(short, name="short"), tmp_path / "out", num_attention_heads=HEADS
        )
    narrow = glm_module | {"transformer.final_layernorm.bias": torch.ones(32)}
    with pytest.raises(ValueError, match=r"\[32\].*\[64\]"):
        unblank.convert(
            save_ranks(narrow, name="narrow"), tmp_path / "out", num_attention_heads=HEADS
        )
    assert not (tmp_path / "out").exists()


def test_soft_prompts_are_reported_not_taken(glm_module, save_ranks, tmp_path):
    module = glm_module | {"prompt_spell.spell_embeddings.weight": torch.ones(3, 64)}
    unblank.convert(save_ranks(module), tmp_path / "out", num_attention_heads=HEADS)
    record = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert record["dropped"] == [
        {
            "key": "prompt_spell.spell_embeddings.weight",
            "reason": ("a trained soft prompt, which is not part of the model: tune a new one"),
        }
    ]


def test_a_fine_tuned_classifier_keeps_its_head(glm_module, save_ranks, tmp_path):
    module = {f"model.{key}": tensor for key, tensor in glm_module.items()}
    module |= {
        "pool_layer.weight": torch.randn(64, 64), "pool_layer.bias": torch.zeros(64),
        "multichoice_head.weight": torch.randn(3, 64), "multichoice_head.bias": torch.zeros(3),
    }  # fmt: skip
    unblank.convert(save_ranks(module), tmp_path / "out", num_attention_heads=HEADS)
    model = GlmInfillForSequenceClassification.from_pretrained(tmp_path / "out")
    assert torch.equal(model.out_proj.weight, module["multichoice_head.weight"])
    assert model.config.num_labels == 3


@pytest.fixture
def hub_folder(glm_module, tmp_path):
    """A folder as on the hub: config.json of the remote code, sharded safetensors, `glm.` names."""
    folder = tmp_path / "hub"
    folder.mkdir()
    settings = {
        "model_type": "glm", "architectures": ["GLMModel"], "num_layers": 2, "hidden_size": 64,
        "num_attention_heads": HEADS, "vocab_size": 384, "max_sequence_length": 32,
        "attention_dropout_prob": 0.2, "relative_encoding": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    names = sorted(glm_module)
    for shard, part in enumerate((names[:9], names[9:]), start=1):
        tensors = {f"glm.{name}": glm_module[name] for name in part}
        save_file(tensors, folder / f"model-{shard:05d}-of-00002.safetensors")
    return folder


def test_the_remote_code_port_has_its_own_gelu_and_its_settings(hub_folder, converted, tmp_path):
    plan = unblank.convert(hub_folder, tmp_path / "out").plan
    assert plan.config.hidden_act == "gelu"
    assert plan.config.num_attention_heads == HEADS
    assert plan.config.attention_probs_dropout_prob == 0.2
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(weights[key], converted[key]) for key in converted)


def test_settings_of_the_port_are_recorded_with_their_hash(hub_folder, tmp_path):
    unblank.convert(hub_folder, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    expected = hashlib.sha256((hub_folder / "config.json").read_bytes()).hexdigest()
    assert record["source"]["files"]["config.json"]["sha256"] == expected


def test_a_stray_head_beside_the_port_is_left_out_with_a_reason(hub_folder, tmp_path):
    head = {"dense.weight": torch.ones(64, 64), "out_proj.bias": torch.ones(1)}
    save_file(head, hub_folder / "model-00003-of-00003.safetensors")
    plan = unblank.convert(hub_folder, tmp_path / "out").plan
    assert {dropped.key for dropped in plan.dropped} == set(head)


@pytest.mark.parametrize(
    ("field", "value"), [("num_layers", 3), ("vocab_size", 512), ("max_sequence_length", 512)]
)
def test_settings_of_other_weights_are_refused(hub_folder, tmp_path, field, value):
    settings = json.loads((hub_folder / "config.json").read_text())
    (hub_folder / "config.json").write_text(json.dumps(settings | {field: value}))
    with pytest.raises(ValueError, match=f"{field} = {value}"):
        unblank.convert(hub_folder, tmp_path / "out")


def test_the_number_of_heads_is_never_guessed(save_ranks, glm_module, tmp_path):
    folder = save_ranks(glm_module)
    with pytest.raises(ValueError, match=r"\b64\b.*--num-attention-heads"):
        unblank.convert(folder, tmp_path / "out")
    beside = {"num_attention_heads": 8, "hidden_size": 64, "num_layers": 3}
    (tmp_path / "config.json").write_text(json.dumps(beside))  # of another model: three layers
    with pytest.raises(ValueError, match="give --num-attention-heads"):
        unblank.convert(folder, tmp_path / "out")
    (tmp_path / "config.json").write_text(json.dumps(beside | {"num_layers": 2}))
    assert unblank.convert(folder, tmp_path / "out").plan.config.num_attention_heads == 8


def test_weights_that_are_not_finite_are_refused(glm_module, save_ranks, tmp_path):
    glm_module["transformer.layers.1.mlp.dense_4h_to_h.bias"][3] = float("nan")
    with pytest.raises(ValueError, match=r"layers\.1\.mlp\.down_proj\.bias"):
        unblank.convert(save_ranks(glm_module), tmp_path / "out", num_attention_heads=HEADS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


def test_a_type_that_is_too_narrow_is_refused(glm_module, save_ranks, tmp_path):
    glm_module["transformer.final_layernorm.weight"][0] = 1e6
    folder = save_ranks(glm_module)
    with pytest.raises(ValueError, match="float16"):
        unblank.convert(folder, tmp_path / "out", num_attention_heads=HEADS, dtype="fp16")
    unblank.convert(folder, tmp_path / "out", num_attention_heads=HEADS, dtype="bf16")
    assert {tensor.dtype for tensor in load_file(tmp_path / "out/model.safetensors").values()} == {
        torch.bfloat16
    }


def test_an_output_that_exists_is_never_touched(glm_module, save_ranks, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match=r"\bout\b"):
        unblank.convert(save_ranks(glm_module), tmp_path / "out", num_attention_heads=HEADS)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_shards_are_bounded_indexed_and_load_as_one_model(glm_module, save_ranks, tmp_path):
    folder = save_ranks(glm_module)
    unblank.convert(folder, tmp_path / "one", num_attention_heads=HEADS)
    unblank.convert(folder, tmp_path / "many", num_attention_heads=HEADS, shard_size="100KB")
    shards = sorted((tmp_path / "many").glob("*.safetensors"))
    assert len(shards) > 3
    for shard in shards:
        tensors = load_file(shard)
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors.values()) <= 100_000
    models = [AutoModelForSeq2SeqLM.from_pretrained(tmp_path / name) for name in ("one", "many")]
    inputs = {"input_ids": torch.arange(5)[None], "prefix_lengths": torch.tensor([3])}
    assert_close(*(model.eval()(**inputs).logits for model in models))
    assert AutoModel.from_pretrained(tmp_path / "many").config.num_hidden_layers == 2


def test_the_report_accounts_for_every_key_and_file(glm_module, save_ranks, tmp_path):
    unblank.convert(save_ranks(*cut(glm_module, 2)), tmp_path / "out", num_attention_heads=HEADS)
    record = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert {key for entry in record["keys"] for key in entry["from"]} == glm_module.keys()
    assert {entry["action"] for entry in record["keys"]} == {"merged"}
    assert len(record["source"]["files"]) == 2
    assert all(len(facts["sha256"]) == 64 for facts in record["source"]["files"].values())
    assert record["files"].keys() == {"config.json", "model.safetensors"}
    assert record["versions"].keys() >= {"unblank", "torch", "transformers"}


def test_options_of_other_families_are_refused(glm_module, save_ranks, tmp_path):
    with pytest.raises(ValueError, match=r"--part .*\bganlm\b.*\bglm\b"):
        unblank.convert(save_ranks(glm_module), tmp_path / "out", part="generator")


def test_a_folder_of_this_library_is_not_converted_again(glm_module, save_ranks, tmp_path):
    unblank.convert(save_ranks(glm_module), tmp_path / "out", num_attention_heads=HEADS)
    with pytest.raises(ValueError, match=r"glm_infill.*--verify"):
        unblank.convert(tmp_path / "out", tmp_path / "again")


def test_what_is_of_no_family_is_said(tmp_path):
    torch.save({"model": {"some.weight": torch.ones(2)}}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"some\.weight"):
        unblank.convert(tmp_path / "x.pt", tmp_path / "out")


def test_a_folder_without_a_tokenizer_says_how_to_get_one(glm_module, save_ranks, tmp_path):
    unblank.convert(save_ranks(glm_module), tmp_path / "out", num_attention_heads=HEADS)
    with pytest.raises(FileNotFoundError, match="--tokenizer"):
        unblank.load(tmp_path / "out")
