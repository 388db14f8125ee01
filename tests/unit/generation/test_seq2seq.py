"""Answers to sources: against a naive decoder, alone against a batch, and what options promise."""

import pytest
import torch
from torch.testing import assert_close

from unblank.generation.options import GenerationOptions
from unblank.generation.seq2seq import SourceAnswerer, generate_from_ids, generate_texts
from unblank.generation.sources import read_sources
from unblank.tokenization.encoding import encode_texts, encode_with_blanks
from unblank.tokenization.source_layout import glm_part_a
from unblank.tokenization.special import special_ids

SOURCES = [
    "the old grey cat sat on a warm mat",
    "a dog",
    "one small dog run to some far house. the cat sat. a warm mat and some far house.",
    "",
    "run to some far house",
    "the old grey cat",
]
SAMPLING = {"do_sample": True, "temperature": 1.3, "top_k": 20, "top_p": 0.95, "seed": 4}
STRATEGIES = [{}, {"num_beams": 3}, {"num_beams": 4, "num_return": 3}, SAMPLING]


def options(**given):
    return GenerationOptions(**{"max_tokens": 9, **given})


def source_ids(model, tokenizer, text, tag=()):
    return [*tag, *encode_texts(tokenizer, [text])[0], model.config.eos_token_id]


def allowed_ids(model, tokenizer):
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    never = special - {model.config.eos_token_id}
    return [i for i in range(len(tokenizer)) if i not in never]


@torch.no_grad()
def next_log_p(model, source, target):
    logits = model(
        torch.tensor([source]), decoder_input_ids=torch.tensor([target]), use_cache=False
    ).logits
    return torch.log_softmax(logits[0, -1], -1)


def naive_greedy(model, tokenizer, source, max_tokens, first=()):
    """Every step a full forward of one row: no cache, no batch, no padding."""
    allowed = allowed_ids(model, tokenizer)
    target, found, total = [model.config.decoder_start_token_id, *first], [], 0.0
    while len(found) < max_tokens:
        log_p = next_log_p(model, source, target + found)
        best = allowed[int(log_p[allowed].argmax())]
        total += float(log_p[best])
        if best == model.config.eos_token_id:
            break
        found.append(best)
    return found, total


