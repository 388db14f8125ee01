"""Showing an example of a task as text, as candidates, and token by token.

The layout is the one that is scored: Part A, then the tree of all candidates after one start.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unblank.consoles import TextConsole
from unblank.data.splits import find_split
from unblank.families.loading import load_folder
from unblank.families.table import family_of_model
from unblank.generation.branches import build_tree
from unblank.languages import find_language
from unblank.plurals import counted, numbered
from unblank.prompting.asking import Asking
from unblank.prompting.examples import TaskExample, make_examples, read_examples
from unblank.prompting.judging import right_label
from unblank.prompting.patterns import fill_pattern, fill_template
from unblank.prompting.scoring import (
    ClozePrompt,
    encode_example,
    score_examples,
    start_of_answer,
    with_sentinel,
)
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task, task_names
from unblank.settings.choices import Layout
from unblank.showing.columns import NOTHING, print_columns
from unblank.showing.options import ShowTaskOptions
from unblank.showing.reading_order import print_in_order
from unblank.tokenization.special import SPECIAL_TOKENS, SpecialIds, special_ids
from unblank.untrusted.opening import tokenizer_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["show_task"]

_USUAL_LENGTH = 512
_SHOWN_WORDS = 4
_SHORT_NAMES = {SPECIAL_TOKENS[role]: f"<{role}>" for role in ("eos", "sop", "eop")}


def show_task(options: ShowTaskOptions, console: TextConsole) -> None:
    """Print an example of a task.

    Raises:
        FileNotFoundError: if a file or folder is not there.
        ValueError: if the task, its data or an option does not fit.
    """
    task = load_task(options.task)
    if not task.patterns:
        _show_classifier_task(options, task, console)
        return
    asking = Asking(options.prompts or ("translated" if options.language else None), options.words)
    asking.check(task, () if options.pattern is None else (options.pattern,))
    example = _example(options, task)
    if options.language:
        example = replace(example, language=find_language(options.language).code)
    console.print(_title(task), style="bold")
    console.print(f"{example.place}, scored by {task.metrics[0]}\n", style="dim")
    usual = task.default_pattern if asking.prompts is None else 0
    chosen = usual if options.pattern is None else options.pattern
    for number in asking.numbers(task):
        mark = ">" if number == chosen else " "
        asked, entry = asking.ask(task, example, number)
        filled = fill_pattern(entry.pattern, asked.fields)
        words = " | ".join(" / ".join(entry.verbalizer[label]) for label in task.labels)
        console.print(f"{mark} {number}  {filled.text}")
        console.print(f"     {words}\n" if words else "", style="dim")
    if asking.prompts is not None:
        print_in_order(asking.ask(task, example, chosen)[1].pattern, console)
    console.print(_answer(task, example))
    folder = options.model or options.tokenizer
    if folder is None:
        console.print("give a model or a tokenizer to see tokens and scores", style="dim")
        return
    _show_layout(options, task, example, asking, console)


def _title(task: ClozeTask) -> str:
    return f"task {task.name}: {task.about}" if task.about else f"task {task.name}"


def _show_classifier_task(options: ShowTaskOptions, task: ClozeTask, console: TextConsole) -> None:
    """Print an example of a task that only a classifier answers: the texts that it reads."""
    if options.prompts or options.words or options.language or options.pattern is not None:
        task.pattern()  # says that there is none
    example = _example(options, task)
    console.print(_title(task), style="bold")
    console.print(f"{example.place}, scored by {task.metrics[0]}\n", style="dim")
    texts = [fill_template(one, example.fields) for one in task.classifier]
    console.print("  [SEP]  ".join(texts))
    console.print(f"     {' | '.join(task.labels)}\n", style="dim")
    answer = "right: none of them" if example.none_applies else _answer(task, example)
    console.print(answer)


def _example(options: ShowTaskOptions, task: ClozeTask) -> TaskExample:
    if options.data is not None or options.example is not None:
        examples = list(read_examples(task, [options.data or _own_data(task)]).examples)
    elif task.example is None:
        raise ValueError(f"{task.path} has no example of its own: give --data FILE")
    else:
        place = f"the example in {task.path.name}"
        examples = make_examples(task, dict(task.example), place) or []
    number = options.example or 0
    if number >= len(examples):
        raise ValueError(f"there is no example {number}, only {numbered(len(examples), 'example')}")
    return examples[number]


def _own_data(task: ClozeTask) -> Path:
    """Return a task's validation file in the folder of data sets, or else its training file."""
    folder = os.environ.get("UNBLANK_DATA")
    if not folder or not task.files:
        known = [name for name in task_names() if load_task(name).files]
        raise ValueError(
            f"no data for the task {task.name!r}: give --data FILE, or set UNBLANK_DATA to the "
            f"folder of data sets, with one of {', '.join(known)}"
        )
    for split in ("validation", "train"):
        with suppress(FileNotFoundError):
            try:
                return find_split(Path(folder), task.files, split)[0]
            except ValueError as error:
                raise ValueError(f"{error}: --data FILE") from error
    raise FileNotFoundError(f"no data for the task {task.name!r} in {folder}: give --data FILE")


def _answer(task: ClozeTask, example: TaskExample) -> str:
    if example.value is not None:
        return f"right: {example.value:g} (between {task.labels[0]} and {task.labels[-1]})"
    if not example.answers:
        return "right: unknown (the data has no label)"
    return "right: " + " | ".join(right_label(task, example, a) for a in example.answers)


