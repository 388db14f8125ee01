"""What may be said by code that answers from Python and over HTTP as well as to commands."""

import ast
import re

import pytest
from source_trees import FILES, SOURCE, nodes_of

from unblank.generation.constraining import rules_of_each
from unblank.keyword_names import keywords_named, with_keywords
from unblank.metrics.confusion import confusion_of
from unblank.metrics.labels import f1_macro

FLAG = re.compile(r"(?<![-\w])--[a-z]")
BEHIND_ALL_DOORS = {"api.py", "calibration", "generation", "models", "rules", "serving"}
COMMAND = re.compile(r"\bunblank [a-z]+ .*", re.DOTALL)
"""A command that a message gives."""
OF_THE_COMMAND = SOURCE / "serving" / "server.py"
"""Which opens the port that `unblank serve` is given."""


def messages_of(path):
    """Yield the texts of a file that are no docstrings."""
    nodes = nodes_of(path)
    passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            yield COMMAND.sub("", "".join(map(ast.unparse, node.values)).replace("'", ""))
    for node in nodes:
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in passed:
            yield COMMAND.sub("", node.value)


def test_code_behind_all_doors_names_no_flags():
    found = {
        (str(path.relative_to(SOURCE)), message)
        for path in FILES
        if path.relative_to(SOURCE).parts[0] in BEHIND_ALL_DOORS and path != OF_THE_COMMAND
        for message in messages_of(path)
        if FLAG.search(message)
    }
    assert not found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("give --data.train FILE [...]", "give data.train FILE [...]"),
        ("--seq2seq.too-long cut", "seq2seq.too_long cut"),
        ("or --train.no-arrange-memory", "or train.arrange_memory=False"),
        ("give --no-calibration", "give calibration=False"),
        (
            "no tokenizer: unblank convert --complete M",
            "no tokenizer: unblank convert --complete M",
        ),
        ("a text -- with dashes - and a--b", "a text -- with dashes - and a--b"),
    ],
)
def test_flags_become_keywords_but_in_commands(message, expected):
    assert with_keywords(message) == expected


def test_only_the_words_of_an_error_change():
    with pytest.raises(FileNotFoundError, match=r"^give data\.train$") as caught, keywords_named():
        raise FileNotFoundError("give --data.train")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: f1_macro([1], [0, 1]), "1 prediction for 2 labels"),
        (lambda: confusion_of([0, 1], [1], [0, 1]), "1 prediction for 2 labels"),
        (lambda: rules_of_each([["words=1"], ["words=2"]], 1), "2 lists for 1 text:"),
    ],
)
def test_one_of_a_thing_is_said_in_the_singular(call, said):
    with pytest.raises(ValueError, match=said):
        call()
