"""In which words an example is asked: as the task stands, or by its language.

A task may be asked in English, in the language of the example (translated), or without any words
(universal); labels may be named by English words, by those of the language, or by all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unblank.languages import find_language
from unblank.plurals import numbered
from unblank.prompting.examples import TaskExample
from unblank.prompting.patterns import Pattern
from unblank.prompting.task import ClozeTask, TaskPattern
from unblank.prompting.verbalizers import Verbalizer
from unblank.prompting.wording import ENGLISH, Wording
from unblank.settings.choices import PromptMode, WordMode

__all__ = ["AS_IT_STANDS", "Asking", "without_content"]


@dataclass(frozen=True, slots=True)
class Asking:
    """How examples are asked.

    Attributes:
        prompts: in which words; None for the task's patterns as they stand.
        words: which words name the labels; None for those of the prompt's language, and with
            universal prompts English ones.
    """

    prompts: PromptMode | None = None
    words: WordMode | None = None

    def check(self, task: ClozeTask, numbers: Sequence[int]) -> None:
        """Check that a task can be asked so at all.

        Args:
            task: what is asked.
            numbers: of the patterns, among those of this way of asking.

        Raises:
            ValueError: the task lacks prompts or words, or a pattern of a number.
        """
        if self.words is not None and not task.labels:
            raise ValueError(
                f"task {task.name} has candidates of its own and no words for labels: leave "
                "cloze.words out"
            )
        for number in numbers or (None,):
            if self.prompts in ("english", "translated"):
                self._of_language(task, "", ENGLISH, number)
            else:
                self._plain(task, number)
        if self.words == "english" or (self.words is None and self.prompts is not None):
            self._verbalizer(task, "", ENGLISH)

    def numbers(self, task: ClozeTask) -> range:
        """Return the numbers of all patterns of this way of asking."""
        if self.prompts is None:
            return range(len(task.patterns))
        if self.prompts == "universal":
            return range(len(task.universal))
        return range(len(task.wordings[ENGLISH].patterns) if task.wordings else 0)

    def texts(self, task: ClozeTask, numbers: Sequence[int]) -> list[str]:
        """Return the patterns, of those in several languages the English ones."""
        if self.prompts in (None, "universal"):
            return [self._plain(task, number).text for number in numbers]
        return [self._of_language(task, "", ENGLISH, number)[0].text for number in numbers]

    def ask(
        self,
        task: ClozeTask,
        example: TaskExample,
        number: int | None = None,
        language: str | None = None,
    ) -> tuple[TaskExample, TaskPattern]:
        """Return the example with the derived words of its language, and the pattern to fill.

        Args:
            task: what is asked.
            example: one of its examples.
            number: of the pattern; None for the usual one.
            language: of the prompt, if it is not that of the example.

        Raises:
            ValueError: the task has no prompt or no words in the language; names the place.
        """
        if self.prompts is None:
            entry = task.pattern(number)
            if self.words is None:
                return example, entry
            words = self._words(task, example.place, example.language)
            return example, TaskPattern(entry.pattern, words)
        if self.prompts == "universal":
            pattern, code = self._plain(task, number), example.language
        else:
            code = ENGLISH if self.prompts == "english" else language or example.language
            pattern, wording = self._of_language(task, example.place, code, number)
            example = _with_derived(task, example, wording)
        words = self._words(task, example.place, code) if task.labels else {}
        return example, TaskPattern(pattern, words)

    def _plain(self, task: ClozeTask, number: int | None) -> Pattern:
        if self.prompts is None:
            return task.pattern(number).pattern
        if not task.universal:
            raise ValueError(f"task {task.name} has no universal prompt: add `universal:`")
        return _numbered(task, task.universal, number)

    def _of_language(
        self, task: ClozeTask, place: str, code: str, number: int | None
    ) -> tuple[Pattern, Wording]:
        if not task.wordings:
            raise ValueError(
                f"task {task.name} has no prompts in languages: add `translated:` and `hints:`, or "
                "leave cloze.prompts out"
            )
        found = _known(code, tuple(task.wordings))
        if found is None:
            raise ValueError(_no_words(place, task, code, "hints", tuple(task.wordings)))
        wording = task.wordings[found]
        return _numbered(task, wording.patterns, number), wording

    def _words(self, task: ClozeTask, place: str, code: str) -> Verbalizer:
        if self.words == "all":
            return task.all_words
        is_own = self.words == "own" or (self.words is None and self.prompts == "translated")
        return self._verbalizer(task, place, code if is_own else ENGLISH)

    def _verbalizer(self, task: ClozeTask, place: str, code: str) -> Verbalizer:
        if not task.labels:
            return {}
        found = _known(code, tuple(task.verbalizers))
        if found is None:
            raise ValueError(_no_words(place, task, code, "verbalizers", tuple(task.verbalizers)))
        return task.verbalizers[found]


AS_IT_STANDS = Asking()
"""The task's patterns as they stand."""


def without_content(example: TaskExample, task: ClozeTask, filler: str = "") -> TaskExample:
    """Return the example with empty fields: what a prompt alone says about its candidates.

    Derived fields stay, as they are words of the prompt.
    """
    fields = {
        name: text if name in task.derive else filler for name, text in example.fields.items()
    }
    return replace(example, fields=fields)


def _with_derived(task: ClozeTask, example: TaskExample, wording: Wording) -> TaskExample:
    if not wording.derived:
        return example
    words = {
        name: of_values[example.fields[task.derive[name].source]]
        for name, of_values in wording.derived.items()
    }
    return replace(example, fields={**example.fields, **words})


def _numbered(task: ClozeTask, patterns: Sequence[Pattern], number: int | None) -> Pattern:
    number = number or 0
    if number >= len(patterns):
        raise ValueError(
            f"task {task.name!r} has {numbered(len(patterns), 'prompt')} in these words, not "
            f"{number}"
        )
    return patterns[number]


def _known(code: str, codes: Sequence[str]) -> str | None:
    """Return the code under which there are words: of the language, or of its usual form."""
    if not code or code in codes:
        return code or None
    base = find_language(code).base
    return base if base in codes else None


def _no_words(place: str, task: ClozeTask, code: str, key: str, codes: Sequence[str]) -> str:
    where = f"{place}: " if place else ""
    if not code:
        return (
            f"{where}the example has no language, which prompts or words by language need: give a "
            "field 'lang', FILE@xx or {lang} in the path"
        )
    return (
        f"{where}task {task.name} has no words in {code!r} ({key} in {task.path.name} has "
        f"{', '.join(codes) or 'none'}): add them, or choose english"
    )
