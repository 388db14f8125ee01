"""Decoding gives the tokens recorded from the original GLM's two generators.

Greedy and beam runs are compared as they are; runs that the original drew at random are replayed
from the indices that it drew.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from naive_glm_beams import naive_glm_beams
from recordings import read_json, recorded
from torch.testing import assert_close

from unblank.families.decoding import GLM_INTERACTIVE_STOPPING, GLM_STOPPING
from unblank.generation.beam import BeamDecoder
from unblank.generation.decoding import TokenRules
from unblank.generation.independent import DecodingJob, IndependentDecoder
from unblank.generation.options import DecodingOptions
from unblank.generation.pieces import Filling
from unblank.generation.rows import Prompt, Rows
from unblank.generation.setup import DecoderSetup


@pytest.fixture(scope="session")
def generation(glm_dir: Path) -> dict:
    return read_json(glm_dir / "generation.json")


@pytest.fixture(scope="session")
def ids(glm_sizes: dict) -> dict[str, int]:
    return glm_sizes["special_tokens"]


def rules_for(glm, ends, max_tokens: int, **kwargs) -> TokenRules:
    return TokenRules(
        end_ids=ends,
        forbidden_ids=(),
        vocab_size=glm.config.vocab_size,
        max_tokens=max_tokens,
        **kwargs,
    )


def blanks_in(token_ids: list[int], ids: dict[str, int]) -> tuple[int, ...]:
    masks = {ids[name] for name in ("MASK", "gMASK", "sMASK") if name in ids}
    return tuple(place for place, token_id in enumerate(token_ids) if token_id in masks)


def interactive(glm, options, rules, ids) -> DecoderSetup:
    return DecoderSetup(
        model=glm,
        options=options,
        rules=rules,
        start_id=ids["sop"],
        stopping=GLM_INTERACTIVE_STOPPING,
        feeds_cut_token=False,
    )


def greedy(glm, prompts, rules, ids) -> list[Filling]:
    setup = interactive(glm, DecodingOptions(), rules, ids)
    jobs = [DecodingJob(setup, prompt) for prompt in prompts]
    list(IndependentDecoder().run(jobs))
    return [job.fillings[0] for job in jobs]


def interactive_output(prompt: Prompt, filling: Filling, ids: dict[str, int]) -> list[int]:
    output = list(prompt.token_ids)
    for piece in filling.pieces:
        output += [ids["sop"], *piece.token_ids]
    return output


@torch.no_grad()
def test_the_interactive_generator_is_reproduced_greedy_and_by_beams(glm, generation, ids):
    runs = [run for run in generation["generate_samples_runs"] if "draws" not in run]
    if not runs:
        pytest.skip("no deterministic runs are recorded here")
    for run in runs:
        prompt = Prompt(tuple(run["prompt"]), blanks_in(run["prompt"], ids))
        rules = rules_for(glm, (ids["eop"], ids["eos"]), run["out_seq_length"])
        if run["mode"] == "beam":
            options = DecodingOptions(
                num_beams=run["num_beams"], length_penalty=run["length_penalty"]
            )
            decoder = BeamDecoder(interactive(glm, options, rules, ids), [prompt])
            filling = decoder.run()[0][0]
        else:
            filling = greedy(glm, [prompt], rules, ids)[0]
        assert interactive_output(prompt, filling, ids) == run["output"], run["mode"]


@torch.no_grad()
def test_the_stochastic_beams_of_the_interactive_generator_are_replayed(glm, generation, ids):
    runs = [
        run
        for run in generation["generate_samples_runs"]
        if "draws" in run and run["options"]["num_beams"] > 1
    ]
    if not runs:
        pytest.skip("no drawn beam runs are recorded here")
    for run in runs:
        prompt = Prompt(tuple(run["prompt"]), blanks_in(run["prompt"], ids))
        rules = rules_for(glm, (ids["eop"], ids["eos"]), run["out_seq_length"])
        options = DecodingOptions(
            num_beams=run["options"]["num_beams"],
            length_penalty=run["options"]["length_penalty"],
        )
        draws = iter(run["draws"])
        decoder = BeamDecoder(
            interactive(glm, options, rules, ids),
            [prompt],
            pick=lambda log_p, scores, count, draws=draws: torch.tensor(next(draws)),
        )
        assert interactive_output(prompt, decoder.run()[0][0], ids) == run["output"]


@torch.no_grad()
def test_the_drawn_tokens_of_the_interactive_generator_are_among_the_top_k(glm, generation, ids):
    """The original's own random numbers are gone: its draws must be possible under our filter."""
    runs = [
        run
        for run in generation["generate_samples_runs"]
        if "draws" in run and run["options"]["num_beams"] == 1 and run["options"]["top_k"]
    ]
    if not runs:
        pytest.skip("no drawn runs are recorded here")
    ends = {ids["eop"], ids["eos"]}
    for run in runs:
        prompt = Prompt(tuple(run["prompt"]), blanks_in(run["prompt"], ids))
        rows = Rows(glm)
        logits = rows.feed_prompts([prompt], ids["sop"], "bi")
        draws = [draw[0][0] for draw in run["draws"]]
        output, blank, length = [*prompt.token_ids, ids["sop"]], 0, 0
        for draw in draws:
            assert draw in logits[0].topk(run["options"]["top_k"]).indices.tolist()
            if draw not in ends:
                output.append(draw)
                length += 1
            if draw in ends or length == run["out_seq_length"]:
                blank, length = blank + 1, 0
                if blank == len(prompt.blanks):
                    break
                output.append(ids["sop"])
            token = ids["sop"] if length == 0 else draw
            logits = rows.step([token], [[prompt.blanks[blank]], [length + 1]])
        assert output == run["output"]


