"""What README and docs show works: Python blocks run, commands and their options exist."""

import re
import shlex
from pathlib import Path

import pytest

from unblank.cli import COMMANDS, main

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.name != "log.md"]
NEEDS_A_MODEL = re.compile(r"runs/|unblank\.load\(|from_pretrained\(")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def shown_commands() -> list[list[str]]:
    commands = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "unblank" in words[:5] and words[-1] != "unblank":
                    start = words.index("unblank") + 1
                    commands.append(words[start:])
    return commands


@pytest.fixture
def reader_folder(tmp_path, monkeypatch):
    """What the pages take for granted: a folder of text and a recipe."""
    (tmp_path / "corpus").mkdir()
    sentence = "It rained all day, and the old dog slept near the warm stove. "
    (tmp_path / "corpus" / "text.txt").write_text(sentence * 40, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


RECIPE = """
model: {preset: tiny, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2}
tokenizer: {kind: bpe, vocab_size: 280}
data: {train: [corpus], max_length: 64}
train: {max_steps: 2, batch_size: 2, micro_batch_size: 2, output_dir: runs/docs}
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("reader_folder")
def test_python_blocks_run(page):
    namespace: dict[str, object] = {}
    for index, code in enumerate(blocks(page, "python")):
        if not NEEDS_A_MODEL.search(code):
            exec(compile(code, f"{page.name} block {index}", "exec"), namespace)


def test_shown_commands_and_their_options_exist(capsys):
    shown = shown_commands()
    assert len(shown) > 5
    help_of = {}
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        help_of[name] = re.sub(r"[-_]", "-", capsys.readouterr().out)
    for name, *words in shown:
        assert name in COMMANDS, name
        for word in words:
            if word.startswith("--") and word not in ("--help", "--print-config"):
                option = word.split("=")[0].replace("_", "-")
                assert option in help_of[name], f"unblank {name} has no {word}"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
