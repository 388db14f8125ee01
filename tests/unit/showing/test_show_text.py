"""`unblank show` prints and draws the very sample that training would see."""

import io
import json
import logging
import re
import sys

import numpy as np
import pytest
from printed_samples import cells, shown
from rich.console import Console
from stand_ins import SPECIAL, doubling_objective, plain_objective

from unblank.data.sampling import Sampler, SamplingSettings
from unblank.examples import IGNORE_INDEX, Example
from unblank.objectives.mixture import OBJECTIVES, build_objective, only
from unblank.objectives.settings import ObjectiveSettings
from unblank.showing.mask_picture import blank_pieces, draw_mask, mask_figure, piece_numbers
from unblank.showing.text import print_example
from unblank.showing.vocabulary import word_vocabulary

TEXT = "A lamp burned in the window. Nobody had come along the road since noon, and the dog slept."

# The paper's worked example: x1..x6 with the blanks [x3] and [x5 x6], the second one first.
WORKED = Example(
    input_ids=np.array([10, 11, 4, 13, 4, 7, 14, 15, 7, 12]),
    position_ids=np.array([[0, 1, 2, 3, 4, 4, 4, 4, 2, 2], [0, 0, 0, 0, 0, 1, 2, 3, 1, 2]]),
    labels=np.array([*[IGNORE_INDEX] * 5, 14, 15, 8, 12, 8]),
    prefix_length=5,
    objective="token",
)
NAMES = [
    "<eos>",
    "[CLS]",
    "",
    "",
    "[MASK]",
    "",
    "",
    "<sop>",
    "<eop>",
    "",
    *["x1", "x2", "x3", "x4", "x5", "x6"],
]


def printed(example: Example, names, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_example(console, example, names, SPECIAL)
    return console.file.getvalue()


def test_the_worked_example_is_printed_in_full():
    assert printed(WORKED, NAMES).splitlines() == [
        "objective token: 10 positions, 5 in Part A and 5 in Part B",
        "blanks: 2; predicted: 3 of 6 text tokens (50.0%); loss at 5 positions",
        "<sop>, <eop>, <eos> stand for <|startofpiece|>, <|endofpiece|>, <|endoftext|>",
        "",
        "Part A",
        "input       x1  x2  [MASK]  x4  [MASK]",
        "position 1  0   1   2       3   4",
        "position 2  0   0   0       0   0",
        "predict     -   -   -       -   -",
        "",
        "Part B",
        "input       <sop>  x5  x6     <sop>  x3",
        "position 1  4      4   4      2      2",
        "position 2  1      2   3      1      2",
        "predict     x5     x6  <eop>  x3     <eop>",
    ]


@pytest.mark.parametrize("width", [30, 47, 200])
def test_columns_wrap_together_and_lose_nothing(width):
    ids = np.arange(1, 60) % 3 + 20
    example = doubling_objective(ids, np.random.default_rng(2))
    names = [f"[{token_id}]" * (1 + token_id % 4) for token_id in range(30)]
    output = printed(example, names, width)
    table = output[output.index("Part A\n") :]
    assert max(map(len, table.splitlines())) <= width
    assert cells(table, "input") == [names[token_id] for token_id in example.input_ids]
    assert cells(table, "position 1") == [str(p) for p in example.position_ids[0]]
    assert cells(table, "position 2") == [str(p) for p in example.position_ids[1]]
    expected = ["-" if label == IGNORE_INDEX else names[label] for label in example.labels]
    assert cells(table, "predict") == expected
    for block in re.split(r"\n\n|Part .\n", table):
        starts = {
            tuple(m.start() for m in re.finditer(r"(?<=  )\S", row)) for row in block.splitlines()
        }
        assert len(starts) <= 1


def test_wide_characters_keep_the_columns_aligned():
    names = [*NAMES[:10], "\u72ac\u304c", "x2", "x3", "x4", "x5", "x6"]
    lines = printed(WORKED, names).splitlines()
    assert lines[5] == "input       \u72ac\u304c  x2  [MASK]  x4  [MASK]"
    assert lines[6] == "position 1  0     1   2       3   4"


def test_the_sample_shown_is_the_sample_of_the_stream():
    options = ObjectiveSettings(token=0.5, document=0.5)
    vocabulary = word_vocabulary([TEXT], num_sentinels=64)
    objective = build_objective(options, vocabulary.special, vocabulary.sentence_end, 64)

    class OneText:
        def __len__(self):
            return 1

        def document_length(self, index):
            return len(vocabulary.encode([TEXT])[index])

        def tokens(self, index, start, stop):
            return np.array(vocabulary.encode([TEXT])[index][start:stop])

    sampler = Sampler(
        [OneText()], objective, vocabulary.special, SamplingSettings(max_length=64, seed=5)
    )
    for number in range(4):
        example = sampler.draw_example(number)
        output = shown(text=TEXT, objective=options, seed=5, sample_number=number, max_length=64)
        assert cells(output, "position 1") == [str(p) for p in example.position_ids[0]]
        assert f"objective {example.objective}:" in output


def test_without_a_tokenizer_words_stand_for_tokens_and_it_is_said():
    output = shown(text=TEXT)
    assert "without --tokenizer or --model" in output
    words = {*re.findall(r"\w+|[.,]", TEXT), "[CLS]", "[MASK]", "<sop>", "<eos>"}
    assert set(cells(output, "input")) <= words


def test_special_tokens_in_the_text_are_shown_as_text():
    ids = word_vocabulary(["a [MASK] b"]).encode(["a [MASK] b"])[0]
    assert len(ids) == 5
    assert min(ids) >= 10


def test_sentinels_can_be_shown():
    output = shown(text=TEXT, objective=ObjectiveSettings(sentinels=True))
    assert "[MASK1]" in cells(output, "input")


def test_a_file_is_read_as_in_training(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"body": f"word{i} and more of it"}) for i in range(5)))
    outputs = [shown(text=str(path), text_field="body", sample_number=n) for n in range(5)]
    assert {word for o in outputs for word in re.findall(r"word\d", o)} == {
        f"word{i}" for i in range(5)
    }


