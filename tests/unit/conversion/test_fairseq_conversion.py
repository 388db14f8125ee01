"""DeltaLM and GanLM files in every variant become one model each, with every key accounted for."""

import json
import os

import pytest
import torch
from fairseq_toys import (
    POSITIONS,
    fairseq_deltalm,
    ganlm,
    released_deltalm,
    save_fairseq,
    train_pieces,
)
from safetensors.torch import load_file
from torch.testing import assert_close

from unblank.conversion import convert as conversion_module
from unblank.conversion.fairseq import choose_heads
from unblank.conversion.verify import verify
from unblank.models import (
    DeltaLMForConditionalGeneration,
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
)
from unblank.tokenization.special import encoder_decoder_ids

ROWS = 112  # a dictionary of 8 tokens, <mask>, 100 sentinels, three fillers
TABLE = "model.encoder.embed_tokens.weight"


def convert(source, output, **options):
    """One head, as the toys record none and are as wide as no published model."""
    return conversion_module.convert(source, output, **{"num_attention_heads": 1, **options})


@pytest.fixture
def released(tmp_path):
    """Return a writer of a released DeltaLM file, with a dictionary of 8 tokens beside it."""

    def save(module=None, dictionary="a b c d"):
        folder = tmp_path / "released"
        folder.mkdir()
        torch.save({"weights": module or released_deltalm(ROWS)}, folder / "deltalm-base.pt")
        lines = "".join(f"{word} 9\n" for word in dictionary.split())
        (folder / "dict.txt").write_text(lines, encoding="utf-8")
        return folder

    return save


def weights(folder):
    return load_file(folder / "model.safetensors")


def record(folder):
    return json.loads((folder / "provenance.json").read_text(encoding="utf-8"))


def test_released_and_trained_layouts_become_the_same_model(released, tmp_path):
    convert(released(), tmp_path / "a")
    module = fairseq_deltalm(ROWS)
    trained = save_fairseq(tmp_path / "b.pt", module, encoder_attention_heads=1)
    convert(trained, tmp_path / "b")
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert record(tmp_path / "a")["family"] == record(tmp_path / "b")["family"] == "deltalm"


@pytest.mark.parametrize("make", [released_deltalm, fairseq_deltalm, ganlm])
def test_every_key_is_used_once_or_dropped_with_a_reason(make, tmp_path):
    module, path = make(ROWS), tmp_path / "model.pt"
    save_fairseq(path, module)
    convert(path, tmp_path / "out")
    report = record(tmp_path / "out")
    used = [key for entry in report["keys"] for key in entry["from"]]
    dropped = [entry["key"] for entry in report["dropped"]]
    assert sorted(used + dropped) == sorted(module)
    assert all(entry["reason"] for entry in report["dropped"])
    converted = weights(tmp_path / "out")
    for entry in report["keys"]:
        (key,) = entry["from"]
        assert torch.equal(converted[entry["name"]], module[key])


@pytest.mark.parametrize("make", [released_deltalm, ganlm])
def test_a_key_left_over_or_missing_is_an_error(make, tmp_path):
    module, path = make(ROWS), tmp_path / "model.pt"
    path.parent.mkdir(exist_ok=True)
    surplus = module | {"decoder.layers.0.adapter.weight": torch.ones(2)}
    torch.save({"model": surplus}, path)
    with pytest.raises(ValueError, match=r"adapter\.weight"):
        convert(path, tmp_path / "out")
    for key in list(module)[5::40]:
        torch.save({"model": {k: v for k, v in module.items() if k != key}}, path)
        with pytest.raises(ValueError, match=r"lacks weights|has no|not numbered"):
            convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_heads_are_given_recorded_or_those_of_a_published_width_but_never_guessed(
    released, tmp_path
):
    recorded = {"encoder_attention_heads": 4}
    assert choose_heads(768, {}, 8)[0] == 8
    assert choose_heads(768, recorded, None)[0] == 4
    assert [choose_heads(width, {}, None)[0] for width in (768, 1024)] == [12, 16]
    with pytest.raises(ValueError, match="width 2560: give --num-attention-heads"):
        choose_heads(2560, {}, None)  # XLM-R XL has 32 heads of 80
    with pytest.raises(ValueError, match="width 64: give --num-attention-heads"):
        convert(released(), tmp_path / "out", num_attention_heads=None)
    assert not (tmp_path / "out").exists()


def test_large_models_have_no_norm_over_the_embeddings(released, tmp_path):
    convert(released(released_deltalm(ROWS, has_embedding_norm=False)), tmp_path / "out")
    model = DeltaLMForConditionalGeneration.from_pretrained(tmp_path / "out")
    assert not model.config.layernorm_embedding
    assert not any("embeddings.norm" in name for name, _ in model.named_parameters())


