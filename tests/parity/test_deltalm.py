"""DeltaLM equals what the original program recorded: states, losses, generation, initialisation.

Sizes and cases come from the folder `deltalm` itself; what a folder does not hold is skipped by
name.
"""

import re
from pathlib import Path

import pytest
import torch
from recorded_beams import check_beam_search, check_generate
from recordings import read_json, recorded, require, unrecorded_options
from torch.testing import assert_close

from unblank.conversion.deltalm import deltalm_name
from unblank.conversion.encoder import read_encoder
from unblank.conversion.source import open_source
from unblank.conversion.torch_files import read_torch_file
from unblank.examples import IGNORE_INDEX
from unblank.models.deltalm import DeltaLMForConditionalGeneration
from unblank.models.deltalm.from_encoder import deltalm_from_encoder

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
PADDINGS = ("left_padded", "right_padded")


@pytest.fixture(scope="module")
def folder(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "deltalm")


@pytest.fixture(scope="module")
def sizes(folder: Path) -> dict:
    return read_json(folder / "config.json")


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return recorded(folder / "outputs.safetensors")


@pytest.fixture(scope="module")
def numbers(folder: Path) -> dict:
    return read_json(folder / "outputs.json")


def load(folder: Path) -> DeltaLMForConditionalGeneration:
    model, report = DeltaLMForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values())
    return model.eval()


@pytest.fixture(scope="module")
def released(torch_files) -> Path:
    return torch_files("deltalm", "released")[0]


@pytest.fixture(scope="module")
def fine_tuned(torch_files) -> Path:
    return torch_files("deltalm", "trained")[0]


@pytest.fixture(scope="module")
def encoders(folder: Path) -> list[Path]:
    """The recorded encoder in every layout that is there: transformers folders, fairseq files."""
    root = folder / "init_from_encoder"
    found = [path.parent for path in root.glob("*/config.json")] + list(root.glob("*/*.pt"))
    return sorted(found) or pytest.skip(f"no encoder is in {root}")


@pytest.fixture(scope="module")
def published(request, sizes: dict, convert_once):
    """Convert the released layout as fairseq reads it: cut to the words of the dictionary."""

    def converted(**options) -> DeltaLMForConditionalGeneration:
        file = request.getfixturevalue("released")
        sizes_given = {"num_attention_heads": sizes["heads"], "vocab_size": sizes["words"]}
        return load(convert_once(file, **sizes_given, **options))

    return converted


@pytest.fixture(scope="module", params=["published", "fairseq"])
def model(request, published, convert_once):
    """Every test reads the folder that `unblank convert` writes."""
    if request.param == "published":
        return published()
    return load(convert_once(request.getfixturevalue("fine_tuned")))


@pytest.fixture(params=["sdpa", "eager"])
def kernel(request, model):
    model.set_attn_implementation(request.param)
    yield model
    model.set_attn_implementation("sdpa")


def case_of(tensors, name):
    return tensors.get(name) or pytest.skip(f"case {name} is not recorded here")


