"""Jobs that come and go between steps: each gets what it gets alone, and what a loop gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import encoder_decoder

from unblank.generation.building import answer_setup
from unblank.generation.cache import SPARE_COLUMNS, RowCache
from unblank.generation.decoding import TokenRules
from unblank.generation.independent import DecodingJob, IndependentDecoder
from unblank.generation.options import DecodingOptions, GenerationOptions
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration

SOP, END, VOCABULARY = 8, 9, 24
FORBIDDEN = (5, 6, 7, SOP)


def toy_glm():
    torch.manual_seed(1)
    config = GlmInfillConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.6,
    )
    return GlmInfillForConditionalGeneration(config).eval()


GLM = toy_glm()
RULES = TokenRules(end_ids=(END,), forbidden_ids=FORBIDDEN, vocab_size=VOCABULARY, max_tokens=9)
OTHER_RULES = TokenRules(
    end_ids=(END,), forbidden_ids=FORBIDDEN, vocab_size=VOCABULARY, max_tokens=6, min_tokens=3
)


@st.composite
def jobs(draw):
    length = draw(st.integers(2, 30))
    ids = draw(st.lists(st.integers(10, VOCABULARY - 1), min_size=length, max_size=length))
    num_blanks = draw(st.integers(1, 2))
    blanks = draw(st.permutations(range(length)))[:num_blanks]
    options = draw(
        st.sampled_from(
            [
                DecodingOptions(),
                DecodingOptions(num_alternatives=2),
                DecodingOptions(do_sample=True, seed=3, num_return=2, temperature=1.5),
                DecodingOptions(do_sample=True, seed=4, top_k=5, top_p=0.9),
                DecodingOptions(context="uni"),
            ]
        )
    )
    rules = draw(st.sampled_from([RULES, OTHER_RULES]))
    setup = DecoderSetup(model=GLM, options=options, rules=rules, start_id=SOP)
    return DecodingJob(setup, Prompt(tuple(ids), tuple(blanks)))


def alone(job):
    again = DecodingJob(job.setup, job.prompt)
    list(IndependentDecoder().run([again]))
    return again.fillings


def assert_same(fillings, expected):
    for filling, other in zip(fillings, expected, strict=True):
        for piece, single in zip(filling.pieces, other.pieces, strict=True):
            assert piece.token_ids == single.token_ids
            assert piece.log_probabilities == pytest.approx(single.log_probabilities, abs=1e-4)
            assert piece.end_log_probability == pytest.approx(single.end_log_probability, abs=1e-4)


@given(st.lists(st.tuples(jobs(), st.integers(0, 6), st.booleans()), min_size=1, max_size=9))
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_what_a_job_gets_does_not_depend_on_who_comes_and_goes(arrivals):
    decoder, left = IndependentDecoder(), list(arrivals)
    for step in range(100):
        decoder.add([job for job, arrival, _ in left if arrival == step])
        left = [one for one in left if one[1] > step]
        decoder.step()
        for job, arrival, gives_up in arrivals:
            job.is_done |= gives_up and step == arrival + 2
    assert decoder.is_idle
    for job, _, gives_up in arrivals:
        if not gives_up:
            assert_same(job.fillings, alone(job))


def naive_greedy(job):
    """The tokens of each blank by one whole forward a token, without a cache."""
    ids, size = list(job.prompt.token_ids), len(job.prompt.token_ids)
    places, inside, pieces = list(range(size)), [0] * size, []
    for blank in job.prompt.blanks:
        ids, places, inside, piece = [*ids, SOP], [*places, blank], [*inside, 1], []
        while len(piece) < job.setup.rules.max_tokens:
            logits = GLM(
                torch.tensor([ids]),
                position_ids=torch.tensor([places, inside])[:, None],
                prefix_lengths=torch.tensor([size]),
                use_cache=False,
            ).logits[0, -1]
            banned = [*FORBIDDEN, *([END] if len(piece) < job.setup.rules.min_tokens else [])]
            logits[banned] = -torch.inf
            token = int(logits.argmax())
            if token == END:
                break
            piece.append(token)
            ids, places = [*ids, token], [*places, blank]
            inside = [*inside, len(piece) + 1]
        pieces.append(piece)
    return pieces


@torch.no_grad()
def test_rows_that_join_and_leave_write_what_a_loop_without_a_cache_writes():
    generator = torch.Generator().manual_seed(0)
    decoder, all_jobs = IndependentDecoder(), []
    for step in range(20):
        length = int(torch.randint(3, 40, (1,), generator=generator))
        ids = torch.randint(10, VOCABULARY, (length,), generator=generator).tolist()
        setup = DecoderSetup(
            model=GLM, options=DecodingOptions(), rules=(RULES, OTHER_RULES)[step % 2], start_id=SOP
        )
        all_jobs.append(DecodingJob(setup, Prompt(tuple(ids), (length // 2, 1))))
        decoder.add(all_jobs[-1:])
        decoder.step()
    while not decoder.is_idle:
        decoder.step()
    for job in all_jobs:
        assert [piece.token_ids for piece in job.fillings[0].pieces] == naive_greedy(job)


@torch.no_grad()
def test_answers_of_an_encoder_decoder_do_not_depend_on_who_comes_and_goes():
    model, tokenizer = encoder_decoder("deltalm")
    plain = GenerationOptions(max_tokens=7)
    several = GenerationOptions(do_sample=True, num_return=3, seed=1, max_tokens=9)
    setups = [answer_setup(model, tokenizer, one) for one in (plain, several)]
    all_jobs, decoder = [], IndependentDecoder()
    for step in range(12):
        ids = tokenizer("one two three " * (1 + step % 3))["input_ids"][: 3 + step]
        all_jobs.append(DecodingJob(setups[step % 2], Prompt(tuple(ids), (0,))))
        decoder.add(all_jobs[-1:])
        decoder.step()
        decoder.step()
    while not decoder.is_idle:
        decoder.step()
    for job in all_jobs:
        assert_same(job.fillings, alone(job))


@torch.no_grad()
def test_a_batch_that_never_ends_keeps_to_the_columns_of_its_rows():
    decoder, widest = IndependentDecoder(), 0
    setup = DecoderSetup(model=GLM, options=DecodingOptions(), rules=OTHER_RULES, start_id=SOP)
    for step in range(150):
        decoder.add([DecodingJob(setup, Prompt((11, 12, 13, 10 + step % 9), (2,)))])
        decoder.step()
        if decoder._rows is not None:
            buffers = decoder._rows._cache.layers[0]._buffers
            widest = max(widest, buffers[0].shape[2])
            assert buffers[0].shape[0] <= 16
    assert widest <= (4 + 1 + 6) * 3 // 2 + 2 * SPARE_COLUMNS


def test_joined_rows_begin_where_they_have_something():
    first, second = RowCache(), RowCache()
    short, long = torch.randn(2, 1, 3, 4), torch.randn(1, 1, 80, 4)
    first.update(short, short, 0)
    second.update(long, long, 0)
    first.join(second)
    assert first.get_seq_length() == 80
    assert torch.equal(first.layers[0].keys[:2, :, -3:], short)
    assert not first.layers[0].keys[:2, :, :-3].any()
    first.drop([0, 1], 77)
    assert torch.equal(first.layers[0].values, short)


@torch.no_grad()
def test_a_piece_that_ends_early_is_cut_there_and_the_next_blank_is_filled():
    rules = TokenRules(
        end_ids=(END,), forbidden_ids=FORBIDDEN, vocab_size=VOCABULARY, max_tokens=5, min_tokens=5
    )
    setup = DecoderSetup(model=GLM, options=DecodingOptions(), rules=rules, start_id=SOP)
    prompt = Prompt((11, 12, 13, 14), (1, 2))
    job = DecodingJob(setup, prompt, ends_early=lambda piece: len(piece.token_ids) == 2)
    list(IndependentDecoder().run([job]))
    whole = alone(job)[0].pieces[0].token_ids
    assert [len(piece.token_ids) for piece in job.fillings[0].pieces] == [2, 2]
    assert job.fillings[0].pieces[0].token_ids == whole[:2]
    assert not job.fillings[0].pieces[0].is_finished