def test_rows_behind_the_dictionary_are_kept_and_named(released, tmp_path):
    source = released()
    convert(source, tmp_path / "all")
    config = json.loads((tmp_path / "all" / "config.json").read_text())
    assert config["vocab_size"] == config["tokenizer_size"] == 112
    assert config["mask_token_id"] == 8
    convert(source, tmp_path / "cut", vocab_size=8)
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    assert (config["vocab_size"], config["mask_token_id"]) == (8, None)
    assert torch.equal(weights(tmp_path / "cut")[TABLE], weights(tmp_path / "all")[TABLE][:8])
    assert "cut to the first 8 of 112 rows" in json.dumps(record(tmp_path / "cut")["keys"])
    with pytest.raises(ValueError, match=r"\b112\b.*\b200\b"):
        convert(source, tmp_path / "more", vocab_size=200)


def test_tags_get_new_rows_behind_all_others(released, tmp_path):
    source = released()
    convert(source, tmp_path / "plain")
    convert(source, tmp_path / "tagged", language_tags=["__de__", "__fr__"])
    before, after = weights(tmp_path / "plain")[TABLE], weights(tmp_path / "tagged")[TABLE]
    assert after.shape == (114, before.shape[1])
    assert torch.equal(after[:112], before)
    assert not torch.equal(after[112], after[113])
    convert(source, tmp_path / "again", language_tags=["__de__", "__fr__"])
    assert torch.equal(weights(tmp_path / "again")[TABLE], after)


def test_recorded_languages_name_the_rows_that_fine_tuning_added(tmp_path):
    vocabulary = train_pieces(tmp_path / "source", ["the cat sat on the mat. " * 9], 40)
    tokens = len((vocabulary / "dict.txt").read_text(encoding="utf-8").split("\n")) - 1 + 4
    save_fairseq(vocabulary / "model.pt", fairseq_deltalm(tokens + 2), langs=["de", "fr"])
    conversion = convert(vocabulary, tmp_path / "out")
    tokenizer = conversion.plan.tokenizer
    assert tokenizer.convert_tokens_to_ids(["__de__", "__fr__"]) == [tokens, tokens + 1]
    ids = encoder_decoder_ids(tokenizer)
    config = conversion.plan.config
    assert (ids.pad, ids.eos, ids.sop) == (
        config.pad_token_id, config.eos_token_id, config.decoder_start_token_id
    )  # fmt: skip
    assert config.mask_token_id is None


def test_a_dictionary_of_other_weights_is_refused(released, tmp_path):
    words = " ".join(f"w{number}" for number in range(ROWS))
    with pytest.raises(ValueError, match=r"\b116\b.*\b112\b"):
        convert(released(dictionary=words), tmp_path / "out")


def test_a_table_that_is_not_tied_is_told_or_refused(released, tmp_path):
    module = released_deltalm(ROWS)
    module["src_embedding.embed_tokens.weight"] += 1
    conversion = convert(released(module), tmp_path / "out")
    assert "src_embedding.embed_tokens.weight differs" in conversion.plan.traps[0]
    kept = module["tgt_embedding.embed_tokens.weight"]
    assert torch.equal(weights(tmp_path / "out")[TABLE], kept)
    for name, module in (("deltalm", fairseq_deltalm(ROWS)), ("ganlm", ganlm(ROWS))):
        key = next(key for key in module if key.endswith("output_projection.weight"))
        module[key] = module[key] + 1
        with pytest.raises(ValueError, match=r"\ba\b"):
            convert(save_fairseq(tmp_path / f"{name}.pt", module), tmp_path / name)


def test_the_weights_are_asked_about_the_order_of_the_feed_forwards(released, tmp_path):
    module = released_deltalm(ROWS)
    for layer in range(2):  # as if trained from its encoder by the first release's rule
        for half, ffn in ((0, "ffn_2"), (1, "ffn_1")):
            source = module[f"encoder.layers.{2 * layer + half}.ffn.fc1.weight"]
            module[f"decoder.layers.{layer}.{ffn}.fc1.weight"] = source + 0.01
    path = released(module)
    conversion = convert(path, tmp_path / "current")
    assert "--ffn-order first-release" in conversion.plan.traps[0]
    conversion = convert(path, tmp_path / "first", ffn_order="first-release")
    assert not any("--ffn-order" in trap for trap in conversion.plan.traps)
    bottom = weights(tmp_path / "first")["model.decoder.layers.0.bottom_mlp.up_proj.weight"]
    assert torch.equal(bottom, module["decoder.layers.0.ffn_2.fc1.weight"])


