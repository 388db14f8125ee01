"""MultiGLM, converted from both of its layouts: logits, losses, cached steps, tasks, generation.

Its generators differ from GLM's in where bans act: on the logits, before the softmax.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import TRACKERS, read_json, recorded, require
from safetensors.torch import load_file
from test_generation import evaluator_prompts, greedy, rules_for
from torch.testing import assert_close

from unblank.conversion.convert import convert
from unblank.generation.beam import BeamDecoder
from unblank.generation.decoding import TokenRules
from unblank.generation.options import DecodingOptions
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.models import GlmInfillForConditionalGeneration
from unblank.models.masks import prefix_visibility
from unblank.objectives.infilling import blank_layout

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
MASK_OF_TASK = {"bert": "MASK", "gap_sentence": "sMASK", "generation": "gMASK", "gpt": "gMASK"}


@pytest.fixture(scope="module")
def folder(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "multiglm")


@pytest.fixture(scope="module")
def sizes(folder):
    return read_json(folder / "config.json")


@pytest.fixture(scope="module")
def ids(sizes):
    return sizes["special_tokens"]


@pytest.fixture(scope="module")
def facts(folder):
    return read_json(folder / "outputs.json")


@pytest.fixture(scope="module")
def cases(folder):
    return recorded(folder / "forward.safetensors")


@pytest.fixture(scope="module")
def conversions(folder, sizes, tmp_path_factory):
    """Every checkpoint folder, converted: its name, what was found, and where it is."""
    root, heads = tmp_path_factory.mktemp("multiglm"), sizes["num_attention_heads"]
    found = sorted({path.parent for name in TRACKERS for path in folder.glob(f"*/{name}")})
    if not found:
        pytest.skip(f"no checkpoint folder in {folder}")
    return {
        path.name: (convert(path, root / path.name, num_attention_heads=heads), root / path.name)
        for path in found
    }


def dtype_of(conversion) -> torch.dtype:
    return next(iter(conversion.source.state_dicts[0].values())).dtype


@pytest.fixture(scope="module")
def model(conversions):
    whole = [output for done, output in conversions.values() if dtype_of(done) == torch.float32]
    output = whole[0] if whole else pytest.skip("no checkpoint in float32 is recorded here")
    return GlmInfillForConditionalGeneration.from_pretrained(output).eval()


class RenormalisingRules(TokenRules):
    """Bans act before the softmax, so that the rest sums to one."""

    def log_probabilities(self, *args, **kwargs):
        return super().log_probabilities(*args, **kwargs).log_softmax(-1)


def prefix_inputs(tokens, position_ids, sep):
    return {
        "input_ids": tokens,
        "position_ids": position_ids.transpose(0, 1),
        "prefix_lengths": sep.expand(tokens.shape[0]),
    }


def test_both_layouts_convert_to_the_same_weights(conversions, sizes):
    for dtype in {dtype_of(done) for done, _ in conversions.values()}:
        outputs = [output for done, output in conversions.values() if dtype_of(done) == dtype]
        weights = [load_file(output / "model.safetensors") for output in outputs]
        assert all(one.keys() == weights[0].keys() for one in weights)
        assert all(torch.equal(one[key], weights[0][key]) for one in weights for key in one)
    config = next(iter(conversions.values()))[0].plan.config
    assert config.max_position_embeddings + 1 == sizes["max_sequence_length"]


def test_the_own_layout_is_told_from_glm_by_its_keys(conversions):
    for done, _ in conversions.values():
        is_own = any(key.startswith("mixins.") for key in done.source.state_dicts[0])
        assert done.detection.family == ("multiglm" if is_own else "glm")


@torch.no_grad()
def test_logits_equal_the_original_by_separators_and_by_its_masks(model, cases):
    case = cases["per_sample_sep"]
    tokens, positions = case["tokens"], case["position_ids"]
    for name in ("per_sample_sep", "scalar_sep"):
        if name not in cases:
            continue
        sep, mask, logits = (cases[name][key] for key in ("sep", "mask", "logits"))
        inputs = prefix_inputs(tokens, positions, sep)
        assert_close(model(**inputs).logits, logits, **TOLERANCE)
        inputs.pop("prefix_lengths")
        seen = mask.expand(tokens.shape[0], -1, -1, -1)
        assert_close(model(**inputs, attention_mask=seen).logits, logits, **TOLERANCE)


@torch.no_grad()
def test_the_masked_mean_loss_equals_the_original(model, cases, facts):
    case, loss_case = cases["per_sample_sep"], cases.get("lm_loss") or pytest.skip("no lm_loss")
    labels = loss_case["labels"].masked_fill(loss_case["loss_mask"] == 0, -100)
    inputs = prefix_inputs(case["tokens"], case["position_ids"], case["sep"])
    log_p = model(**inputs).logits.log_softmax(-1)
    losses = -log_p.gather(-1, loss_case["labels"][..., None])[..., 0]
    assert_close(losses, loss_case["token_losses"], **TOLERANCE)
    assert_close(model(**inputs, labels=labels).loss.item(), facts["lm_loss"], **TOLERANCE)


def test_masks_with_memories_see_all_of_them(folder):
    tensors = load_file(require(folder / "forward.safetensors"))
    if "mask_with_memory" not in tensors:
        pytest.skip("no mask with memories is recorded here")
    expected, sep = tensors["mask_with_memory"], tensors["mask_with_memory.sep"]
    queries, keys = expected.shape[-2:]
    memory = keys - queries
    found = prefix_visibility(sep + memory, queries, num_cached=memory)
    assert torch.equal(found.float(), expected)


@torch.no_grad()
def test_cached_steps_equal_the_memories_of_the_original(model, cases):
    case = cases.get("cache") or pytest.skip("no cache is recorded here")
    tokens, positions = case["context_tokens"], case["context_position_ids"].transpose(0, 1)
    # The context's own separator is not recorded; all keys of its steps are visible.
    found = None
    for length in range(tokens.shape[1] + 1):
        prefix = torch.full((tokens.shape[0],), length)
        output = model(tokens, position_ids=positions, prefix_lengths=prefix, use_cache=True)
        if torch.allclose(output.logits, case["context_logits"], **TOLERANCE):
            found = output
    assert found is not None, "no separator gives the recorded logits of the context"
    cache, steps = found.past_key_values, case["step_position_ids"].transpose(0, 1)
    check_memories(cache, case["context_mems"])
    for step in range(case["step_tokens"].shape[1]):
        output = model(
            case["step_tokens"][:, step : step + 1],
            position_ids=steps[..., step : step + 1],
            past_key_values=cache,
            use_cache=True,
        )
        assert_close(output.logits[:, 0], case["step_logits"][:, step], **TOLERANCE)
        cache = output.past_key_values
    check_memories(cache, case["final_mems"])


def check_memories(cache, memories) -> None:
    for layer, memory in enumerate(memories):
        keys, values = cache.layers[layer].keys, cache.layers[layer].values
        joined = torch.cat([part.transpose(1, 2).flatten(2) for part in (keys, values)], dim=-1)
        assert_close(joined, memory, **TOLERANCE)


@torch.no_grad()
def test_tasks_score_as_in_the_original(model, cases):
    case = cases.get("multi_token_cloze") or pytest.skip("no multi_token_cloze is recorded here")
    batch, choices, length = case["text"].shape
    inputs = prefix_inputs(
        case["text"].view(-1, length), case["position"].view(-1, 2, length), case["sep"].view(-1)
    )
    log_p = model(**inputs).logits.log_softmax(-1).view(batch, choices, length, -1)
    chosen = log_p.gather(-1, case["target"][..., None])[..., 0]
    assert_close((chosen * case["logit_mask"]).sum(-1), case["logits"], **TOLERANCE)
    case = cases.get("single_token_cloze") or pytest.skip("no single_token_cloze is recorded here")
    logits = model(**prefix_inputs(case["text"], case["position"], case["sep"])).logits
    at_blank = logits[case["logit_mask"].bool()]
    assert_close(at_blank.gather(1, case["target"]), case["scores"], **TOLERANCE)


def test_layouts_of_given_spans_equal_the_original(facts, ids):
    for case in facts.get("block_data", []):
        result = case["result"]
        text = np.array(case["tokens_in"])
        spans = np.array(case.get("span_order_used", case["spans"]))
        example = blank_layout(
            text,
            spans,
            mask_ids=ids[MASK_OF_TASK[case["task"]]],
            sop=ids["sop"],
            eop=ids["eop"],
            objective=case["task"],
        )
        assert example.input_ids.tolist() == result["tokens"]
        assert example.position_ids.tolist() == result["position_ids"]
        scored = np.array(result["loss_masks"], bool)
        assert example.labels[scored].tolist() == np.array(result["targets"])[scored].tolist()
        assert example.prefix_length == result["sep"]


def deterministic_runs(facts):
    runs = [run for run in facts.get("filling_sequence_runs", []) if "options" not in run]
    return runs or pytest.skip("no deterministic interactive runs are recorded here")


@torch.no_grad()
def test_the_interactive_generator_is_reproduced_greedily(model, facts, ids):
    for run in deterministic_runs(facts):
        prompt = Prompt(tuple(run["prompt"]), (run["mask_position"],))
        rules = rules_for(model, (ids["eop"], ids["eos"]), run["out_seq_length"])
        piece = greedy(model, [prompt], rules, ids)[0].pieces[0]
        output = [*run["prompt"], ids["sop"], *piece.token_ids]
        (expected,) = run["output"]
        assert output == expected[: len(output)]
        assert expected[len(output) :] == [] or expected[len(output) :][0] in rules.end_ids


def beam_rules(model, run):
    options = run["options"]
    return RenormalisingRules(
        end_ids=options["end_tokens"],
        forbidden_ids=(),
        vocab_size=model.config.vocab_size,
        max_tokens=run["out_seq_length"],
        no_repeat_ngram=options["no_repeat_ngram_size"],
    )


def beam_log_probabilities(model, run, tokens):
    """Return float32[A, V]: after [sop] and after each token of the answer, as the beams see it."""
    options, sop, place = run["options"], len(run["prompt"]), run["mask_position"]
    shortest = options["min_tgt_length"] - sop  # counted with the prompt in the original
    rules, answer = beam_rules(model, run), tokens[sop + 1 :]
    logits = model(
        torch.tensor([tokens]),
        position_ids=torch.tensor(
            [
                [[*range(sop), *[place] * (len(tokens) - sop)]],
                [[*[0] * sop, *range(1, len(tokens) - sop + 1)]],
            ]
        ),
        prefix_lengths=torch.tensor([sop]),
    ).logits[0, sop:]
    for step, row in enumerate(logits):
        if step < shortest - 1:
            row[options["end_tokens"]] = -torch.inf
    steps = [rules.log_probabilities(row[None], [answer[:i]])[0] for i, row in enumerate(logits)]
    return torch.stack(steps)


def penalised(total, tokens, run):
    return total / ((5 + len(tokens)) / 6) ** run["options"]["length_penalty"]


@torch.no_grad()
def test_drawn_hypotheses_have_the_recorded_penalised_scores(model, facts):
    """The score divides by ((5 + length) / 6) ** penalty, the prompt counted in the length."""
    name = "finished_hypotheses_with_penalised_score_in_order_of_insertion"
    runs = [run for run in facts.get("filling_sequence_runs", []) if name in run]
    if not runs:
        pytest.skip("no drawn runs are recorded here")
    for run in runs:
        for tokens, expected in run[name]:
            answer = torch.tensor(tokens[len(run["prompt"]) + 1 :])
            log_p = beam_log_probabilities(model, run, tokens)[:-1]
            total = log_p.gather(1, answer[:, None]).sum().item()
            assert_close(penalised(total, tokens, run), expected, **TOLERANCE)


@torch.no_grad()
def test_the_interactive_beams_are_reproduced_where_nothing_is_drawn(model, facts, ids):
    """The original's beams start alike; without draws they stay so, and all give the best text."""
    runs = [run for run in facts.get("filling_sequence_runs", []) if "options" in run]
    runs = [run for run in runs if "draws" not in run]
    if not runs:
        pytest.skip("no interactive beam runs without draws are recorded here")
    for run in runs:
        tokens, total, finished = [*run["prompt"], ids["sop"]], 0.0, []
        for _ in range(run["out_seq_length"]):
            log_p = beam_log_probabilities(model, run, tokens)[-1]
            for token in log_p.argsort(descending=True).tolist():
                after = [*tokens, token]
                if token not in run["options"]["end_tokens"]:
                    break
                score = total + log_p[token].item()
                finished.append((penalised(score, after, run), after))
            tokens, total = after, total + log_p[token].item()
        finished.append((penalised(total, tokens, run), tokens))
        assert run["output"] == [max(finished)[1]] * run["options"]["num_beams"], run["options"]


