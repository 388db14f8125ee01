"""GanLM equals what the original program recorded: states, losses, generation, classification.

Sizes and cases come from the folder `ganlm` itself; what a folder does not hold is skipped by name.
"""

import json
from pathlib import Path

import pytest
import torch
from recorded_beams import check_beam_search, check_generate
from recordings import read_json, recorded, require, unrecorded_options
from torch.testing import assert_close

from unblank.conversion.convert import convert
from unblank.conversion.source import open_source
from unblank.examples import IGNORE_INDEX
from unblank.models.encoder_decoder.embeddings import relative_buckets
from unblank.models.ganlm import (
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
)
from unblank.models.ganlm.losses import warmed_up_weight

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def folder(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "ganlm")


@pytest.fixture(scope="module")
def sizes(folder: Path) -> dict:
    return read_json(folder / "config.json")


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return recorded(folder / "outputs.safetensors")


@pytest.fixture(scope="module")
def numbers(folder: Path) -> dict:
    return read_json(folder / "outputs.json")


@pytest.fixture(scope="module")
def path(torch_files) -> Path:
    return torch_files("ganlm", "trained")[0]


def load(kind, folder: Path):
    model, report = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values())
    return model.eval()


@pytest.fixture(scope="module")
def model(path: Path, sizes: dict, convert_once) -> GanLMForPreTraining:
    """Every test reads the folder that `unblank convert` writes."""
    model = load(GanLMForPreTraining, convert_once(path))
    for ours, theirs in {
        "encoder_layers": "encoder_layers",
        "decoder_layers": "generator_decoder_layers",
        "discriminator_layers": "discriminator_decoder_layers",
        "hidden_size": "hidden",
        "num_attention_heads": "heads",
        "intermediate_size": "ffn",
        "vocab_size": "vocabulary",
        "relative_bias_buckets": "rel_pos_buckets",
        "max_position_embeddings": "max_positions",
        "first_special_id": "mask",
    }.items():
        assert getattr(model.config, ours) == sizes[theirs]
    return model


@pytest.fixture(params=["sdpa", "eager"])
def kernel(request, model):
    model.set_attn_implementation(request.param)
    yield model
    model.set_attn_implementation("sdpa")


def case_of(tensors, name):
    return tensors.get(name) or pytest.skip(f"case {name} is not recorded here")


