"""Logits, losses and hidden states equal those recorded from the original GLM program."""

import pytest
import torch
from recordings import read_json, recorded
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
def test_every_whole_checkpoint_gives_the_recorded_logits(load_glm, glm_checkpoints, glm_dir):
    cases = recorded(glm_dir / "forward.safetensors")
    name = next(name for name in CASES if name in cases)
    for folder in glm_checkpoints():
        logits = load_glm(folder)(**inputs_of(cases[name])).logits
        assert_close(logits, cases[name]["logits"], **TOLERANCE)


@torch.no_grad()
def test_half_precision_checkpoints_give_their_own_logits(load_glm, glm_checkpoints, glm_dir):
    name = "logits_with_fp16_rounded_weights"
    found = [case for case in recorded(glm_dir / "forward.safetensors").values() if name in case]
    if not found:
        pytest.skip("no logits of the half-precision weights are recorded here")
    for folder in glm_checkpoints(is_half=True):
        model = load_glm(folder)
        for case in found:
            assert_close(model(**inputs_of(case)).logits, case[name], **TOLERANCE)


@pytest.mark.parametrize("is_half", [True, False])
def test_model_parallel_pieces_merge_to_the_whole_checkpoint(glm_checkpoints, convert_glm, is_half):
    whole = load_file(convert_glm(glm_checkpoints(is_half=is_half)[0]) / "model.safetensors")
    for folder in glm_checkpoints(is_whole=False, is_half=is_half):
        merged = load_file(convert_glm(folder) / "model.safetensors")
        assert merged.keys() == whole.keys()
        assert all(torch.equal(merged[key], whole[key]) for key in whole)


@torch.no_grad()
def test_losses_equal_the_original(glm, glm_dir):
    cases = recorded(glm_dir / "forward.safetensors")
    expected = read_json(glm_dir / "forward.json")["lm_loss"]
    loss_case = cases["lm_loss"]
    labels = loss_case["labels"].masked_fill(loss_case["loss_mask"] == 0, -100)
    inputs = inputs_of(cases[expected["inputs"]])
    log_p = glm(**inputs).logits.log_softmax(-1)
    losses = -log_p.gather(-1, loss_case["labels"][..., None])[..., 0]
    assert_close(losses, loss_case["token_losses"], **TOLERANCE)
    output = glm(**inputs, labels=labels, return_logits=False)
    assert output.logits is None
    assert_close(output.loss.item(), expected["loss"], **TOLERANCE)
    for name in expected:
        if name.startswith("loss_label_smoothing_"):
            share = float(name.removeprefix("loss_label_smoothing_"))
            smoothed = glm(**inputs, labels=labels, smoothing=share).loss
            assert_close(smoothed.item(), expected[name], **TOLERANCE)


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
    assert_close(torch.cat(logits, dim=1), cases["one_shot"]["logits"][:, -total:], **TOLERANCE)


@torch.no_grad()
def test_memories_of_cached_steps_are_the_hidden_states(glm, glm_dir):
    """The original keeps hidden states; ours keeps the keys and values that it makes of them."""
    cases = recorded(glm_dir / "incremental.safetensors")
    context, steps = cases["context"], cases["steps"]
    output = glm(**inputs_of(context), use_cache=True)
    check_cache(glm, output.past_key_values, context)
    positions = steps["position_ids"].transpose(0, 1)
    output = glm(
        steps["tokens"], position_ids=positions, past_key_values=output.past_key_values,
        use_cache=True,
    )  # fmt: skip
    check_cache(glm, output.past_key_values, cases["final"])


def check_cache(glm, cache, case) -> None:
    for index, layer in enumerate(glm.model.layers):
        normed = layer.input_layernorm(case[f"mem{index}"])
        _, keys, values = layer.self_attn.qkv_proj(normed).chunk(3, dim=-1)
        for ours, theirs in (
            (cache.layers[index].keys, keys),
            (cache.layers[index].values, values),
        ):
            assert_close(ours.transpose(1, 2).flatten(2), theirs, **TOLERANCE)