@torch.no_grad()
def test_the_evaluation_decoder_is_reproduced(model, cases, facts, ids):
    if not facts.get("seq2seq_runs"):
        pytest.skip("no evaluation runs are recorded here")
    case = cases["seq2seq"]
    places = [(int(place),) for place in case["position_id"][:, 0, -1]]
    prompts = evaluator_prompts(case, places)
    for run in facts["seq2seq_runs"]:
        options = run["options"]
        rules = RenormalisingRules(
            end_ids=(ids["eop"],),
            forbidden_ids=(),
            vocab_size=model.config.vocab_size,
            max_tokens=options["tgt_seq_length"],
            min_tokens=options["min_tgt_length"],
            no_repeat_ngram=options["no_repeat_ngram_size"],
        )
        beams, penalty = options["num_beams"], options["length_penalty"]
        if beams == 1:
            fillings = [[filling] for filling in greedy(model, prompts, rules, ids)]
        else:
            decoding = DecodingOptions(num_beams=beams, num_return=beams, length_penalty=penalty)
            setup = DecoderSetup(model=model, options=decoding, rules=rules, start_id=ids["sop"])
            decoder = BeamDecoder(setup, prompts)
            fillings = decoder.run()
        assert [found[0].pieces[0].token_ids for found in fillings] == run["predictions"]
        for found, expected in zip(fillings, run["beams_sorted_by_score"], strict=True):
            assert [filling.pieces[0].token_ids for filling in found] == [
                tokens for _, tokens in expected
            ]
            scores = [
                filling.log_probability / max(len(filling.pieces[0].token_ids), 1) ** penalty
                for filling in found
            ]
            assert_close(scores, [score for score, _ in expected], **TOLERANCE)
