"""Filling and scoring in the race: ours through the public API, T5's `generate`, one by one.

All in the arithmetic that each library takes by itself (fp32 as saved) unless said, with random
weights and the number of tokens fixed, so that only speed is compared.
"""

import random
from dataclasses import asdict
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from unblank.api import Unblank
from unblank.bench.models import build_glm
from unblank.bench.peers import build_t5
from unblank.bench.sizes import SIZES, Size
from unblank.bench.worker import Workload
from unblank.models.half_weights import answering_model
from unblank.tokenization.special import SPECIAL_TOKENS, UNK_TOKEN, special_ids

__all__ = [
    "blank_text",
    "build_unblank",
    "decoding_products",
    "peer_generate",
    "t5_generate",
]


def glm_fill(size: str, texts: int, context: int, tokens: int, beams: int) -> Workload:
    """Return our `fill` of one blank a text; unit: tokens of the returned fills."""
    return _filling(build_unblank(SIZES[size]), size, texts, context, tokens, beams)


def glm_fill_half(size: str, texts: int, context: int, tokens: int, beams: int) -> Workload:
    """Return the same of a model opened in fp16."""
    unblank = build_unblank(SIZES[size])
    answering_model(unblank.model.half())
    return _filling(unblank, size, texts, context, tokens, beams)


def _filling(
    unblank: Unblank, size: str, texts: int, context: int, tokens: int, beams: int
) -> Workload:
    blanked = [blank_text(SIZES[size], context, seed) for seed in range(texts)]

    def step() -> float:
        unblank.fill(
            blanked, batch_size=texts, num_beams=beams, min_tokens=tokens, max_tokens=tokens
        )
        return texts * tokens

    return step


def t5_generate(size: str, texts: int, context: int, tokens: int, beams: int) -> Workload:
    """Return T5's `generate` from ids of the same lengths; unit: tokens."""
    model = build_t5(SIZES[size]).eval()
    input_ids = torch.randint(8, SIZES[size].vocabulary, (texts, context))
    return peer_generate(model, input_ids, tokens, beams)


def peer_generate(model: Any, input_ids: Tensor, tokens: int, beams: int) -> Workload:
    """Return `generate` of a model of transformers from int64[B, S] ids; unit: tokens."""

    def step() -> float:
        generated = model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            num_beams=beams,
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
        )
        assert generated.shape[1] == tokens + 1
        return float(len(input_ids) * tokens)

    return step


def decoding_products(size: str, texts: int, context: int, tokens: int, beams: int) -> Workload:
    """Return the matrix products alone that `glm_fill` cannot do without; unit: tokens."""
    shape = SIZES[size]
    width = shape.width
    torch.manual_seed(0)
    layer_shapes = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)]
    matrices = [torch.randn(rows_columns) for rows_columns in layer_shapes * shape.layers]
    table = torch.randn(shape.vocabulary, width)

    @torch.inference_mode()
    def step() -> float:
        _products(matrices, torch.zeros(texts * context, 4 * width))
        for _ in range(tokens):
            rows = torch.zeros(texts * beams, 4 * width)
            _products([*matrices, table], rows)
        return texts * tokens

    return step


def score_together(size: str, candidates: int, length: int, context: int) -> Workload:
    """Return our `score` of all candidates in one forward; unit: candidates."""
    shape = SIZES[size]
    unblank = build_unblank(shape)
    text = blank_text(shape, context, 0)
    answers = [" ".join(words) for words in _candidates(shape, candidates, length)]

    def step() -> float:
        unblank.score(text, answers)
        return candidates

    return step


def score_each(size: str, candidates: int, length: int, context: int) -> Workload:
    """Return one forward for each candidate, its context encoded again; unit: candidates."""
    shape = SIZES[size]
    unblank = build_unblank(shape)
    special = special_ids(unblank.tokenizer)
    text_ids = unblank.tokenizer(blank_text(shape, context, 0), add_special_tokens=False)
    part_a = [special.cls, *text_ids["input_ids"], special.eos]
    blank = part_a.index(special.mask)
    answers = [
        unblank.tokenizer.convert_tokens_to_ids(words)
        for words in _candidates(shape, candidates, length)
    ]
    rows = [torch.arange(len(part_a)).tolist() + [blank] * (length + 1)]
    rows.append([0] * len(part_a) + list(range(1, length + 2)))
    position_ids = torch.tensor(rows)[:, None]

    @torch.inference_mode()
    def step() -> float:
        for answer in answers:
            logits = unblank.model(
                torch.tensor([[*part_a, special.sop, *answer]]),
                position_ids=position_ids,
                prefix_lengths=torch.tensor([len(part_a)]),
                use_cache=False,
                logits_to_keep=length + 1,
            ).logits[0]
            targets = torch.tensor([*answer, special.eop])
            float(-functional.cross_entropy(logits, targets, reduction="sum"))
        return candidates

    return step


def build_unblank(size: Size) -> Unblank:
    """Return a model with a tokenizer in which every word `w11`, `w12`, ... is one token."""
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(SPECIAL_TOKENS.values()))}
    for token_id in range(len(vocabulary), size.vocabulary):
        vocabulary[f"w{token_id}"] = token_id
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK_TOKEN))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS.values()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    model = build_glm(size)
    for role, token_id in asdict(special_ids(tokenizer)).items():
        if isinstance(token_id, int):
            setattr(model.config, f"{role}_token_id", token_id)
    return Unblank(model, tokenizer)


def blank_text(size: Size, context: int, seed: int) -> str:
    """Return a text of `context` tokens, ends included, with one blank in its middle."""
    words = _words(size, context - 3, seed)
    middle = len(words) // 2
    return " ".join([*words[:middle], SPECIAL_TOKENS["mask"], *words[middle:]])


def _candidates(size: Size, count: int, length: int) -> list[list[str]]:
    return [_words(size, length, 1000 + seed) for seed in range(count)]


def _words(size: Size, count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(len(SPECIAL_TOKENS), size.vocabulary)}" for _ in range(count)]


def _products(matrices: list[Tensor], rows: Tensor) -> None:
    for matrix in matrices:
        functional.linear(rows[:, : matrix.shape[1]], matrix)