def test_greedy_equals_a_full_forward_at_every_step(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    answers = generate_texts(model, tokenizer, SOURCES, options(), batch_size=4)
    finished = set()
    for text, answer in zip(SOURCES, answers, strict=True):
        tokens, total = naive_greedy(model, tokenizer, source_ids(model, tokenizer, text), 9)
        assert list(answer.token_ids) == tokens
        assert_close(answer.log_probability, total, atol=1e-4, rtol=1e-4)
        assert answer.text == tokenizer.decode(tokens, skip_special_tokens=True).lstrip(" ")
        finished.add(answer.finished)
    assert finished == {True, False}, "answers that end and answers that are cut are both needed"


def test_a_glm_answers_in_a_blank_behind_the_source_as_it_fills_one(tiny):
    for text in SOURCES[:3]:
        for blank in ("[MASK]", "[sMASK]", "[gMASK]"):
            (answer,) = generate_texts(tiny.model, tiny.tokenizer, [text], options(blank=blank))
            filled = tiny.fill(f"{text} {blank}", max_tokens=9)
            assert answer.token_ids == filled.blanks[0].token_ids
            assert answer.finished == filled.blanks[0].finished


def test_a_glm_answers_in_the_blank_that_a_source_brings(tiny):
    text = "the old [MASK] sat on a warm mat"
    (answer,) = generate_texts(tiny.model, tiny.tokenizer, [text], options())
    assert answer.token_ids == tiny.fill(text, max_tokens=9).blanks[0].token_ids
    with pytest.raises(ValueError, match="2 blanks"):
        generate_texts(tiny.model, tiny.tokenizer, ["[MASK] and [MASK]"], options())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_answer_does_not_depend_on_its_batch(tiny_encoder_decoder, strategy):
    require_same_in_every_batch(*tiny_encoder_decoder, options(**strategy))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_answer_of_a_glm_does_not_depend_on_its_batch(tiny, strategy):
    require_same_in_every_batch(tiny.model, tiny.tokenizer, options(**strategy))


def require_same_in_every_batch(model, tokenizer, asked):
    alone = [generate_texts(model, tokenizer, [text], asked)[0] for text in SOURCES]
    for batch_size in (2, 6):
        together = generate_texts(model, tokenizer, SOURCES, asked, batch_size=batch_size)
        for one, other in zip(alone, together, strict=True):
            assert one.token_ids == other.token_ids
            assert [a.token_ids for a in one.alternatives] == [
                a.token_ids for a in other.alternatives
            ]
            assert_close(one.log_probability, other.log_probability, atol=1e-4, rtol=1e-4)
    backwards = generate_texts(model, tokenizer, SOURCES[::-1], asked)
    assert [a.token_ids for a in backwards[::-1]] == [a.token_ids for a in alone]


def test_the_log_probability_of_beams_is_that_of_one_full_forward(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    answers = generate_texts(model, tokenizer, SOURCES, options(num_beams=4, num_return=2))
    for text, answer in zip(SOURCES, answers, strict=True):
        source = source_ids(model, tokenizer, text)
        for one in (answer, *answer.alternatives):
            target, total = [model.config.decoder_start_token_id], 0.0
            for token in (*one.token_ids, model.config.eos_token_id):
                total += float(next_log_p(model, source, target)[token])
                target.append(token)
            assert_close(one.log_probability, total, atol=1e-4, rtol=1e-4)


def test_a_seed_gives_its_samples_and_another_seed_others(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    first, again, other = (
        [a.token_ids for a in generate_texts(model, tokenizer, SOURCES, options(**given))]
        for given in (SAMPLING, SAMPLING, {**SAMPLING, "seed": 5})
    )
    assert first == again != other
    several = generate_texts(model, tokenizer, SOURCES, options(**SAMPLING, num_return=3))
    for single, answer in zip(first, several, strict=True):
        samples = {one.token_ids for one in (answer, *answer.alternatives)}
        assert single in samples, "the first of several samples is the only one of one"
        assert len(answer.alternatives) == 2


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_is_repeated(tiny_encoder_decoder, beams, size):
    model, tokenizer = tiny_encoder_decoder
    given = options(num_beams=beams, no_repeat_ngram=size, max_tokens=30, min_tokens=20)
    for answer in generate_texts(model, tokenizer, SOURCES, given):
        ids = answer.token_ids
        ngrams = [ids[i : i + size] for i in range(len(ids) - size + 1)]
        assert len(set(ngrams)) == len(ngrams)


@pytest.mark.parametrize("beams", [1, 3])
def test_answers_keep_to_their_least_and_greatest_length(tiny_encoder_decoder, beams):
    model, tokenizer = tiny_encoder_decoder
    given = options(num_beams=beams, min_tokens=4, max_tokens=5)
    answers = generate_texts(model, tokenizer, SOURCES, given)
    assert {len(answer.token_ids) for answer in answers} <= {4, 5}
    assert all(answer.finished == (len(answer.token_ids) < 5) for answer in answers)
    given = options(num_beams=beams, max_tokens=1, max_tokens_ratio=0.5, min_tokens=1)
    for text, answer in zip(SOURCES, generate_texts(model, tokenizer, SOURCES, given), strict=True):
        assert len(answer.token_ids) <= 1 + len(source_ids(model, tokenizer, text)) // 2


def test_a_source_tag_stands_in_front_and_a_target_tag_is_forced(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    tag = tokenizer.convert_tokens_to_ids("__de__")
    for given, in_source, in_target in (
        (options(source_tag="__de__"), [tag], []),
        (options(target_tag="__de__"), [], [tag]),
    ):
        for text, answer in zip(
            SOURCES, generate_texts(model, tokenizer, SOURCES, given), strict=True
        ):
            source = source_ids(model, tokenizer, text, in_source)
            expected, _ = naive_greedy(model, tokenizer, source, 9, in_target)
            assert list(answer.token_ids) == expected
    with pytest.raises(ValueError, match=r"'__fr__'.*__de__"):
        generate_texts(model, tokenizer, SOURCES, options(source_tag="__fr__"))


@pytest.mark.parametrize(
    "text", ["the [MASK] sat", "the old cat [gMASK]", "[sMASK] a dog", "the old cat"]
)
def test_a_glm_reads_a_tag_behind_its_start_and_the_same_layout_wherever_its_blank_is(tiny, text):
    tokenizer, config = tiny.tokenizer, tiny.model.config
    special = special_ids(tokenizer)
    written = text if "MASK]" in text else f"{text} [sMASK]"
    tag = tokenizer.convert_tokens_to_ids("[SEP]")
    for given, tag_id in ((options(), None), (options(source_tag="[SEP]"), tag)):
        prompt = read_sources(config, tokenizer, [text], given)[0].prompt
        ids = encode_with_blanks(tokenizer, written)
        assert prompt.token_ids == glm_part_a(ids, special, tag_id)
        assert prompt.token_ids[prompt.blanks[0]] in special.blanks
        num_tags = int(tag_id is not None)
        assert (prompt.token_ids[-1] == special.eos) == (not written.endswith("[gMASK]"))
        assert len(prompt.token_ids) == 1 + num_tags + len(ids) + (
            prompt.token_ids[-1] == special.eos
        )


def test_a_target_tag_is_refused_for_a_glm_and_a_blank_for_others(tiny, tiny_encoder_decoder):
    with pytest.raises(ValueError, match="source_tag"):
        generate_texts(tiny.model, tiny.tokenizer, ["a dog"], options(target_tag="[SEP]"))
    with pytest.raises(ValueError, match=r"encoder-decoder.*blanks"):
        generate_texts(*tiny_encoder_decoder, ["a dog"], options(blank="[gMASK]"))


def test_a_long_source_is_refused_or_cut_with_a_count(tiny_encoder_decoder, tiny):
    for model, tokenizer in (tiny_encoder_decoder, (tiny.model, tiny.tokenizer)):
        long = "the old grey cat sat on a warm mat " * 12
        with pytest.raises(ValueError, match=r"\d+ tokens.*positions for"):
            generate_texts(model, tokenizer, ["a dog", long], options())
        with pytest.warns(UserWarning, match="1 of 2 sources .*64 positions"):
            short, cut = generate_texts(model, tokenizer, ["a dog", long], options(too_long="cut"))
        assert (short.is_source_cut, cut.is_source_cut) == (False, True)
        source = read_sources(model.config, tokenizer, [long], options(too_long="cut"))[0]
        assert len(source.prompt.token_ids) == 64


def test_laid_out_ids_are_answered_as_their_texts(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    prompts = [one.prompt for one in read_sources(model.config, tokenizer, SOURCES, options())]
    from_ids = generate_from_ids(model, tokenizer, prompts, options())
    assert from_ids == generate_texts(model, tokenizer, SOURCES, options())


def test_streaming_gives_the_tokens_of_the_answer(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    for given in (options(), options(**SAMPLING)):
        answerer = SourceAnswerer(model, tokenizer, given)
        *events, answer = answerer.stream(SOURCES[0])
        assert answer == answerer.answer([SOURCES[0]])[0]
        assert tuple(e.token_id for e in events if not e.is_end) == answer.token_ids
        assert events[-1].blank_text == answer.text
    with pytest.raises(ValueError, match="stream"):
        SourceAnswerer(model, tokenizer, options(num_beams=2)).stream("a dog")


def test_a_model_in_training_mode_is_refused(tiny_encoder_decoder):
    model, tokenizer = tiny_encoder_decoder
    model.train()
    try:
        with pytest.raises(ValueError, match="eval"):
            generate_texts(model, tokenizer, ["a dog"])
    finally:
        model.eval()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_tokens": 64}, "positions for 63"),
        ({"max_tokens": 3, "min_tokens": 4}, "min_tokens"),
        ({"length_penalty": 0.5}, "num_beams"),
        ({"max_tokens_ratio": -1.0}, "max_tokens_ratio"),
        ({"too_long": "drop"}, "too_long.*refuse"),
        ({"top_k": 3}, "do_sample"),
        ({"seed": 3}, "do_sample"),
    ],
)
def test_options_that_cannot_be_followed_are_named(tiny_encoder_decoder, given, message):
    with pytest.raises(ValueError, match=message):
        generate_texts(*tiny_encoder_decoder, ["a dog"], GenerationOptions(**given))


def test_no_sources_give_no_answers(tiny_encoder_decoder):
    assert generate_texts(*tiny_encoder_decoder, []) == []
