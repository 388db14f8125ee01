from collections import Counter

import numpy as np
import pytest

from unblank.objectives.denoising import permuted_sentences
from unblank.objectives.seq2seq import build_seq2seq_objective
from unblank.objectives.seq2seq_settings import Seq2SeqSettings

SENTENCE_END = 7


def objective_of(special, sentence_end, language_id=None, **options):
    weights = {"span_corruption": 0.0, **options}
    chosen = Seq2SeqSettings(**weights)
    return build_seq2seq_objective(chosen, special, sentence_end, 200, language_id)


def draw(objective, text, seed=0):
    return objective(text, np.random.default_rng(seed))


@pytest.mark.parametrize("noise", ["infill", "mask", "delete"])
def test_the_target_of_denoising_is_the_whole_text(special, sentence_end, make_text, noise):
    objective = objective_of(
        special, sentence_end, denoising=1.0, noise=noise, rotate_probability=0.5
    )
    text = make_text(80)
    for seed in range(20):
        example = draw(objective, text, seed)
        assert example.labels.tolist() == text[1:].tolist()
        assert example.decoder_input_ids.tolist() == [special.sop, *text[1:-1]]
        kept = Counter(example.input_ids.tolist()) - Counter([special.mask] * 80)
        assert not kept - Counter(text.tolist())
        assert len(Counter(text.tolist()) - kept) > 0


def test_noise_falls_on_the_share_that_is_asked_for(special, sentence_end, make_text):
    text = make_text(100)
    options = {"denoising": 1.0, "permute_sentences": 0.0, "noise_ratio": 0.3}
    masked = draw(objective_of(special, sentence_end, noise="mask", **options), text).input_ids
    assert (masked == special.mask).sum() == 30
    assert (masked[masked != special.mask] == text[masked != special.mask]).all()
    deleted = draw(objective_of(special, sentence_end, noise="delete", **options), text).input_ids
    assert len(deleted) == len(text) - 30
    infill = objective_of(special, sentence_end, noise="infill", **options)
    lengths = []
    for seed in range(300):
        source = draw(infill, text, seed).input_ids
        num_masks = (source == special.mask).sum()
        assert len(source) - num_masks == len(text) - 30
        lengths.append(30 / num_masks)
    assert np.mean(lengths) == pytest.approx(3.0, abs=0.15)


def test_permuted_sentences_stay_whole(sentence_end):
    body = np.array([1, 2, SENTENCE_END, 3, SENTENCE_END, 4, 5, 6])
    seen = set()
    for seed in range(40):
        shuffled = permuted_sentences(body, sentence_end, 1.0, np.random.default_rng(seed))
        text = " ".join(map(str, shuffled))
        assert all(part in text for part in ("1 2 7", "3 7", "4 5 6"))
        seen.add(text)
    assert len(seen) == 6
    still = permuted_sentences(body, sentence_end, 0.0, np.random.default_rng(0))
    assert still.tolist() == body.tolist()


def test_language_tags_end_the_source_and_start_the_decoder(special, sentence_end, make_text):
    text, tag = make_text(50), 99
    example = draw(objective_of(special, sentence_end, tag, denoising=1.0), text)
    assert example.input_ids[-2:].tolist() == [special.eos, tag]
    assert example.input_ids[0] != special.cls
    assert example.decoder_input_ids[0] == tag


def test_mass_predicts_one_fragment_of_half_the_text(special, sentence_end, make_text):
    text = np.concatenate([[special.cls], np.arange(60), [special.eos]])
    objective = objective_of(special, sentence_end, mass=1.0)
    starts = []
    for seed in range(200):
        example = draw(objective, text, seed)
        assert len(example.labels) == 30
        assert (np.diff(example.labels) == 1).all()
        assert example.decoder_input_ids.tolist() == [special.sop, *example.labels[:-1]]
        start = int(example.labels[0])
        outside = np.ones(len(text), bool)
        outside[1 + start : 31 + start] = False
        assert (example.input_ids[outside] == text[outside]).all()
        starts.append(start)
    assert starts.count(0) / 200 == pytest.approx(0.2, abs=0.1)
    assert starts.count(30) / 200 == pytest.approx(0.2, abs=0.1)