def _show_layout(
    options: ShowTaskOptions,
    task: ClozeTask,
    example: TaskExample,
    asking: Asking,
    console: TextConsole,
) -> None:
    """Print the candidates, with their scores if there is a model, and all tokens."""
    if options.model is not None:
        model, tokenizer = load_folder(options.model)
        if family_of_model(model).writes != "blanks":
            raise ValueError(
                f"{options.model} is not a GLM: tasks can only be shown as a GLM sees them"
            )
        limit = options.max_length or int(model.config.max_position_embeddings)
        scores = score_examples(
            model,
            tokenizer,
            task,
            [example],
            pattern=options.pattern,
            asking=asking,
            max_length=limit,
            layout=options.layout,
        )[0].tolist()
    else:
        assert options.tokenizer is not None
        tokenizer = tokenizer_in(options.tokenizer)
        limit, scores = options.max_length or _USUAL_LENGTH, None
    asked = asking.ask(task, example, options.pattern)
    prompt = encode_example(tokenizer, task, *asked, max_length=limit)
    names, special = _token_names(tokenizer), special_ids(tokenizer)
    _print_candidates(task, example, prompt, names, scores, options.layout, console)
    for name, count in (prompt.filled.num_removed or {}).items():
        console.print(
            f"the field {name} was shortened by {counted(count, 'token')}, to fit into {limit}"
        )
    if options.layout == "masked":
        _print_masked(prompt, names, special, console)
        return
    start = start_of_answer(special, options.layout)
    if options.layout == "sentinel":
        prompt = replace(prompt, cloze=with_sentinel(prompt.cloze, special, limit))
    _print_tokens(prompt, names, special, start, console)


def _print_candidates(
    task: ClozeTask,
    example: TaskExample,
    prompt: ClozePrompt,
    names: Sequence[str],
    scores: list[float] | None,
    layout: Layout,
    console: TextConsole,
) -> None:
    how = {"logit": "logits of single tokens, as log p", "mean": "mean log p"}
    about = how.get(prompt.scoring, "sum of log p, the end included")
    if layout == "masked":
        about = f"{'mean' if prompt.scoring == 'mean' else 'sum'} of log p, each token by itself"
    table = Table(box=SIMPLE_HEAD, title=f"scored by: {about}", title_justify="left")
    for heading in ("label" if task.labels else "candidate", "tokens", "score"):
        table.add_column(heading, justify="right" if heading == "score" else "left")
    labels = example.candidates or task.labels
    for number, (label, slots) in enumerate(zip(labels, prompt.slots, strict=True)):
        ways = [" ".join(names[i] for i in prompt.cloze.candidates[slot]) for slot in slots]
        score = "" if scores is None else f"{scores[number]:.3f}"
        table.add_row(Text(label), Text(" or ".join(ways)), score)
    console.print(table)


def _print_tokens(
    prompt: ClozePrompt, names: Sequence[str], special: SpecialIds, start: int, console: TextConsole
) -> None:
    """Print Part A, and Part B with all candidates as a tree after the token `start`."""
    cloze = prompt.cloze
    _print_text(cloze.token_ids, range(cloze.blank, cloze.blank + 1), names, console)
    end_id = None if prompt.scoring == "logit" else special.eop
    tree = build_tree(cloze.candidates, start, end_id)
    targets: list[list[str]] = [[] for _ in tree.token_ids]
    for node, target, _ in tree.predictions:
        if names[target] not in targets[node]:
            targets[node].append(names[target])
    console.print(
        f"\nPart B: {counted(len(cloze.candidates), 'candidate')} in one tree", style="bold"
    )
    place = cloze.blank if cloze.answer_position is None else cloze.answer_position
    rows = {
        "input": [names[token_id] for token_id in tree.token_ids],
        "position 1": [str(place)] * len(tree.token_ids),
        "position 2": [str(depth + 1) for depth in tree.depths],
        "predict": [_few(words) for words in targets],
    }
    print_columns(console, rows, ["dark_orange"] * len(tree.token_ids))


def _print_masked(
    prompt: ClozePrompt, names: Sequence[str], special: SpecialIds, console: TextConsole
) -> None:
    """Print the row of each length of candidate: that many `[MASK]`, all predicted at once."""
    cloze = prompt.cloze
    for length in dict.fromkeys(map(len, cloze.candidates)):
        words = [one for one in cloze.candidates if len(one) == length]
        said = f"{counted(len(words), 'candidate')} of {counted(length, 'token')}"
        console.print(f"\n{said}", style="bold")
        masks = range(cloze.blank, cloze.blank + length)
        before, after = cloze.token_ids[: cloze.blank], cloze.token_ids[cloze.blank + 1 :]
        guessed = [_few([names[word[place]] for word in words]) for place in range(length)]
        _print_text((*before, *[special.mask] * length, *after), masks, names, console, guessed)


def _print_text(
    token_ids: Sequence[int],
    blank: range,
    names: Sequence[str],
    console: TextConsole,
    predicted: Sequence[str] = (),
) -> None:
    """Print what is seen from both sides, the blank in colour and with what is predicted there."""
    console.print("Part A", style="bold")
    rows = {
        "input": [names[token_id] for token_id in token_ids],
        "position 1": [str(place) for place in range(len(token_ids))],
        "position 2": ["0"] * len(token_ids),
    }
    if predicted:
        rows["predict"] = [NOTHING] * len(token_ids)
        rows["predict"][blank.start : blank.stop] = predicted
    styles = ["bold dark_orange" if n in blank else "not dim" for n in range(len(token_ids))]
    print_columns(console, rows, styles)


def _few(words: Sequence[str]) -> str:
    more = f"/+{len(words) - _SHOWN_WORDS}" if len(words) > _SHOWN_WORDS else ""
    return "/".join(words[:_SHOWN_WORDS]) + more or NOTHING


def _token_names(tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return [_SHORT_NAMES.get(name, name) for name in names]