def test_a_pretrained_pair_gives_each_part_that_is_asked_for(tmp_path):
    path = save_fairseq(tmp_path / "pair.pt", ganlm(ROWS), encoder_attention_heads=1)
    whole = convert(path, tmp_path / "all").plan
    assert whole.model_class is GanLMForPreTraining
    assert whole.config.scale_embedding
    assert whole.config.relative_bias_buckets == 8
    names = {
        part: set(weights(_converted(path, tmp_path / part, part)))
        for part in ("generator", "discriminator")
    }
    both = set(weights(tmp_path / "all"))
    head = {name for name in both if name.startswith(("discriminator.dense", "discriminator.norm"))}
    head |= {name for name in both if name.startswith("discriminator.out_proj")}
    assert names["generator"] | names["discriminator"] | head == both
    assert not any("discriminator" in name for name in names["generator"])
    assert not any("model.decoder" in name for name in names["discriminator"])


def _converted(path, output, part):
    convert(path, output, part=part)
    return output


def test_a_part_that_is_not_there_cannot_be_asked_for(tmp_path):
    module = {k: v for k, v in ganlm(ROWS).items() if not k.startswith("decoder.discriminator")}
    path = save_fairseq(tmp_path / "generator.pt", module)
    with pytest.raises(ValueError, match=r"--part discriminator.*generator"):
        convert(path, tmp_path / "out", part="discriminator")


def test_a_discriminator_without_generator_becomes_a_classifier_to_be(tmp_path):
    module = {k: v for k, v in ganlm(ROWS).items() if not k.startswith("decoder.generator")}
    plan = convert(save_fairseq(tmp_path / "judge.pt", module), tmp_path / "out").plan
    assert plan.model_class is GanLMForSequenceClassification
    assert len(plan.untrained) == 4
    assert "needs fine-tuning" in plan.traps[-1]
    assert verify(tmp_path / "out").holds


def test_a_discriminator_that_was_tuned_to_write_becomes_a_generator(tmp_path):
    pair = GanLMForPreTraining.from_pretrained(
        _converted(save_fairseq(tmp_path / "pair.pt", ganlm(ROWS)), tmp_path / "pair", "all")
    )
    head = "decoder.discriminator.output_projection."
    gone = ("decoder.generator.", head)
    module = {k: v for k, v in ganlm(ROWS).items() if not k.startswith(gone)}
    module[head + "weight"] = module["encoder.discriminator.embed_tokens.weight"].clone()
    path = save_fairseq(tmp_path / "judge.pt", module)
    plan = convert(path, tmp_path / "out").plan
    assert plan.model_class is GanLMForConditionalGeneration
    assert (plan.config.encoder_layers, plan.config.decoder_layers) == (2, 1)
    assert not plan.untrained
    assert verify(tmp_path / "out").holds
    expected = pair.writer("discriminator").state_dict()
    ours = GanLMForConditionalGeneration.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    classifier = convert(path, tmp_path / "classifier", part="discriminator").plan
    assert classifier.model_class is GanLMForSequenceClassification


def test_a_shared_discriminator_is_stored_once(tmp_path):
    module = ganlm(ROWS)
    for key in list(module):
        twin = key.replace("decoder.generator.", "decoder.discriminator.")
        if twin != key and twin in module and "output_projection" not in key:
            module[twin] = module[key].clone()
    arguments = {"share_generator_discriminator": True, "discriminator_decoder_layers": 1}
    path = save_fairseq(tmp_path / "shared.pt", module, **arguments)
    plan = convert(path, tmp_path / "out").plan
    assert plan.config.share_generator_discriminator
    assert not any("discriminator.decoder" in name for name in weights(tmp_path / "out"))
    alone = {k: v for k, v in module.items() if not k.startswith("decoder.discriminator")}
    generator = convert(save_fairseq(tmp_path / "alone.pt", alone, **arguments), tmp_path / "alone")
    assert generator.plan.model_class is GanLMForConditionalGeneration
    module["decoder.discriminator.layers.0.fc1.bias"] += 1
    save_fairseq(path, module, **arguments)
    with pytest.raises(ValueError, match=r"decoder\.discriminator.*decoder\.generator"):
        convert(path, tmp_path / "other")


