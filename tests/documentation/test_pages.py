"""What README and docs show works: every Python block and every command is run, in reading order.

Each page has a working folder of its own with small data and models under the names that it uses.
Long runs are cut short by options put behind those of the page; nothing else differs from what a
reader types. What is not run stands in `NOT_RUN`, with the reason.
"""

import ast
import builtins
import io
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from lm_eval_tasks import leave_its_own_tasks_unread
from reader_folder import STAND_IN, make_reader_folder
from shown_blocks import PAGES, REPOSITORY, Block, Command, blocks, commands, sections

from unblank.cli import COMMANDS, main
from unblank.lm_eval import cli_evaluate

NOT_RUN = {
    "make": "it installs the project; that the target exists is checked, and `make demo` is run as "
    "`unblank demo`",
    "unblank bench": "it takes minutes; tests/integration runs a toy",
    "unblank serve": "it serves until a signal comes; tests/integration runs it",
    "unblank compare": "it takes hours; tests/integration runs a small recipe",
}
PARSED_ONLY = {"torchrun": "it needs several processes; tests/integration runs them"}

STEPS = "--train.max-steps 2 --train.validate-every 2 --train.no-arrange-memory"
SHORT = {
    "pretrain": f"{STEPS} --train.batch-size 2 --train.micro-batch-size 2 --data.max-length 256 "
    "--data.num-workers 0",
    "finetune": STEPS,
    "demo": "--text paragraphs.txt --steps 2 --sentences 1 --no-arrange-memory",
    "generate": "--max-tokens 4",
    "fill": "--max-tokens 4",
}
"""Options behind those of the page, of which the last one counts: they end a run after two steps,
and an answer after a few tokens."""
LESS = {
    "--grid.learning-rates": "--grid.learning-rates 1e-5 2e-5 --grid.batch-sizes 4 --train.seeds 1",
    "--cloze.ensemble": "--cloze.patterns 0 1 --train.seeds 1 2",
    "recipe:fewglue_rte": "--cloze.patterns 0 1 --train.seeds 1 2",
    "recipe:cpu_small": "--model.num_hidden_layers 1",
    "recipe:multiglm_cpu": "--model.num_hidden_layers 1",
    "--data.source": "--train.batch_tokens 512",
    "runs/short/checkpoints/step-00000800": "--train.resume runs/short/checkpoints/step-00000002",
    "summarization": "--max-tokens 8",
    "translation": "--max-tokens 8",
    "known_blanks.jsonl": "--max-tokens 4",
}
"""The same by a word of the command: fewer runs, smaller models, steps and answers."""
TRAINING_PAGES = ("deltalm", "ganlm", "multilingual", "source_to_target", "tuning_few_parameters")
"""Pages whose time goes into trainings like those of tests/integration, so that the usual tests
only read their commands, and the slow ones run them."""


def is_training(page: Path) -> bool:
    return page.stem in TRAINING_PAGES


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory):
    with warnings.catch_warnings(action="ignore"):
        return make_reader_folder(tmp_path_factory.mktemp("reader"))