def at(is_real: torch.Tensor, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert_close(ours[is_real], theirs[is_real], **TOLERANCE)


@torch.no_grad()
def test_states_and_logits_equal_the_original(kernel, tensors, sizes):
    case, encoder = case_of(tensors, "pretrain"), case_of(tensors, "encoder")
    generator = case_of(tensors, "generator")
    output = kernel(
        case["src_tokens"], decoder_input_ids=case["tgt_tokens"], output_hidden_states=True
    )
    in_source, in_target = case["src_tokens"] != sizes["pad"], case["tgt_tokens"] != sizes["pad"]
    at(in_source, output.encoder_last_hidden_state, encoder["out"])
    at(in_target, output.logits, generator["logits"])
    assert len(output.encoder_hidden_states) == sizes["encoder_layers"] + 1
    assert len(output.decoder_hidden_states) == sizes["generator_decoder_layers"] + 1
    for index, state in enumerate(output.encoder_hidden_states):
        at(in_source, state, encoder[f"state{index}"])
    for index, state in enumerate(output.decoder_hidden_states):
        at(in_target, state, generator[f"state{index}"])


@torch.no_grad()
def test_every_checkpoint_gives_the_recorded_logits(torch_files, convert_once, tensors, sizes):
    case, generator = case_of(tensors, "pretrain"), case_of(tensors, "generator")
    in_target, compared = case["tgt_tokens"] != sizes["pad"], 0
    for file in torch_files("ganlm", "trained"):
        other = load(GanLMForPreTraining, convert_once(file))
        if (other.config.encoder_layers, other.config.hidden_size) != (
            sizes["encoder_layers"],
            sizes["hidden"],
        ):
            continue  # a model that no output is recorded of
        logits = other(case["src_tokens"], decoder_input_ids=case["tgt_tokens"]).logits
        at(in_target, logits, generator["logits"])
        compared += 1
    if not compared:
        pytest.skip("no checkpoint has the sizes of config.json")


@torch.no_grad()
def test_relative_bias_equals_the_original(model, tensors):
    (key,) = [key for key in case_of(tensors, "encoder") if key.startswith("relative_bias")] or [
        pytest.skip("no relative bias is recorded here")
    ]
    expected = tensors["encoder"][key]
    assert_close(model.model.encoder.relative_bias(expected.shape[-1])[0], expected, **TOLERANCE)


def test_relative_buckets_equal_the_original(numbers):
    expected = numbers["relative_position_buckets"]
    distance = torch.tensor(expected["relative_position_memory_minus_query"])
    ours = relative_buckets(distance, expected["num_buckets"], expected["max_distance"])
    assert ours.tolist() == expected["bucket"]
    for key in [key for key in expected if key.startswith("bucket_")]:
        count = int(key.removeprefix("bucket_"))
        distance = torch.tensor(expected[f"positions_{count}"])
        assert relative_buckets(distance, count, expected["max_distance"]).tolist() == expected[key]


def run_inputs(run: dict, case: dict, sizes: dict) -> dict:
    """The arguments of our forward for one recorded call of the original criterion."""
    options, pad = run["options"], sizes["pad"]
    step = options["update_num"]
    labels = case["targets"].masked_fill(case["targets"] == pad, IGNORE_INDEX)
    rows = sizes["vocabulary"]
    weights = {
        "discriminator_weight": warmed_up_weight(
            options["discriminator_weight"], step,
            options.get("discriminator_start_warmup_steps", 0),
            options.get("discriminator_warmup_steps", -1),
        ),
        "denoising_weight": warmed_up_weight(
            options["inconsistency_weight"], step,
            options.get("inconsistency_start_warmup_steps", 0),
            options.get("inconsistency_warmup_steps", -1),
        ),
    }  # fmt: skip
    return weights | {
        "input_ids": case["src_tokens"],
        "decoder_input_ids": case["tgt_tokens"],
        "labels": labels,
        # fairseq spreads the smoothing over the other rows only
        "smoothing": options["label_smoothing"] * rows / (rows - 1),
        "sampled_ids": torch.tensor(run["first_draw_all_positions"]),
        "resampled_ids": torch.tensor(run["second_draw_all_positions"]),
    }


@torch.no_grad()
def test_every_loss_term_equals_the_original_on_its_own_samples(kernel, tensors, numbers, sizes):
    for run in numbers["loss_runs"]:
        name = run["name"]
        case = case_of(tensors, name.split("_")[0])
        inputs, states, logged = run_inputs(run, case, sizes), tensors[name], run["logging_output"]
        output = kernel(**inputs)
        for key in ("discriminator_weight", "inconsistency_weight"):
            ours = inputs[key.replace("inconsistency", "denoising")]
            assert ours == pytest.approx(logged[key]), (name, key)
        terms, count = run["terms"], run["sample_size"]
        generator, _ = output.losses["generator"]
        assert_close(generator.item(), terms["generator_loss_sum"], **TOLERANCE)
        assert_close(output.loss.item() * count, run["total_loss"], **TOLERANCE)
        assert output.losses["generator"][1] == count
        always = kernel(**inputs | {"discriminator_weight": 1.0})
        loss_sum, num_judged = always.losses["discriminator"]
        as_used = (loss_sum / num_judged * count).item()
        assert_close(as_used, terms["discriminator_loss_as_used"], **TOLERANCE)
        if "number_of_masked_tokens" in terms:
            assert num_judged == terms["number_of_masked_tokens"]
            expected = terms["discriminator_loss_sum_over_masked_tokens"]
            assert_close(loss_sum.item(), expected, **TOLERANCE)
        assert torch.equal(always.discriminator_input_ids, states["input_tokens"])
        is_original = states["input_tokens"] == case["targets"]
        in_target = case["targets"] != sizes["pad"]
        assert torch.equal(
            is_original[in_target], states["discriminator_targets"][in_target].bool()
        )
        if "denoising_loss_sum" in terms:
            loss_sum, _ = output.losses["denoising"]
            assert_close(loss_sum.item(), terms["denoising_loss_sum"], **TOLERANCE)
            in_target = case["tgt_tokens"] != sizes["pad"]
            expected_ids = states["denoising_decoder_input"]
            assert torch.equal(output.denoising_input_ids[in_target], expected_ids[in_target])
            logits = kernel.forward(case["src_tokens"], decoder_input_ids=expected_ids).logits
            at(in_target, logits, states["denoising_logits"])
        if logged["discriminator_weight"]:
            check_rates(output.rates, logged)


def check_rates(rates: dict, logged: dict) -> None:
    hits = {name: int(value) for name, (value, _) in rates.items()}
    totals = {name: int(value) for name, (_, value) in rates.items()}
    assert hits["replaced_accuracy"] == logged["tn"]
    assert totals["replaced_accuracy"] == logged["tn"] + logged["fp"]
    assert hits["original_accuracy"] == logged["tp"]
    assert totals["original_accuracy"] == logged["tp"] + logged["fn"]
    assert hits["replaced_rate"] == logged["tn"] + logged["fp"]
    if logged["inconsistency_weight"]:
        for sign in ("positive", "negative"):
            assert hits[f"{sign}_inconsistency_rate"] == logged[f"{sign}_inconsistency_ntokens"]


@torch.no_grad()
def test_discriminator_logits_equal_the_original(kernel, tensors, numbers, sizes):
    for run in numbers["loss_runs"]:
        case, states = case_of(tensors, run["name"].split("_")[0]), tensors[run["name"]]
        in_source, in_target = case["src_tokens"] != sizes["pad"], case["targets"] != sizes["pad"]
        source = kernel.get_encoder()(case["src_tokens"]).last_hidden_state
        hidden = kernel.judge(states["input_tokens"], in_target, source, in_source)
        at(in_target, kernel.discriminator(hidden), states["discriminator_logits"])
        logits = kernel(case["src_tokens"], decoder_input_ids=case["tgt_tokens"]).logits
        at(in_target, logits, states["generator_logits"])


@torch.no_grad()
def test_generator_alone_reads_the_folder_of_the_pretrained_pair(model, tmp_path, tensors, sizes):
    case = case_of(tensors, "finetune")
    model.save_pretrained(tmp_path)
    alone = GanLMForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert not any("discriminator" in name for name, _ in alone.named_parameters())
    logits = alone(case["src_tokens"], decoder_input_ids=case["prev_output_tokens"]).logits
    at(case["prev_output_tokens"] != sizes["pad"], logits, case["logits"])


@pytest.fixture
def rewritten(path, tmp_path):
    """Return a converter of the recorded checkpoint with other weights in it."""

    def converted(module: dict[str, torch.Tensor]) -> Path:
        (tmp_path / "file").mkdir()
        records = open_source(path).records
        torch.save({**records, "model": module}, tmp_path / "file" / "checkpoint.pt")
        heads = unrecorded_options(path).get("num_attention_heads")
        convert(tmp_path / "file", tmp_path / "converted", num_attention_heads=heads)
        return tmp_path / "converted"

    return converted


@torch.no_grad()
def test_files_without_a_discriminator_become_a_generator(path, numbers, sizes, tensors, rewritten):
    keys = numbers.get("generator_only_state_dict_keys")
    if not keys:
        pytest.skip("no generator-only keys are recorded here")
    module = open_source(path).tensors
    kept = {key: module[key] for key in module if key.startswith("encoder.") or key in keys}
    alone = load(GanLMForConditionalGeneration, rewritten(kept))
    case = case_of(tensors, "finetune")
    logits = alone(case["src_tokens"], decoder_input_ids=case["prev_output_tokens"]).logits
    at(case["prev_output_tokens"] != sizes["pad"], logits, case["logits"])


@torch.no_grad()
def test_the_generator_alone_can_be_asked_for(path, tensors, sizes, convert_once):
    alone = load(GanLMForConditionalGeneration, convert_once(path, part="generator"))
    assert not any("discriminator" in name for name, _ in alone.named_parameters())
    case = case_of(tensors, "finetune")
    logits = alone(case["src_tokens"], decoder_input_ids=case["prev_output_tokens"]).logits
    at(case["prev_output_tokens"] != sizes["pad"], logits, case["logits"])


@torch.no_grad()
def test_the_discriminator_alone_becomes_a_classifier_to_be(model, path, convert_once):
    folder = convert_once(path, part="discriminator")
    alone, report = GanLMForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    head = {f"{layer}.{part}" for layer in ("dense", "out_proj") for part in ("weight", "bias")}
    assert set(report["missing_keys"]) == head
    assert not report["unexpected_keys"]
    ours, pair = alone.state_dict(), model.state_dict()
    for name in ours.keys() - head:
        assert torch.equal(ours[name], pair[name])
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert set(record["untrained"]) == head


@torch.no_grad()
@pytest.mark.parametrize("has_both", [True, False])
def test_classification_through_the_discriminator_equals_the_original(
    has_both, path, tensors, numbers, sizes, rewritten
):
    if not has_both and sizes["used"].get("share_generator_discriminator"):
        pytest.skip("the discriminator of this folder is a part of the generator")
    case, expected = case_of(tensors, "classification"), numbers["classification"]
    module = dict(open_source(path).tensors)
    module |= {
        f"classification_heads.{name.removeprefix('head.')}": tensor
        for name, tensor in case.items()
        if name.startswith("head.")
    }
    if not has_both:  # as fine-tuned: no generator, and the tied table in place of the head
        table = module["encoder.discriminator.embed_tokens.weight"]
        gone = ("decoder.generator.", "decoder.discriminator.output_projection.")
        module = {key: tensor for key, tensor in module.items() if not key.startswith(gone)}
        module["decoder.discriminator.output_projection.weight"] = table
    model = load(GanLMForSequenceClassification, rewritten(module))
    targets = torch.tensor(expected["targets"])
    output = model(case["src_tokens"], labels=targets)
    assert_close(output.logits, case["logits"], **TOLERANCE)
    assert_close(output.loss.item() * len(targets), expected["loss_sum"], **TOLERANCE)


def test_beam_search_gives_the_ids_of_the_original(model, tensors, numbers):
    check_beam_search(model, tensors, numbers)


def test_generate_of_transformers_gives_the_best_hypotheses_of_the_original(
    model, tensors, numbers, sizes
):
    check_generate(model, tensors, numbers, sizes["eos"])
