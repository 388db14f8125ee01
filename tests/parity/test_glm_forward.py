"""Logits, losses and hidden states equal those recorded from the original GLM program."""

import json

import pytest
import torch
from recordings import recorded, require
from safetensors.torch import load_file
from torch.testing import assert_close

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
CASES = ("scalar_sep", "per_sample_sep", "causal_sep0", "full_mask", "memory", "memory_truncated")


def inputs_of(case: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    mask, tokens = case["attention_mask"], case["tokens"]
    inputs = {"input_ids": tokens, "position_ids": case["position_ids"].transpose(0, 1)}
    if mask.dim() == 4:
        return inputs | {"attention_mask": mask}
    return inputs | {"prefix_lengths": mask.expand(tokens.shape[0])}


@pytest.fixture(params=["sdpa", "eager"])
def model(request, glm):
    glm.set_attn_implementation(request.param)
    yield glm
    glm.set_attn_implementation("sdpa")


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_logits_equal_the_original(name, model, glm_dir):
    cases = recorded(glm_dir / "forward.safetensors")
    if name not in cases:
        pytest.skip(f"case {name} is not recorded here")
    output = model(**inputs_of(cases[name]), output_hidden_states=True)
    assert_close(output.logits, cases[name]["logits"], **TOLERANCE)
    if "logits_attention_scale8" in cases[name]:
        assert_close(output.logits, cases[name]["logits_attention_scale8"], **TOLERANCE)


@pytest.mark.parametrize("name", ["memory", "memory_truncated"])
@torch.no_grad()
def test_memories_are_the_hidden_states_before_the_final_norm(name, glm, glm_dir):
    case = recorded(glm_dir / "forward.safetensors").get(name) or pytest.skip(f"no case {name}")
    states = []
    hooks = [layer.register_forward_pre_hook(lambda _, args: states.append(args[0]))
             for layer in glm.model.layers]  # fmt: skip
    hooks.append(glm.model.norm.register_forward_pre_hook(lambda _, args: states.append(args[0])))
    glm(**inputs_of(case))
    for hook in hooks:
        hook.remove()
    for index, state in enumerate(states):
        memory = case[f"mem{index}"]
        assert_close(state[:, -memory.shape[1] :], memory, **TOLERANCE)


@torch.no_grad()
def test_final_hidden_states_equal_the_original(glm, glm_dir):
    for case in recorded(glm_dir / "forward.safetensors").values():
        if "final_hidden" in case:
            hidden = glm.model(**inputs_of(case)).last_hidden_state
            assert_close(hidden, case["final_hidden"], **TOLERANCE)


@torch.no_grad()
def test_half_precision_checkpoint_gives_its_own_logits(load_glm, glm_dir):
    model = load_glm("checkpoint_deepspeed_fp16")
    case = recorded(glm_dir / "forward.safetensors")["per_sample_sep"]
    if "logits_with_fp16_rounded_weights" not in case:
        pytest.skip("no logits of the half-precision weights are recorded here")
    logits = model(**inputs_of(case)).logits
    assert_close(logits, case["logits_with_fp16_rounded_weights"], **TOLERANCE)


def test_model_parallel_pieces_merge_to_the_whole_checkpoint(glm_dir, convert_glm):
    whole = load_file(convert_glm("checkpoint_deepspeed_fp16") / "model.safetensors")
    pieces = sorted(glm_dir.glob("checkpoint_mp*"))
    if not pieces:
        pytest.skip("no model-parallel checkpoint is recorded here")
    for folder in pieces:
        merged = load_file(convert_glm(folder.name) / "model.safetensors")
        assert merged.keys() == whole.keys()
        assert all(torch.equal(merged[key], whole[key]) for key in whole)


@torch.no_grad()
def test_losses_equal_the_original(glm, glm_dir):
    cases = recorded(glm_dir / "forward.safetensors")
    expected = json.loads(require(glm_dir / "forward.json").read_text(encoding="utf-8"))["lm_loss"]
    loss_case = cases["lm_loss"]
    labels = loss_case["labels"].masked_fill(loss_case["loss_mask"] == 0, -100)
    inputs = inputs_of(cases[expected["inputs"]])
    output = glm(**inputs, labels=labels)
    assert output.logits is None
    assert_close(output.loss.item(), expected["loss"], **TOLERANCE)
    smoothed = glm(**inputs, labels=labels, label_smoothing=0.1).loss
    assert_close(smoothed.item(), expected["loss_label_smoothing_0.1"], **TOLERANCE)


@torch.no_grad()
def test_cached_steps_equal_the_original_memories(glm, glm_dir):
    cases = recorded(glm_dir / "incremental.safetensors")
    context, steps = cases["context"], cases["steps"]
    output = glm(**inputs_of(context), use_cache=True)
    assert_close(output.logits, context["logits"], **TOLERANCE)
    positions = steps["position_ids"].transpose(0, 1)
    total = steps["tokens"].shape[1]
    chunk_ends = [*range(1, total - 2), total]  # single steps, then one chunk of three
    start, logits = 0, []
    for end in chunk_ends:
        output = glm(
            steps["tokens"][:, start:end],
            position_ids=positions[:, :, start:end],
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        logits.append(output.logits)
        start = end
    assert_close(torch.cat(logits, dim=1), steps["logits"], **TOLERANCE)
