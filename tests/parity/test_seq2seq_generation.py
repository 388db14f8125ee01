"""Beam search over cached, folded rows writes the ids that the original programs recorded.

The model-level search of the originals is in `test_deltalm` and `test_ganlm`; here the decoder of
`unblank generate` reads the same recordings: options, sources and hypotheses come from the folder.
"""

from pathlib import Path

import pytest
import torch
from recordings import read_json, recorded, require
from torch.testing import assert_close

from unblank.families.decoding import FAIRSEQ_STOPPING
from unblank.generation.beam import BeamDecoder
from unblank.generation.decoding import TokenRules
from unblank.generation.independent import DecodingJob, IndependentDecoder
from unblank.generation.options import DecodingOptions
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.generation.source_rows import SourceRows
from unblank.models import DeltaLMForConditionalGeneration, GanLMForPreTraining

FAMILIES = {"deltalm": DeltaLMForConditionalGeneration, "ganlm": GanLMForPreTraining}
OPTIONS = {
    "beam_size": "num_beams", "min_len": "min_tokens", "len_penalty": "length_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
}  # fmt: skip


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request, fixtures_dir: Path, torch_files, convert_once):
    folder = require(fixtures_dir / request.param)
    numbers = read_json(folder / "outputs.json")
    if "generation" not in numbers:
        pytest.skip(f"no generation of {request.param} is recorded here")
    converted = convert_once(torch_files(request.param, "trained")[0])
    model = FAMILIES[request.param].from_pretrained(converted, dtype=torch.float32)
    return model.eval(), folder, numbers["generation"]


def options_of(run: dict) -> DecodingOptions:
    given = run["options"]
    fields = {ours: given[theirs] for theirs, ours in OPTIONS.items() if theirs in given}
    if not given.get("normalize_scores", True):
        fields["length_penalty"] = 0.0
    return DecodingOptions(
        num_return=fields["num_beams"], num_alternatives=0, **{"length_penalty": 1.0, **fields}
    )


def setup_of(model, options: DecodingOptions, rules: TokenRules) -> DecoderSetup:
    return DecoderSetup(
        model=model,
        options=options,
        rules=rules,
        start_id=model.config.decoder_start_token_id,
        stopping=FAIRSEQ_STOPPING,
        new_rows=SourceRows,
    )


def longest_of(run: dict, width: int) -> int:
    return int(run["options"].get("max_len_a", 0) * width + run["options"].get("max_len_b", 200))


def test_beams_write_the_recorded_ids(family):
    model, folder, generation = family
    case, name = generation["source"].split(".")
    padded, config, compared = recorded(folder / "outputs.safetensors")[case][name], model.config, 0
    sources = [row[row != config.pad_token_id].tolist() for row in padded]
    for run in generation["runs"]:
        extra = set(run["options"]) - set(OPTIONS) - {"max_len_a", "max_len_b", "normalize_scores"}
        if extra or run.get("prefix_tokens") or run["options"]["beam_size"] == 1:
            continue  # options that a search here does not have; one beam is greedy here
        # The published program forbids nothing but padding.
        rules = TokenRules(
            end_ids=(config.eos_token_id,),
            forbidden_ids=(config.pad_token_id,),
            vocab_size=config.vocab_size,
            max_tokens=longest_of(run, padded.shape[1]),
            min_tokens=run["options"].get("min_len", 1),
            no_repeat_ngram=run["options"].get("no_repeat_ngram_size", 0),
        )
        for batch in (range(len(sources)), [len(sources) - 1]):
            prompts = [Prompt(tuple(sources[row]), (0,)) for row in batch]
            found = BeamDecoder(setup_of(model, options_of(run), rules), prompts).run()
            for row, fillings in zip(batch, found, strict=True):
                compare(run, row, fillings, config.eos_token_id)
                compared += len(fillings)
    if not compared:
        pytest.skip("every recorded run uses options that a search here does not have")


def compare(run: dict, row: int, fillings: list, end: int) -> None:
    for filling, theirs in zip(fillings, run["hypotheses"][row], strict=True):
        (piece,) = filling.pieces
        tokens = [*piece.token_ids, end]
        assert tokens == theirs["tokens"], run["options"]
        score = filling.log_probability / len(tokens) ** options_of(run).length_penalty
        assert_close(score, theirs["score"], atol=1e-4, rtol=1e-4)


def test_greedy_writes_the_recorded_ids(family):
    model, folder, generation = family
    case, name = generation["source"].split(".")
    padded, config, compared = recorded(folder / "outputs.safetensors")[case][name], model.config, 0
    prompts = [Prompt(tuple(row[row != config.pad_token_id].tolist()), (0,)) for row in padded]
    for run in generation["runs"]:
        is_plain = not set(run["options"]) - {"beam_size", "max_len_a", "max_len_b"}
        if run["options"]["beam_size"] > 1 or run.get("prefix_tokens") or not is_plain:
            continue
        rules = TokenRules(
            end_ids=(config.eos_token_id,),
            forbidden_ids=(config.pad_token_id,),
            vocab_size=config.vocab_size,
            max_tokens=longest_of(run, padded.shape[1]),
            min_tokens=1,
        )
        setup = setup_of(model, DecodingOptions(), rules)
        jobs = [DecodingJob(setup, prompt) for prompt in prompts]
        list(IndependentDecoder().run(jobs))
        for job, theirs in zip(jobs, run["hypotheses"], strict=True):
            assert [*job.fillings[0].pieces[0].token_ids, config.eos_token_id] == theirs[0][
                "tokens"
            ]
            compared += 1
    if not compared:
        pytest.skip("no recorded run is greedy")


@torch.no_grad()
def test_every_token_of_a_hypothesis_has_the_recorded_score(family):
    model, folder, generation = family
    case, name = generation["source"].split(".")
    padded, compared = recorded(folder / "outputs.safetensors")[case][name], 0
    for run in generation["runs"]:
        if {"temperature", "unk_penalty"} & run["options"].keys() or run.get("prefix_tokens"):
            continue  # they change the scores of single tokens
        for source, hypotheses in zip(padded, run["hypotheses"], strict=True):
            for theirs in hypotheses:
                tokens = torch.tensor(theirs["tokens"])
                start = tokens.new_tensor([model.config.decoder_start_token_id])
                inputs = torch.cat([start, tokens[:-1]])[None]
                log_p = model(source[None], decoder_input_ids=inputs).logits[0].log_softmax(-1)
                ours = log_p.gather(1, tokens[:, None])[:, 0]
                expected = torch.tensor(theirs["positional_scores"])
                assert_close(ours, expected, atol=1e-4, rtol=1e-4)
                compared += 1
    if not compared:
        pytest.skip("every recorded run changes the scores of single tokens")
