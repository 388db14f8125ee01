"""Tokens a second of answers to sources beside T5's and BART's `generate`: greedy and beam search.

The same layers on both sides, random weights and a fixed number of tokens, so that only speed is
compared; all in fp32, as the models are saved.
"""

import torch
from transformers import BartForConditionalGeneration

from unblank.bench.decoding import measure_decoding
from unblank.bench.ganlm import timed_ganlm_config
from unblank.bench.inference import build_unblank, peer_generate
from unblank.bench.peers import bart_config
from unblank.bench.race import Log
from unblank.bench.report import Section
from unblank.bench.sizes import SIZES, Size
from unblank.bench.worker import Workload
from unblank.generation.options import GenerationOptions
from unblank.generation.rows import Prompt
from unblank.generation.seq2seq import SourceAnswerer
from unblank.models import GanLMForConditionalGeneration

__all__ = ["measure_generate"]

_SEARCHES = ((1, 16), (5, 16))
"""Number of beams, and of sources answered together."""


def measure_generate(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the rows of greedy decoding and of 5 beams."""
    return [_measure(size, texts, beams, repeats, log) for beams, texts in _SEARCHES]


def ganlm_generate(size: str, texts: int, context: int, tokens: int, beams: int) -> Workload:
    """Return our answers, by a GanLM's generator; unit: tokens of the best answers."""
    shape = SIZES[size]
    torch.manual_seed(0)
    config = timed_ganlm_config(shape)
    options = GenerationOptions(num_beams=beams, min_tokens=tokens, max_tokens=tokens)
    model = GanLMForConditionalGeneration(config).eval()
    answerer = SourceAnswerer(model, build_unblank(shape).tokenizer, options)
    sources = torch.randint(20, shape.vocabulary, (texts, context)).tolist()
    prompts = [Prompt(tuple(source), (0,)) for source in sources]

    def step() -> float:
        answers = answerer.answer_prompts(prompts, batch_size=texts)
        assert all(len(answer.token_ids) == tokens for answer in answers)
        return texts * tokens

    return step


def bart_generate(size: str, texts: int, context: int, tokens: int, beams: int) -> Workload:
    """Return BART's `generate` from ids of the same lengths; unit: tokens."""
    torch.manual_seed(0)
    config = bart_config(SIZES[size])
    config.forced_eos_token_id = None
    model = BartForConditionalGeneration(config).eval()
    input_ids = torch.randint(20, SIZES[size].vocabulary, (texts, context))
    return peer_generate(model, input_ids, tokens, beams)


def _measure(size: Size, texts: int, beams: int, repeats: int, log: Log) -> Section:
    workloads = {
        "ours": "unblank.bench.generate:ganlm_generate",
        "T5": "unblank.bench.inference:t5_generate",
        "BART": "unblank.bench.generate:bart_generate",
    }
    return measure_decoding(
        "generate", workloads, size, texts=texts, beams=beams, repeats=repeats, log=log,
        least=1.0, floor="BART: {rate} tokens/s",
    )  # fmt: skip