def at(is_real: torch.Tensor, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert_close(ours[is_real], theirs[is_real], **TOLERANCE)


@pytest.mark.parametrize("padding", PADDINGS)
@torch.no_grad()
def test_states_and_logits_equal_the_original(padding, kernel, tensors, sizes):
    case = case_of(tensors, padding)
    output = kernel(
        case["src_tokens"],
        decoder_input_ids=case["prev_output_tokens"],
        output_hidden_states=True,
    )
    in_source = case["src_tokens"] != sizes["pad"]
    in_target = case["prev_output_tokens"] != sizes["pad"]
    at(in_source, output.encoder_last_hidden_state, case["encoder_out"])
    assert len(output.encoder_hidden_states) == sizes["encoder_layers"] + 1
    assert len(output.decoder_hidden_states) == sizes["decoder_layers"] + 1
    for index, state in enumerate(output.encoder_hidden_states):
        at(in_source, state, case[f"encoder_state{index}"])
    for index, state in enumerate(output.decoder_hidden_states):
        at(in_target, state, case[f"decoder_state{index}"])
    at(in_target, output.decoder_hidden_states[-1], case["decoder_features"])
    at(in_target, output.logits, case["logits"])


@pytest.mark.parametrize("kind", ["released", "trained"])
@torch.no_grad()
def test_every_checkpoint_gives_the_recorded_logits(
    kind, torch_files, convert_once, tensors, sizes
):
    name = next((name for name in PADDINGS if name in tensors), PADDINGS[0])
    case, compared = case_of(tensors, name), 0
    cut = {"num_attention_heads": sizes["heads"], "vocab_size": sizes["words"]}
    for path in torch_files("deltalm", kind):
        model = load(convert_once(path, **cut if kind == "released" else {}))
        if (model.config.encoder_layers, model.config.hidden_size) != (
            sizes["encoder_layers"],
            sizes["hidden"],
        ):
            continue  # a model that no output is recorded of
        logits = model(case["src_tokens"], decoder_input_ids=case["prev_output_tokens"]).logits
        at(case["prev_output_tokens"] != sizes["pad"], logits, case["logits"])
        compared += 1
    if not compared:
        pytest.skip(f"no {kind} checkpoint has the sizes of config.json")


@pytest.mark.parametrize("padding", PADDINGS)
@torch.no_grad()
def test_losses_equal_the_original(padding, model, tensors, numbers, sizes):
    case = case_of(tensors, padding)
    labels = case["target"].masked_fill(case["target"] == sizes["pad"], IGNORE_INDEX)
    cases = {key: value for key, value in numbers.items() if key.startswith(f"{padding}.loss_")}
    if not cases:
        pytest.skip(f"no losses of {padding} are recorded here")
    for key, expected in cases.items():
        options = re.fullmatch(r"loss_eps([\d.]+)(?:_ignore_prefix_(\d+))?", key.split(".", 1)[1])
        epsilon, num_ignored = float(options[1]), int(options[2] or 0)
        scored = labels.clone()
        # The recorded number leaves out the first sentence, not the first column: fairseq takes
        # log-probabilities without the mark `batch_first` for time-first ones.
        scored[:num_ignored] = IGNORE_INDEX
        output = model(
            case["src_tokens"],
            decoder_input_ids=case["prev_output_tokens"],
            labels=scored,
            # fairseq spreads the smoothing over the other rows only
            smoothing=epsilon * sizes["words"] / (sizes["words"] - 1),
            return_logits=False,
        )
        assert output.logits is None
        assert_close(output.loss_sum.item(), expected["loss_sum"], **TOLERANCE)
        if not num_ignored:
            assert output.num_scored == expected["ntokens"]
            assert_close(output.loss.item(), expected["loss_per_token"], **TOLERANCE)
        if "nll_loss_sum" in expected:
            plain = model(
                case["src_tokens"], decoder_input_ids=case["prev_output_tokens"], labels=scored
            )
            assert_close(plain.loss_sum.item(), expected["nll_loss_sum"], **TOLERANCE)


@torch.no_grad()
def test_cached_steps_equal_the_original(kernel, tensors):
    case = case_of(tensors, "incremental")
    targets, logits, past = case["prev_output_tokens"], [], None
    for column in range(targets.shape[1]):
        output = kernel(
            case["src_tokens"],
            decoder_input_ids=targets[:, column : column + 1],
            past_key_values=past,
            use_cache=True,
        )
        past = output.past_key_values
        logits.append(output.logits)
    assert_close(torch.cat(logits, dim=1), case["logits"], **TOLERANCE)
    assert_close(torch.cat(logits, dim=1), case["one_shot_logits"], **TOLERANCE)


def test_both_layouts_hold_the_same_model(published, fine_tuned, convert_once):
    trained, cut = load(convert_once(fine_tuned)), published()
    ours, theirs = trained.state_dict(), cut.state_dict()
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():  # the released file has positions that no one trained
        assert torch.equal(tensor, theirs[key][: len(tensor)]), key
        assert tensor.shape == theirs[key].shape or key.endswith("embed_positions.weight")
    fields = ("encoder_layers", "decoder_layers", "hidden_size", "vocab_size", "intermediate_size")
    for name in (*fields, "layernorm_embedding", "normalize_before"):
        assert getattr(trained.config, name) == getattr(cut.config, name)


def test_all_rows_are_kept_unless_fewer_are_asked_for(released, sizes, convert_once):
    whole = load(convert_once(released, num_attention_heads=sizes["heads"]))
    assert whole.config.vocab_size == sizes["published_words"]
    original = open_source(released).tensors["tgt_embedding.embed_tokens.weight"]
    assert torch.equal(whole.lm_head.weight, original)


def test_the_older_loaders_reading_exchanges_the_two_feed_forwards(published):
    current = published().state_dict()
    older = published(ffn_order="first-release").state_dict()
    prefix = "model.decoder.layers.0"
    for part in ("up_proj.weight", "down_proj.bias"):
        bottom, top = f"{prefix}.bottom_mlp.{part}", f"{prefix}.mlp.{part}"
        assert torch.equal(current[bottom], older[top])
        assert torch.equal(current[top], older[bottom])


@pytest.fixture(scope="module")
def started(encoders, convert_once):
    """The DeltaLM that the command makes of each layout of the recorded encoder."""
    return [load(convert_once(path)) for path in encoders]


@torch.no_grad()
def test_initialisation_from_the_encoder_equals_the_original(started, folder, sizes):
    outputs = recorded(folder / "init_from_encoder" / "outputs.safetensors")
    case, tokens = outputs["init"], outputs["tokens"][""]
    in_source, in_target = (
        case["src_tokens"] != sizes["pad"],
        case["prev_output_tokens"] != sizes["pad"],
    )
    for model in started:
        output = model(
            case["src_tokens"],
            decoder_input_ids=case["prev_output_tokens"],
            output_hidden_states=True,
        )
        at(in_source, output.encoder_last_hidden_state, case["encoder_out"])
        at(in_target, output.logits, case["logits"])
        at(in_target, output.decoder_hidden_states[-1], case["decoder_features"])
        states = model.get_encoder()(tokens, output_hidden_states=True).hidden_states
        for index, state in enumerate(states):
            at(tokens != sizes["pad"], state, outputs[f"hidden_state{index}"][""])


def test_pretraining_starts_from_the_encoder_as_the_command_does(started, encoders):
    compared = 0
    for path in encoders:
        if "num_attention_heads" in unrecorded_options(path):
            continue  # pretraining starts from encoders that say how many heads they have
        theirs = deltalm_from_encoder(*read_encoder(path)).state_dict()
        compared += 1
        for model in started:
            ours = model.state_dict()
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    if not compared:
        pytest.skip("no encoder says how many heads it has")


def test_every_parameter_starts_from_the_recorded_source(folder, encoders, convert_once):
    table = read_json(folder / "init_from_encoder" / "expected_initialisation.json")["table"]
    files = [file for path in encoders for file in path.glob("*.bin")]
    if not files:
        pytest.skip("the table is about a transformers folder, and none is here")
    source = read_torch_file(files[0])
    ours = load(convert_once(files[0].parent)).state_dict()
    word_table = source["roberta.embeddings.word_embeddings.weight"]
    covered = {"lm_head.weight", "model.encoder.embed_tokens.weight"}
    assert all(torch.equal(ours[name], word_table) for name in covered)
    for theirs, origin in table:
        if theirs.endswith(("embed_tokens.weight", "output_projection.weight")):
            assert torch.equal(source[origin], word_table)
            continue
        name = deltalm_name(theirs)
        assert torch.equal(ours[name], source[origin]), theirs
        covered.add(name)
    assert covered == ours.keys()


@pytest.fixture(scope="module")
def either(folder, torch_files, convert_once, published):
    """One model of the folder, as both layouts hold the same."""
    try:
        return load(convert_once(torch_files("deltalm", "trained")[0]))
    except pytest.skip.Exception:
        return published()


def test_beam_search_gives_the_ids_of_the_original(either, tensors, numbers):
    check_beam_search(either, tensors, numbers)


def test_generate_of_transformers_gives_the_best_hypotheses_of_the_original(
    either, tensors, numbers, sizes
):
    check_generate(either, tensors, numbers, sizes["eos"])
