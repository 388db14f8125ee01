"""The case of a run's tokenizer: kept by default, and that of the checkpoint in a continued run."""

import pytest

from unblank.engine.logging import Display
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.families.table import family_of_run
from unblank.starting.tokenizer import open_tokenizer
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.fidelity import is_lowercased
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

TEXT = "\u00c9t\u00e9 \u00e0 Orl\u00e9ans"
MODEL = ModelSettings(preset="tiny")


class World:
    is_main = True


def tokenizer_of(folder, checkpoint=None, **settings):
    return open_tokenizer(
        MODEL,
        TokenizerSettings(**settings),
        family_of_run(MODEL),
        lambda: [TEXT] * 3,
        folder=folder,
        world=World(),
        checkpoint=checkpoint,
        display=Display(total_steps=1, is_terminal=False),
    )


@pytest.fixture
def lowercased(tmp_path):
    """The checkpoint of a run whose version lower-cased without being told to."""
    tokenizer = train_tokenizer(
        [TEXT], kind="wordpiece", vocab_size=300, lowercase=True, show_progress=False
    )
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_a_new_tokenizer_keeps_case_and_accents(tmp_path, kind):
    size = 540 if kind == "unigram" else 300
    tokenizer = tokenizer_of(tmp_path / "new", vocab_size=size, kind=kind)
    (ids,) = encode_texts(tokenizer, [TEXT])
    assert tokenizer.decode(ids).strip() == TEXT


@pytest.mark.parametrize("settings", [{}, {"lowercase": True}])
def test_a_continued_run_keeps_its_tokenizer(tmp_path, lowercased, settings):
    assert is_lowercased(tokenizer_of(tmp_path / "new", lowercased, **settings))


def test_another_case_than_that_of_the_continued_run_is_refused(tmp_path, lowercased):
    with pytest.raises(ValueError, match=r"tokenizer\.lowercase"):
        tokenizer_of(tmp_path / "new", lowercased, lowercase=False)


@pytest.mark.parametrize(("name", "value"), [("lowercase", False), ("alpha", 0.0)])
def test_what_an_existing_tokenizer_does_not_use_is_said(tmp_path, lowercased, capsys, name, value):
    tokenizer_of(tmp_path / "new", path=lowercased, **{name: value})
    assert f"tokenizer.{name} ignored" in capsys.readouterr().out