def test_a_vocabulary_gives_the_converted_folder_its_tokenizer(tmp_path):
    vocabulary = train_pieces(tmp_path / "vocabulary", ["the cat sat on the mat. " * 9], 40)
    tokens = len((vocabulary / "dict.txt").read_text(encoding="utf-8").split("\n")) - 1 + 4
    rows = -(-(tokens + 101) // 8) * 8
    path = save_fairseq(tmp_path / "weights" / "checkpoint.pt", ganlm(rows))
    convert(path, tmp_path / "out", tokenizer=vocabulary)
    model = GanLMForPreTraining.from_pretrained(tmp_path / "out").eval()
    assert model.config.first_special_id == model.config.mask_token_id == tokens
    facts = record(tmp_path / "out")["tokenizer"]
    assert facts["ids"]["<mask_0>"] == tokens + 1
    assert set(facts["files"]) == {"spm.model", "dict.txt"}
    opened = (tmp_path / "out" / "tokenizer.json").is_file()
    assert opened
    ids = torch.tensor([[4, 5, 6, 2]])
    with torch.no_grad():
        assert model(ids, decoder_input_ids=ids).logits.shape == (1, 4, rows)


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_bad_files_are_refused_and_leave_nothing(released, tmp_path):
    output, marker = tmp_path / "out", tmp_path / "executed"
    path = tmp_path / "bad.pt"
    torch.save({"weights": released_deltalm(ROWS), "cfg": Payload(marker)}, path)
    with pytest.raises(ValueError, match=r"bad\.pt .*\w+\.mkdir\b"):
        convert(path, output)
    assert not marker.exists()
    module = ganlm(ROWS)
    module["decoder.generator.layers.1.fc1.weight"][0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"1\.fc1\.weight.*finite"):
        convert(save_fairseq(path, module), output)
    whole = released() / "deltalm-base.pt"
    path.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"bad\.pt\b"):
        convert(path, output)
    torch.save({"model": {"lstm.weight": torch.ones(2)}}, path)
    with pytest.raises(ValueError, match=r"lstm\.weight.*--family"):
        convert(path, output)
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "nowhere", output)
    with pytest.raises(ValueError, match="'many'"):
        convert(
            save_fairseq(path, ganlm(ROWS), encoder_attention_heads="many"),
            output,
            num_attention_heads=None,
        )
    with pytest.raises(ValueError, match="vocab_size"):
        convert(whole, output, vocab_size=0)
    with pytest.raises(FileExistsError, match=r"bad\.pt\b"):
        convert(whole, path / "out")
    assert not output.exists()
    assert not list(tmp_path.glob(".out*"))


def test_positions_of_the_file_are_kept(released, tmp_path):
    convert(released(), tmp_path / "out")
    model = DeltaLMForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
    assert model.config.max_position_embeddings == POSITIONS - 2
    left = torch.tensor([[1, 1, 4, 5, 2]])
    right = torch.tensor([[4, 5, 2, 1, 1]])
    targets = torch.tensor([[2, 6, 7]])
    with torch.no_grad():
        a, b = (model(ids, decoder_input_ids=targets).logits for ids in (left, right))
    assert_close(a, b, atol=1e-5, rtol=1e-5)


def roberta(rows, *, is_fused):
    """Return a fairseq RoBERTa of the first layout, its attention fused as in old files or not."""
    module = {"decoder.sentence_encoder.version": torch.ones(1)}
    for key, tensor in released_deltalm(rows).items():
        if key.startswith(("encoder.", "src_embedding.")):
            path = key.removeprefix("encoder.").removeprefix("src_embedding.").replace("ffn.", "")
            module[f"decoder.sentence_encoder.{path}"] = tensor
    module["decoder.lm_head.weight"] = torch.ones(rows, 64)
    for layer in range(4 if is_fused else 0):
        prefix = f"decoder.sentence_encoder.layers.{layer}.self_attn"
        for part in ("weight", "bias"):
            thirds = [module.pop(f"{prefix}.{letter}_proj.{part}") for letter in "qkv"]
            module[f"{prefix}.in_proj_{part}"] = torch.cat(thirds)
    return module


def test_an_older_encoder_with_fused_attention_is_split(tmp_path):
    folders = {}
    for is_fused in (False, True):
        path = save_fairseq(tmp_path / f"{is_fused}.pt", roberta(ROWS, is_fused=is_fused))
        convert(path, tmp_path / str(is_fused))
        folders[is_fused] = weights(tmp_path / str(is_fused))
    assert all(torch.equal(folders[True][key], folders[False][key]) for key in folders[False])
    report = record(tmp_path / "True")
    assert {entry["action"] for entry in report["keys"]} == {"renamed", "split"}
    assert [entry["key"] for entry in report["dropped"]] == [
        "decoder.sentence_encoder.version",
        "decoder.lm_head.weight",
    ]
    ours = folders[True]
    for layer in range(2):
        for ours_part, theirs in (("self_attn", 2 * layer), ("cross_attn", 2 * layer + 1)):
            key = f"model.decoder.layers.{layer}.{ours_part}.k_proj.weight"
            assert torch.equal(
                ours[key], ours[f"model.encoder.layers.{theirs}.self_attn.k_proj.weight"]
            )
