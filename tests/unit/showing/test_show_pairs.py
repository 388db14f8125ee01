"""`unblank show` prints the very source and target that an encoder-decoder would be trained on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from printed_samples import cells, shown
from stand_ins import SPECIAL

import unblank
from unblank.commands import show
from unblank.data.in_memory import TokenLists
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.objectives.seq2seq import build_pair_objective, build_seq2seq_objective
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.span_filling import filling_layout
from unblank.showing.options import ShowPairOptions, ShowTextOptions
from unblank.showing.vocabulary import word_vocabulary
from unblank.tokenization.train import train_tokenizer

TEXT = "A lamp burned in the window. Nobody had come along the road since noon, and the dog slept."
GERMAN = "Eine Lampe brannte im Fenster. Seit Mittag war niemand gekommen, und der Hund schlief."
SHORT = {"<|startofpiece|>": "<start>", "<|endofpiece|>": "<end>"}


def expected(build, settings, documents, vocabulary, number=0, seed=0):
    objective = build(settings, vocabulary.special, vocabulary.sentence_end, 128)
    sampling = SamplingSettings(max_length=128, seed=seed)
    sampler = Sampler([TokenLists(documents)], objective, vocabulary.special, sampling)
    example = sampler.draw_example(number)
    sides = (example.input_ids, example.decoder_input_ids, example.labels)
    names = [SHORT.get(token, token) for token in vocabulary.tokens]
    return [[names[token_id] for token_id in side] for side in sides]


@pytest.mark.parametrize(
    "settings",
    [
        Seq2SeqSettings(mask_ratio=0.3),
        Seq2SeqSettings(start_token=True, end_token=True, closing_sentinel=True),
        Seq2SeqSettings(span_corruption=0.0, mass=1.0),
        Seq2SeqSettings(span_corruption=0.0, denoising=1.0),
    ],
)
@pytest.mark.parametrize("number", [0, 7])
def test_source_and_target_are_those_of_training(settings, number):
    output = shown(text=TEXT, seq2seq=settings, is_pair=True, sample_number=number, seed=3)
    vocabulary = word_vocabulary([TEXT, ""], 128, is_seq2seq=True)
    documents = vocabulary.encode([TEXT])
    sides = expected(build_seq2seq_objective, settings, documents, vocabulary, number, seed=3)
    assert [cells(output, name) for name in ("encoder", "decoder", "predict")] == sides
    assert f"source of {len(sides[0])} tokens, target of {len(sides[2])}" in output


def test_a_pair_is_shown_under_translation_span_corruption():
    output = shown(text=TEXT, translation=GERMAN, is_pair=True)
    vocabulary = word_vocabulary([TEXT, GERMAN], 128, is_seq2seq=True)
    english, german = vocabulary.encode([TEXT, GERMAN])
    pair = [*english, vocabulary.special.eos, *german]
    sides = expected(build_pair_objective, Seq2SeqSettings(), [pair], vocabulary)
    assert "objective translation_span_corruption" in output
    assert [cells(output, name) for name in ("encoder", "decoder", "predict")] == sides


def test_blanks_are_shown_as_sentinels_and_the_decoder_starts_with_the_first():
    output = shown(text="It [MASK] all day. The match was [MASK], we left.", is_pair=True)
    source = "[CLS] It [MASK1] all day . The match was [MASK2] , we left . <end>"
    assert cells(output, "encoder") == source.split()
    assert cells(output, "decoder") == ["[MASK1]"]
    assert "up to [MASK3] or <end>" in " ".join(output.split())


def context_of(**options):
    special = replace(SPECIAL, eos=8, sentinels=(50, 51))
    settings = Seq2SeqSettings(**options)
    return build_seq2seq_objective(settings, special, np.zeros(60, dtype=bool), 4).context


@pytest.mark.parametrize(
    ("options", "source", "start"),
    [
        ({}, [1, 20, 50, 21, 51, 8], [50]),
        ({"start_token": True}, [1, 20, 50, 21, 51, 8], [7, 50]),
        ({"start_token": True, "remove_target_sentinels": True}, [1, 20, 50, 21, 51, 8], [7]),
        ({"remove_source_sentinels": True}, [1, 20, 21, 8], [50]),
    ],
)
def test_filling_begins_where_training_begins(options, source, start):
    context = context_of(**options)
    layout = filling_layout(np.array([1, 20, 4, 21, 4, 8]), context)
    assert [side.tolist() for side in layout] == [source, start]


def test_texts_without_a_blank_or_with_too_many_are_refused():
    with pytest.raises(ValueError, match=r"\[MASK\]"):
        filling_layout(np.array([1, 20, 8]), context_of())
    with pytest.raises(ValueError, match=r"3 blanks.*2 sentinels"):
        filling_layout(np.array([1, 4, 4, 4, 8]), context_of())


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    with pytest.warns(UserWarning, match="the text is too small"):
        tokenizer = train_tokenizer(
            [TEXT, GERMAN], kind="unigram", vocab_size=530, show_progress=False
        )
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "deltalm"}))
    return folder


def test_a_model_s_folder_says_that_it_is_an_encoder_decoder(model_folder, tmp_path):
    assert isinstance(show.parse([TEXT, "--model", str(model_folder)]), ShowPairOptions)
    assert isinstance(show.parse([TEXT, f"--tokenizer={model_folder}"]), ShowPairOptions)
    assert isinstance(show.parse([TEXT, "--model", str(tmp_path)]), ShowTextOptions)


@pytest.mark.parametrize(
    "words", [["--encoder-decoder"], ["--translation", GERMAN], ["--seq2seq.mask-ratio", "0.3"]]
)
def test_an_option_of_encoder_decoders_asks_for_source_and_target(words):
    assert isinstance(show.parse([TEXT, *words]), ShowPairOptions)


@pytest.mark.parametrize("given", [{"model": True}, {"seq2seq.mask_ratio": 0.3}])
def test_a_call_sees_an_encoder_decoder_where_the_command_does(given, model_folder, capsys):
    unblank.show(TEXT, **(given if "model" not in given else {"model": model_folder}))
    assert "encoder" in capsys.readouterr().out


def test_no_word_begins_right_behind_a_blank(model_folder):
    output = shown(text="A lamp burned in the [MASK].", model=model_folder, is_pair=True)
    assert cells(output, "encoder")[-3:] == ["[MASK1]", ".", "<end>"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"translation": " "}, "translation .*empty"),
        ({"translation": GERMAN * 20}, "raise --max-length"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        shown(text=TEXT, is_pair=True, **options)
