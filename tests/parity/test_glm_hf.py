"""The Hugging Face port of GLM, converted: its logits, losses, choices, classes and generations.

The port counts positions through padding and uses the erf GELU; both are in the recorded inputs
and in the converted configuration.
"""

import json
from pathlib import Path

import pytest
import torch
from recordings import Recorded, read_json, recorded, require
from safetensors.torch import load_file
from torch.testing import assert_close

from unblank.conversion.convert import convert
from unblank.conversion.source import open_source
from unblank.models import GlmInfillForConditionalGeneration, GlmInfillForSequenceClassification

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def hf_dir(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "glm_hf")


@pytest.fixture(scope="module")
def model_dir(hf_dir: Path) -> Path:
    return model_dirs(hf_dir)[0]


def model_dirs(hf_dir: Path) -> list[Path]:
    found = sorted(path.parent for path in hf_dir.glob("*/config.json"))
    return found or pytest.skip(f"no model folder in {hf_dir}")


@pytest.fixture(scope="module")
def model(model_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("hf") / "converted"
    convert(model_dir, output)
    return GlmInfillForConditionalGeneration.from_pretrained(output).eval()


@pytest.fixture(scope="module")
def facts(hf_dir):
    return read_json(hf_dir / "outputs.json")


@pytest.fixture(scope="module")
def tensors(hf_dir):
    path = require(hf_dir / "outputs.safetensors")
    return Recorded(load_file(path), path)


def case_of(tensors, name):
    case = {
        key.removeprefix(f"{name}."): tensor
        for key, tensor in tensors.items()
        if key.startswith(f"{name}.")
    }
    return Recorded(case, tensors.path) if case else tensors[name]


def given(case):
    """The recorded positions and 4-D mask or separators, as our arguments."""
    tokens = case.get("input_ids", case.get("tokens"))
    mask = case["attention_mask"]
    inputs = {"input_ids": tokens, "position_ids": case["position_ids"].transpose(0, 1)}
    if mask.dim() == 4:
        return inputs | {"attention_mask": mask}
    return inputs | {"prefix_lengths": mask.expand(tokens.shape[0])}


def plain_positions(tokens):
    columns = torch.arange(tokens.shape[1]).expand_as(tokens)
    return torch.stack([columns, torch.zeros_like(columns)])


def prefix_of(tokens, length):
    return torch.full((tokens.shape[0],), length)


@torch.no_grad()
def test_logits_with_separators_equal_the_port(model, tensors):
    case = case_of(tensors, "per_sample_sep")
    assert_close(model(**given(case)).logits, case["logits"], **TOLERANCE)


@torch.no_grad()
def test_every_model_folder_gives_the_recorded_logits(hf_dir, tensors, tmp_path):
    case = case_of(tensors, "per_sample_sep")
    for folder in model_dirs(hf_dir):
        convert(folder, tmp_path / folder.name)
        one = GlmInfillForConditionalGeneration.from_pretrained(tmp_path / folder.name).eval()
        assert_close(one(**given(case)).logits, case["logits"], **TOLERANCE)


@torch.no_grad()
def test_without_a_mask_the_port_is_causal(model, tensors):
    case = case_of(tensors, "defaults")
    tokens = case["input_ids"]
    states = []
    hooks = [
        module.register_forward_pre_hook(lambda _, args: states.append(args[0]))
        for module in (*model.model.layers, model.model.norm)
    ]
    inputs = {"position_ids": plain_positions(tokens), "prefix_lengths": prefix_of(tokens, 0)}
    output = model(tokens, **inputs)
    for hook in hooks:
        hook.remove()
    assert_close(output.logits, case["logits"], **TOLERANCE)
    for number, state in enumerate(states):
        assert_close(state, case[f"mem{number}"], **TOLERANCE)
    hidden = model.model(tokens, **inputs).last_hidden_state
    assert_close(hidden, case["last_hidden_states"], **TOLERANCE)


@torch.no_grad()
def test_a_separator_and_a_flat_mask_act_as_in_the_port(model, tensors):
    tokens = case_of(tensors, "defaults")["input_ids"]
    positions = plain_positions(tokens)
    separators = [name for name in tensors if name.startswith("sep") and name.endswith(".logits")]
    for name in separators:
        length = int(name.removeprefix("sep").partition(".")[0])
        logits = model(
            tokens, position_ids=positions, prefix_lengths=prefix_of(tokens, length)
        ).logits
        assert_close(logits, tensors[name], **TOLERANCE)
    case = case_of(tensors, "mask2d")
    seen = case["attention_mask"][:, None, None, :].expand(-1, 1, tokens.shape[1], -1)
    logits = model(tokens, position_ids=positions, attention_mask=seen).logits
    assert_close(logits, case["logits"], **TOLERANCE)


@pytest.mark.parametrize("side", SIDES)
@torch.no_grad()
def test_training_logits_and_losses_equal_the_port(model, tensors, facts, side):
    case = case_of(tensors, f"{side}.training")
    assert_close(model(**given(case)).logits, case["logits"], **TOLERANCE)
    for name in ("training", "training_padded"):
        if f"{side}.{name}.loss" in facts:
            case = case_of(tensors, f"{side}.{name}")
            loss = model(**given(case), labels=case["labels"]).loss.item()
            assert_close(loss, facts[f"{side}.{name}.loss"], **TOLERANCE)


@pytest.mark.parametrize("side", SIDES)
@torch.no_grad()
def test_choices_packed_into_one_row_score_as_in_the_port(model, tensors, facts, side):
    case = case_of(tensors, f"{side}.multiple_choice")
    logits = model(**given(case)).logits
    assert_close(logits, case["lm_logits"], **TOLERANCE)
    log_p = logits.log_softmax(-1)
    choices = facts[f"{side}.multiple_choice.choice_ids"]
    places = facts[f"{side}.multiple_choice.choice_indices"]
    scores = torch.stack(
        [
            torch.stack([log_p[row, at, ids].sum() for ids, at in zip(*pair, strict=True)])
            for row, pair in enumerate(zip(choices, places, strict=True))
        ]
    )
    assert_close(scores, case["logits"], **TOLERANCE)
    labels = torch.tensor(facts[f"{side}.multiple_choice.labels"])
    loss = torch.nn.functional.cross_entropy(scores, labels).item()
    assert_close(loss, facts[f"{side}.multiple_choice.loss"], **TOLERANCE)


@pytest.mark.parametrize("side", SIDES)
@torch.no_grad()
def test_cached_steps_equal_the_port(model, tensors, side):
    steps = case_of(tensors, f"{side}.incremental")
    prompt = case_of(tensors, f"{side}.generation")
    ids, count = steps["ids"], steps["logits"].shape[1]
    length = prompt["input_ids"].shape[1]
    positions = prompt["position_ids"].transpose(0, 1)
    mask = prompt["generation_attention_mask"]
    cache, start = None, 0
    for step in range(count):
        end = length + step
        output = model(
            ids[:, start:end],
            position_ids=positions[..., start:end],
            attention_mask=mask[:, :, start:end, :end],
            past_key_values=cache,
            use_cache=True,
        )
        assert_close(output.logits[:, -1], steps["logits"][:, step], **TOLERANCE)
        cache, start = output.past_key_values, end


@pytest.mark.parametrize("side", SIDES)
@torch.no_grad()
def test_generate_writes_the_ids_of_the_port(model, tensors, facts, side):
    prompt, plain = case_of(tensors, f"{side}.generation"), case_of(tensors, f"{side}.tokenized")
    ids = prompt["input_ids"]
    seen = torch.cat([plain["attention_mask"], torch.ones_like(ids[:, :1])], dim=1)
    positions = prompt["position_ids"].transpose(0, 1)[..., : ids.shape[1]]
    for run in facts.get(f"{side}.generate", []):
        output = model.generate(
            ids, attention_mask=seen, position_ids=positions.clone(), **run["options"]
        )
        assert output.tolist() == run["output"], run["options"]


def test_a_saved_classifier_keeps_the_class_scores_of_the_port(model_dir, tensors, facts, tmp_path):
    case = case_of(tensors, "classification")
    settings = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    settings["architectures"] = ["GLMForSequenceClassification"]
    folder = tmp_path / "classifier"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    weights = open_source(model_dir).tensors
    prefixed = {f"glm.{key}": tensor for key, tensor in weights.items()}
    prefixed |= {key[5:]: tensor for key, tensor in case.items() if key.startswith("head.")}
    expected = facts.get("state_dict_keys_prefixed", dict.fromkeys(prefixed))
    assert prefixed.keys() == expected.keys()
    torch.save(prefixed, folder / "pytorch_model.bin")
    convert(folder, tmp_path / "out")
    model = GlmInfillForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokens = case_of(tensors, "defaults")["input_ids"]
    label = torch.tensor(facts["classification.label"]).expand(len(tokens))
    with torch.no_grad():
        output = model(**given(case | {"input_ids": tokens}), labels=label)
    assert_close(output.logits, case["logits"], **TOLERANCE)
    assert_close(output.loss.item(), facts["classification.loss"], **TOLERANCE)


@torch.no_grad()
def test_the_original_activation_would_not_give_these_numbers(model, tensors):
    case = case_of(tensors, "per_sample_sep")
    settings = model.config.to_dict() | {"hidden_act": "gelu_pytorch_tanh"}
    other = GlmInfillForConditionalGeneration(type(model.config)(**settings)).eval()
    other.load_state_dict(model.state_dict())
    assert (other(**given(case)).logits - case["logits"]).abs().max() > 1e-3


def test_recorded_case_names_are_known(hf_dir):
    known = {"defaults", "mask2d", "per_sample_sep", "classification", *SIDES}
    found = recorded(hf_dir / "outputs.safetensors").keys()
    unknown = {name for name in found if name not in known and not name.startswith("sep")}
    if unknown:
        pytest.skip(f"cases that no test reads: {', '.join(sorted(unknown))}")