def test_a_tokenizer_folder_is_used(tmp_path, monkeypatch):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from unblank.tokenization.special import SPECIAL_TOKENS

    strings = list(dict.fromkeys(SPECIAL_TOKENS.values()))
    vocabulary = {token: i for i, token in enumerate([*strings, "lamp", "in", "the", "."])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="[UNK]",
        mask_token="[MASK]",
        extra_special_tokens=[token for token in strings if token not in ("[UNK]", "[MASK]")],
    )
    tokenizer.save_pretrained(tmp_path)
    logged: list[logging.LogRecord] = []
    monkeypatch.setattr(logging.Logger, "handle", lambda logger, record: logged.append(record))
    # What kind of model lies beside the tokenizer does not matter.
    (tmp_path / "config.json").write_text('{"model_type": "of_another_library"}')
    output = shown(text="the lamp in the house . the lamp", tokenizer=tmp_path)
    assert set(cells(output, "input")) <= {
        *("lamp", "in", "the", ".", "[UNK]", "[CLS]", "[MASK]", "<sop>", "<eos>")
    }
    assert "without --tokenizer" not in output
    assert not logged


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"text": "  "}, ValueError, "empty"),
        ({"text": ""}, ValueError, "empty"),  # not the current folder
        ({"text": "word"}, ValueError, "at least 2 tokens"),
        ({"text": "corpus.jsonl"}, FileNotFoundError, "corpus.jsonl"),
        ({"text": TEXT, "tokenizer": "nowhere"}, FileNotFoundError, "unblank tokenize"),
        ({"text": TEXT, "tokenizer": "a", "model": "b"}, ValueError, "exclude each other"),
        ({"text": TEXT, "sample_number": -1}, ValueError, "sample_number"),
    ],
)
def test_what_cannot_be_shown_is_refused(options, error, message, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    paths = {name: Path(options[name]) for name in ("tokenizer", "model") if name in options}
    with pytest.raises(error, match=message):
        shown(**(options | paths))


def test_pieces_and_their_blanks_are_found():
    assert piece_numbers(WORKED).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert blank_pieces(WORKED) == {4: 1, 2: 2}


def test_pieces_are_found_without_second_positions():
    positions = np.stack([WORKED.position_ids[0], np.minimum(WORKED.position_ids[1], 1)])
    example = Example(WORKED.input_ids, positions, WORKED.labels, 5, "token")
    assert piece_numbers(example).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]


def test_a_text_read_from_left_to_right_is_one_piece():
    example = plain_objective(np.arange(6), np.random.default_rng(0))
    causal = Example(example.input_ids, example.position_ids, example.labels, 0, "causal")
    assert piece_numbers(causal).tolist() == [1] * 6
    assert blank_pieces(causal) == {}


@pytest.mark.parametrize("length", [10, 100])
def test_the_picture_shows_what_the_rule_makes_visible(length):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(1)
    example = WORKED if length == 10 else doubling_objective(np.arange(10, 90), rng)
    figure = mask_figure(example, [str(token_id) for token_id in example.input_ids])
    image = np.asarray(figure.axes[0].images[0].get_array())
    hidden = image[0, -1]  # Part A never sees Part B
    for query in range(len(example)):
        for key in range(len(example)):
            expected = key < example.prefix_length or key <= query
            assert (image[query, key] != hidden).any() == expected


def test_a_mask_is_drawn_beside_the_print(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "pictures" / "mask.png"
    assert "mask.png" in shown(text=TEXT, mask=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"mask\.doc.*\.png"):
        draw_mask(WORKED, NAMES[:10], tmp_path / "mask.doc")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_mask_of_every_objective_is_drawn(name, tmp_path, monkeypatch):
    figures = pytest.importorskip("matplotlib.figure")
    # Painting takes a second, and is the same for all.
    monkeypatch.setattr(figures.Figure, "savefig", lambda self, file, **how: file.write(b"drawn"))
    path = tmp_path / "mask.png"
    shown(text=TEXT, mask=path, objective=only(name, ObjectiveSettings()))
    assert path.read_bytes() == b"drawn"


def test_a_token_with_two_dollars_is_written_as_it_is(tmp_path):
    pytest.importorskip("matplotlib")
    draw_mask(WORKED, ["$\\frac$"] * 10, tmp_path / "mask.png")


def test_drawing_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"unblank\[plot\]"):
        draw_mask(WORKED, NAMES[:10], tmp_path / "mask.png")