def evaluator_prompts(case: dict[str, torch.Tensor], blanks: list[tuple[int, ...]]) -> list[Prompt]:
    """Part A of each row: all before the prefix length, or what a 4-D mask leaves visible."""
    prompts = []
    for row, places in enumerate(blanks):
        mask = case["attention_mask"][row]
        if mask.dim() == 3:
            is_seen = mask[0, -1, :-1].bool()
        else:
            is_seen = torch.arange(case["text"].shape[1] - 1) < mask
        columns = is_seen.nonzero()[:, 0]
        assert case["position_id"][row, 0, columns].tolist() == list(range(len(columns)))
        prompts.append(Prompt(tuple(case["text"][row, columns].tolist()), places))
    return prompts


@torch.no_grad()
def test_the_evaluation_decoder_is_reproduced(glm, glm_dir, generation, ids):
    inputs = recorded(glm_dir / "seq2seq_inputs.safetensors")
    runs = [run for run in generation["seq2seq_runs"] if "beams_sorted_by_score" in run]
    if not runs:
        pytest.skip("no evaluation runs are recorded here")
    for run in runs:
        case, recorded_options = inputs[run["input"]], run["options"]
        places = [(int(place),) for place in case["position_id"][:, 0, -1]]
        prompts = evaluator_prompts(case, places)
        rules = rules_for(
            glm,
            (ids["eop"],),
            recorded_options["tgt_seq_length"],
            min_tokens=recorded_options["min_tgt_length"],
            no_repeat_ngram=recorded_options["no_repeat_ngram_size"],
        )
        num_beams = recorded_options["num_beams"]
        penalty = recorded_options["length_penalty"]
        if num_beams == 1:
            fillings = [[filling] for filling in greedy(glm, prompts, rules, ids)]
        else:
            options = DecodingOptions(
                num_beams=num_beams, num_return=num_beams, length_penalty=penalty
            )
            setup = DecoderSetup(model=glm, options=options, rules=rules, start_id=ids["sop"])
            fillings = BeamDecoder(setup, prompts).run()
        for found, expected in zip(fillings, run["beams_sorted_by_score"], strict=True):
            tokens = [filling.pieces[0].token_ids for filling in found]
            scores = [
                filling.log_probability / max(len(filling.pieces[0].token_ids), 1) ** penalty
                for filling in found
            ]
            assert tokens == [beam for _, beam in expected]
            assert_close(scores, [score for score, _ in expected], atol=1e-4, rtol=1e-4)
        assert [found[0].pieces[0].token_ids for found in fillings] == run["predictions"]