@pytest.fixture
def reader_folder(filled_folder, tmp_path, monkeypatch):
    """A copy of its own for a page, so that no page relies on what another one has made."""
    folder = tmp_path / "reader"
    shutil.copytree(filled_folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("UNBLANK_DATA", "data")
    return folder


@pytest.mark.parametrize(
    ("page", "runs_it"),
    [
        *(pytest.param(one, False, id=f"{one.stem}, read") for one in PAGES if is_training(one)),
        *(
            pytest.param(one, True, id=one.stem, marks=[pytest.mark.slow] * is_training(one))
            for one in PAGES
        ),
    ],
)
@pytest.mark.usefixtures("reader_folder")
@pytest.mark.filterwarnings("ignore")  # of so little data
def test_what_a_page_shows_works(page, runs_it, monkeypatch):
    namespace: dict[str, object] = {}
    for block in blocks(page):
        try:
            if runs_it or block.language != "python":
                run_block(block, namespace, monkeypatch, run_words if runs_it else read_words)
        except (Exception, SystemExit) as error:
            error.add_note(f"in {block.place}")
            raise


def run_block(
    block: Block, namespace: dict[str, object], monkeypatch, do: Callable[[list[str]], None]
) -> None:
    """Do what a reader does with a block: run it, or save it under the name in its first line."""
    if block.language == "python":
        run_python(block, namespace)
    elif block.language == "sh":
        for command in commands(block):
            run_command(command, monkeypatch, do)
    elif block.language == "yaml":
        named = re.match(r"# (\S+\.yaml)\b", block.text)
        Path(named[1] if named else "block.yaml").write_text(block.text, encoding="utf-8")
        if not named:  # a part of a recipe
            do(["pretrain", "block.yaml", "--print-recipe"])


def run_python(block: Block, namespace: dict[str, object]) -> None:
    """Run a block; what a line prints is what its comment says behind `# ->`."""
    printed: dict[int, str] = {}

    def note(*values: object) -> None:
        printed[sys._getframe(1).f_lineno] = " ".join(map(str, values))

    namespace["print"] = note
    exec(compile(block.text, block.place, "exec"), namespace)
    for number, line in enumerate(block.text.splitlines(), 1):
        _, arrow, expected = line.partition("# -> ")
        assert not arrow or printed[number] == expected


def run_command(command: Command, monkeypatch, do: Callable[[list[str]], None]) -> None:
    words = command.arguments()
    if words[0] == "make":
        makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        assert all(f"\n{target}:" in makefile for target in words[1:])
        if "demo" in words:
            words = ["unblank", "demo"]
    if words[0] in NOT_RUN or " ".join(words[:2]) in NOT_RUN:
        return
    if words[:3] == ["python", "-m", "unblank.lm_eval"]:
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", words[2:])
            leave_its_own_tasks_unread(patch)
            cli_evaluate()
        return
    assert words[0] == "unblank" or words[0] in PARSED_ONLY, f"not run, and not listed: {words}"
    is_parsed_only = words[0] in PARSED_ONLY
    words = words[words.index("unblank") + 1 :]
    with monkeypatch.context() as patch:
        for name, value in command.variables.items():
            patch.setenv(name, value)
        if command.input_file:
            text = Path(command.input_file).read_text(encoding="utf-8")
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        make_room(words)
        shown = [*without_minutes(words), *shortened(words)]
        do([*words, "--print-recipe"] if is_parsed_only else shown)


def without_minutes(words: list[str]) -> list[str]:
    """Return the words without the time of a run, which ends after two steps instead."""
    if "--train.minutes" not in words:
        return words
    place = words.index("--train.minutes")
    return words[:place] + words[place + 2 :]


def shortened(words: list[str]) -> list[str]:
    """Return what is put behind the words of a command so that it ends soon."""
    fewer = [options for word, options in LESS.items() if word in words]
    return " ".join([SHORT.get(words[0], ""), *fewer]).split()


def make_room(words: list[str]) -> None:
    """Remove the small model that stood for the one that this command makes."""
    if "--train.output-dir" in words:
        folder = Path(words[words.index("--train.output-dir") + 1])
        if (folder / STAND_IN).exists():
            shutil.rmtree(folder)


def run_words(words: list[str]) -> None:
    """Run a command in this process; an end with status 0 is no error."""
    try:
        main(words)
    except SystemExit as stop:
        if stop.code:
            raise


def read_words(words: list[str]) -> None:
    """Read the settings of a command, which are checked then, and do no more."""
    try:
        import_module(f"unblank.commands.{words[0]}").parse(words[1:])
    except SystemExit as stop:
        if stop.code:
            raise


def test_every_command_is_shown_somewhere():
    shown = {
        command.words[command.words.index("unblank") + 1]
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for command in commands(block)
        if "unblank" in command.words
    }
    assert set(COMMANDS) - shown <= {"demo"}  # `make demo`


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_section_needs_no_names_of_another_one(page):
    """The blocks of a section can be copied and run; those above the sections belong to each."""
    above: set[str] = set(dir(builtins))
    for number, section in enumerate(sections(page)):
        known = set(above)
        for block in section:
            used, made = names_in(block.text)
            assert used <= known | made, f"{block.place} lacks {used - known - made}"
            known |= made
        above |= known if number == 0 else set()


def names_in(text: str) -> tuple[set[str], set[str]]:
    """Return the names that a Python block reads, and those that it makes."""
    used, made = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).partition(".")[0])
    return used, made


def test_every_block_says_what_it_is():
    languages = {"python", "sh", "yaml", "json", "text"}
    every = [block for page in PAGES for block in blocks(page)]
    assert [block.place for block in every if block.language not in languages] == []


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_changelog_says_everything_once():
    """A merge keeps both places of an entry that was moved."""
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    for version in re.split(r"^## ", text, flags=re.MULTILINE):
        pieces = re.split(r"^(?=- |#+ )", version, flags=re.MULTILINE)
        said = [" ".join(piece.split()) for piece in pieces]
        assert [one for one in set(said) if said.count(one) > 1] == []