@torch.no_grad()
def test_both_decoders_count_length_as_published_where_that_decides(glm, ids):
    """The recorded inputs cannot tell the rules apart; where fills often end, inputs do."""
    rng = torch.Generator().manual_seed(0)
    options = DecodingOptions(num_beams=3, num_return=3, length_penalty=0.5)
    ends = tuple(range(0, glm.config.vocab_size, 3))
    rules = rules_for(glm, ends, 6)
    num_apart = 0
    for _ in range(12):
        drawn = torch.randint(10, ids["MASK"] - 10, (7,), generator=rng).tolist()
        prompt = Prompt((*drawn[:4], ids["MASK"], *drawn[4:]), (4,))
        found = {}
        for decoder in ("evaluation", "interactive"):
            setup = interactive(glm, options, rules, ids)
            if decoder == "evaluation":
                setup = replace(setup, stopping=GLM_STOPPING, feeds_cut_token=True)
            (fillings,) = BeamDecoder(setup, [prompt]).run()
            found[decoder] = [filling.pieces[0].token_ids for filling in fillings]
            expected = naive_glm_beams(
                glm, list(prompt.token_ids), 4, decoder=decoder, start_id=ids["sop"],
                end_ids=ends, num_beams=3, length_penalty=0.5, max_tokens=6,
            )  # fmt: skip
            assert found[decoder] == expected
        num_apart += found["evaluation"] != found["interactive"]
    assert num_apart, "no input tells the two decoders apart"


@torch.no_grad()
def test_the_batched_evaluator_of_several_blanks_is_reproduced(glm, glm_dir, generation, ids):
    inputs = recorded(glm_dir / "seq2seq_inputs.safetensors")
    runs = [run for run in generation["seq2seq_runs"] if run["name"] == "BlankLMEvaluater"]
    if not runs:
        pytest.skip("no run of several blanks is recorded here")
    for run in runs:
        case, limit = inputs[run["input"]], run["options"]["tgt_seq_length"]
        places = [blanks_in(row.tolist(), ids) for row in case["text"]]
        prompts = evaluator_prompts(case, places)
        fillings = greedy(glm, prompts, rules_for(glm, (ids["eop"],), limit), ids)
        for prompt, filling, expected in zip(prompts, fillings, run["predictions"], strict=True):
            assert _inserted(prompt, filling, limit, ids["eos"]) == expected


def _inserted(prompt: Prompt, filling: Filling, limit: int, pad: int) -> list[int]:
    """Return the source with its answers; the original limits the steps of all blanks together."""
    answers, steps = [], 0
    for piece in filling.pieces:
        answers.append(piece.token_ids[: max(limit - steps, 0)])
        steps += len(piece.token_ids) + piece.is_finished
    source = list(prompt.token_ids)
    for place, answer in sorted(zip(prompt.blanks, answers, strict=True), reverse=True):
        source[place : place + 1] = answer
    while source and source[-1] == pad:
        source.pop()
    return source


def test_bans_act_as_the_original_processors(generation):
    recorded_bans = generation.get("processors") or pytest.skip("no processors are recorded here")
    pieces = recorded_bans["input_ids"]
    vocab_size = 1 + max(
        token for lists in recorded_bans.values() for row in lists for token in row
    )
    logits = torch.zeros(len(pieces), vocab_size)
    for name, expected in recorded_bans.items():
        ngram = re.fullmatch(r"ngram(\d+)", name)
        length = re.fullmatch(r"min_length_(\d+)_eos_(\d+)", name)
        if not ngram and not length:
            continue
        rules = TokenRules(
            end_ids=(int(length[2]),) if length else (),
            forbidden_ids=(),
            vocab_size=vocab_size,
            max_tokens=64,
            min_tokens=int(length[1]) if length else 0,
            no_repeat_ngram=int(ngram[1]) if ngram else 0,
        )
        log_p = rules.log_probabilities(logits, pieces)
        assert [row.isinf().nonzero()[:, 0].tolist() for row in log_p] == expected, name
