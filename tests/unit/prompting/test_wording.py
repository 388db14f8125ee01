"""Prompts in many languages: what task files may say, and what an example is asked."""

import os
import re
import unicodedata
from pathlib import Path

import pytest
import torch
import yaml

from unblank.data.language_files import find_language_files
from unblank.languages import find_language, share_in_script
from unblank.prompting import load_task, make_examples, read_examples, score_examples
from unblank.prompting.asking import AS_IT_STANDS, Asking
from unblank.prompting.patterns import fill_pattern
from unblank.prompting.predicting import predict
from unblank.prompting.task_files import TEMPLATES
from unblank.prompting.verbalizers import parse_verbalizer

TASK = """
verbalizer: {good: "Yes", bad: "No"}
patterns: ['{text} [MASK].']
translated: ['{text} {q}: [MASK]', '{q}? {text|bare}! {a} [MASK]']
hints:
  en: {q: true, a: false}
  deu: {q: cat, a: dog}
  zh: {q: mat, a: sat}
languages:
  zh: ['{text}{q}[MASK]', '{a}{q}{text}[MASK]']
verbalizers:
  de: {bad: ran, good: [sat, mat]}
universal: ['{text} [MASK]']
"""
IN_LANGUAGES = ("xnli", "pawsx", "xcopa", "ocnli", "masakhanews")


@pytest.fixture
def task(tmp_path):
    return written(tmp_path, TASK)


def written(folder, text, name="my.yaml"):
    (folder / name).write_text(text, encoding="utf-8")
    return load_task(folder / name)


def example_of(task, **fields):
    return make_examples(task, {"text": "the cat.", "label": "good", **fields})[0]


ASKED = [
    ("english", "de", 0, "the cat. true: [MASK]", ("Yes",)),
    ("english", "", 1, "true? the cat! false [MASK]", ("Yes",)),
    ("translated", "de", 0, "the cat. cat: [MASK]", ("sat", "mat")),
    ("translated", "de-AT", 1, "cat? the cat! dog [MASK]", ("sat", "mat")),
    ("translated", "en", 0, "the cat. true: [MASK]", ("Yes",)),
    ("universal", "is", 0, "the cat. [MASK]", ("Yes",)),
    (None, "is", 0, "the cat. [MASK].", ("Yes",)),
]


@pytest.mark.parametrize(("prompts", "language", "number", "text", "words"), ASKED)
def test_how_an_example_is_asked(task, prompts, language, number, text, words):
    example = example_of(task, lang=language)
    asked, entry = Asking(prompts).ask(task, example, number)
    assert fill_pattern(entry.pattern, asked.fields).text == text
    assert entry.verbalizer["good"] == words


def test_a_language_may_have_patterns_of_its_own(task):
    _, entry = Asking("translated", "english").ask(task, example_of(task, lang="cmn"), 1)
    assert entry.pattern.text == "satmat{text}[MASK]"


def test_words_are_chosen_apart_from_prompts(task):
    example = example_of(task, lang="de")
    for prompts in (None, "english", "translated", "universal"):
        found = {
            words: Asking(prompts, words).ask(task, example)[1].verbalizer["good"]
            for words in ("english", "own", "all")
        }
        own = ("Yes",) if prompts == "english" else ("sat", "mat")
        assert found["english"] == ("Yes",)
        assert found["all"] == ("Yes", "sat", "mat")
        assert found["own"] == (("sat", "mat") if prompts != "english" else own)


@pytest.mark.parametrize(
    ("asking", "language", "message"),
    [
        (Asking("translated"), "is", "'is'.*hints in my.yaml has en, de, zh"),
        (Asking("translated"), "zh", "'zh'.*verbalizers in my.yaml has en, de"),
        (Asking("translated"), "", "no language"),
        (Asking("universal", "own"), "is", "'is'.*verbalizers"),
    ],
)
def test_what_a_language_lacks_is_named_with_its_key_and_the_place(task, asking, language, message):
    example = make_examples(task, {"text": "a", "lang": language}, "f.jsonl, line 3")[0]
    with pytest.raises(ValueError, match=f"f.jsonl, line 3: .*{message}"):
        asking.ask(task, example)


def test_a_way_that_a_task_lacks_is_refused_before_any_example(tmp_path, task):
    plain = written(tmp_path, "verbalizer: {a: b, c: d}\npatterns: ['{text} [MASK]']", "plain.yaml")
    for asking in (Asking("english"), Asking("translated"), Asking("universal")):
        asking.check(task, (0,))
        with pytest.raises(ValueError, match=r"\bplain\b"):
            asking.check(plain, ())
    with pytest.raises(ValueError, match="prompts 0 to 1"):
        Asking("english").check(task, (2,))
    with pytest.raises(ValueError, match="prompt 0"):
        Asking("universal").check(task, (1,))
    with pytest.raises(ValueError, match=r"cloze\.words"):
        Asking(None, "all").check(load_task("xcopa"), ())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  en: {q: true, a: false}\n", "", r"line 5: hints .*\ben\b"),
        ("  deu:", "  german:", "line 7: 'german' is not .* de"),
        ("  deu:", "  eng:", r"line 7: .*\ben\b.*twice"),
        ("{q: cat, a: dog}", "{q: cat}", "line 7: hints of de .*'a'"),
        ("{q: cat, a: dog}", "{q: cat, a: {x: y}}", "line 7: the hint a "),
        ("'{a}{q}{text}[MASK]'", "", r"line 10: .*\b1 .*\b2\b"),
        ("  zh: ['{text}{q}", "  ja: ['{text}{q}", "line 10: hints .*ja"),
        ("{bad: ran, good", "{worse: ran, good", "line 12: .*verbalizer of de"),
        ("{bad: ran,", "{bad: Yes,", "line 12: .*'good'.*'bad'.*'Yes'"),
        ("translated:", "# translated:", "hints.*`translated`"),
        ("universal: ['{text} [MASK]']", "universal: ['{text}']", "0 blanks"),
        ("verbalizers:\n", "language: klingonian\nverbalizers:\n", "line 11: 'klingonian'"),
    ],
)
def test_mistakes_in_a_file_are_named_with_their_line(tmp_path, old, new, message):
    assert old in TASK
    with pytest.raises(ValueError, match=message):
        written(tmp_path, TASK.replace(old, new))


@pytest.mark.parametrize("code", ["ar", "urd", "he"])
@pytest.mark.parametrize("mark", ["", ". ", "\u061f "])
def test_a_pattern_written_as_it_is_displayed_is_refused(tmp_path, code, mark):
    """From right to left the blank seems to stand first, where none of the others has it."""
    own = TASK.replace("  zh: {q: mat", f"  {code}: {{q: mat")
    line = "  zh: ['{text}{q}[MASK]', '{a}{q}{text}[MASK]']"
    assert line in own
    wrong = f"['{mark}[MASK] {{q}}{{text}}', '{{a}}{{q}}{{text}}[MASK]']"
    turned = own.replace(line, f"  {code}: {wrong}")
    with pytest.raises(ValueError, match=r"line 10: pattern 0 .*begins"):
        written(tmp_path, turned)
    written(tmp_path, own.replace(line, line.replace("zh", code)))
    both = turned.replace("['{text} {q}: [MASK]'", "['[MASK] {q} {text}'")
    written(tmp_path, both)  # a blank that stands first in every language is meant so


def test_a_hint_that_no_pattern_uses_is_refused(tmp_path):
    text = TASK.replace("{a}", "").replace("a: ", "c: ")
    with pytest.raises(ValueError, match=r"`translated`.*'c'"):
        written(tmp_path, text)


def rendered(entries, code, record):
    """Fill the first translated pattern of a raw task file, in a way of its own."""
    text = entries.get("languages", {}).get(code, entries["translated"])[0]
    for name, word in entries["hints"][code].items():
        text = text.replace("{" + name + "}", word if isinstance(word, str) else word["effect"])

    def value(match):
        name, _, is_bare = match[1].partition("|")
        return re.sub(r"[\W_]+$", "", record[name]) if is_bare else record[name]

    return re.sub(r"\{([^{}]+)\}", value, text)


@pytest.mark.parametrize("name", IN_LANGUAGES)
def test_prompts_are_those_of_a_plain_renderer(name):
    task = load_task(name)
    entries = yaml.load((TEMPLATES / f"{name}.yaml").read_text("utf-8"), yaml.BaseLoader)
    record = {key: str(value) for key, value in entries["example"].items()}
    (example,) = make_examples(task, dict(record))
    assert len(task.wordings) == {"xnli": 15, "pawsx": 7, "xcopa": 12, "ocnli": 2}.get(name, 10)
    for code in task.wordings:
        asked, entry = Asking("translated").ask(task, example, None, code)
        text = fill_pattern(entry.pattern, asked.fields).text
        assert text == rendered(entries, code, record), code


@pytest.mark.parametrize("name", IN_LANGUAGES)
def test_words_of_the_templates_are_clean(name):
    """In one form, in the script of their language, the blank after all hints in memory."""
    task = load_task(name)
    for code, wording in task.wordings.items():
        script = find_language(code).script
        words = [way for ways in task.verbalizers.get(code, {}).values() for way in ways]
        words += [word for of_value in wording.derived.values() for word in of_value.values()]
        for word in words:
            assert word == unicodedata.normalize("NFC", word)
            assert share_in_script(word, script) == 1.0, (code, word)
        for pattern in wording.patterns:
            assert pattern.text == unicodedata.normalize("NFC", pattern.text)
            literal = "".join(part for part in pattern.before if isinstance(part, str))
            assert share_in_script(literal, script) in (1.0, None), (code, literal)
            if not wording.derived and name != "pawsx":
                assert not pattern.after
    assert parse_verbalizer({label: list(ways) for label, ways in task.all_words.items()} or XY)


XY = {"x": "x", "y": "y"}


ONE_LANGUAGE = """
verbalizer: {good: [sat, mat], bad: ran}
patterns: ['{text} cat: [MASK]', 'cat? {text|bare}! dog [MASK]']
"""


def test_a_language_scores_as_a_task_written_for_it_alone(tmp_path, task, tiny):
    alone = written(tmp_path, ONE_LANGUAGE, "alone.yaml")
    texts = ("the cat sat.", "a dog ran", "it is good")
    examples = [example_of(task, text=text, lang="de") for text in texts]
    for number in (0, 1):
        found = score_examples(
            tiny.model, tiny.tokenizer, task, examples, pattern=number, asking=Asking("translated")
        )
        expected = score_examples(tiny.model, tiny.tokenizer, alone, examples, pattern=number)
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one, other)


def test_words_of_all_languages_share_a_labels_probability(task, tiny):
    example = example_of(task, lang="de")

    def scores(words):
        asking = Asking("universal", words)
        return score_examples(tiny.model, tiny.tokenizer, task, [example], asking=asking)[0]

    together = torch.stack([scores("english"), scores("own")]).logsumexp(dim=0)
    torch.testing.assert_close(scores("all"), together)


def test_calibration_subtracts_what_the_prompt_scores_with_empty_fields(task, tiny):
    examples = [example_of(task, text=text, lang="de") for text in ("the cat sat", "a dog")]
    empty = example_of(task, text="", lang="de")
    asking = Asking("translated")
    plain = score_examples(tiny.model, tiny.tokenizer, task, [*examples, empty], asking=asking)
    found = score_examples(tiny.model, tiny.tokenizer, task, examples, asking=asking, prior="pmi")
    for one, other in zip(found, plain, strict=False):
        torch.testing.assert_close(one, other - plain[2])
    predicted = predict(tiny.model, tiny.tokenizer, task, examples, asking=asking, prior="pmi")
    assert predicted[0].probabilities == pytest.approx(found[0].softmax(dim=0).tolist())


def test_contextual_calibration_divides_by_the_mean_share_of_empty_fields_and_of_na(task, tiny):
    example, *free = [example_of(task, text=text, lang="de") for text in ("a dog", "", "N/A")]
    asking = Asking("translated")
    plain = score_examples(tiny.model, tiny.tokenizer, task, [example, *free], asking=asking)
    shares = [one.softmax(dim=0) for one in plain]
    odds = shares[0] / torch.stack(shares[1:]).mean(dim=0)
    (found,) = predict(
        tiny.model, tiny.tokenizer, task, [example], asking=asking, prior="contextual"
    )
    assert found.probabilities == pytest.approx((odds / odds.sum()).tolist(), abs=1e-5)


def test_candidates_are_calibrated_by_the_prompt_without_the_premise(tiny):
    task = load_task("xcopa")
    (example,) = make_examples(task, dict(task.example), language="it")
    asking = Asking("translated")
    plain, calibrated = (
        score_examples(tiny.model, tiny.tokenizer, task, [example], asking=asking, prior=one)[0]
        for one in (None, "pmi")
    )
    empty = [
        tiny.score(", quindi [MASK].", [word.strip()]).best.score for word in example.candidates
    ]
    torch.testing.assert_close(plain - calibrated, torch.tensor(empty), atol=1e-4, rtol=1e-4)


def test_the_task_as_it_stands_is_as_before(task):
    example = example_of(task)
    assert AS_IT_STANDS.ask(task, example) == (example, task.pattern())


REAL = {
    "xnli": ("xling/xnli/validation.{lang}.jsonl*", 15, 2490),
    "pawsx": ("xling/pawsx/validation.{lang}.jsonl*", 7, 193),
    "xcopa": ("xling/xcopa/val.{lang}.jsonl", 11, 100),
    "masakhanews": ("seq2seq/masakhanews/{lang}.dev.jsonl*", 10, None),
    "xwinograd": ("xling/xwinograd/dev.jsonl*", 5, None),
    "ocnli": ("nlu/ocnli_zh/dev.jsonl*", 1, 1436),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_examples_of_every_language_are_asked(name):
    folder = Path(os.environ.get("UNBLANK_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip("needs the folder of data sets")
    entry, num_languages, count = REAL[name]
    task = load_task(name)
    languages = {}
    for file in find_language_files(f"{folder}/{entry}"):
        for example in read_examples(task, [file]).examples:
            languages.setdefault(example.language, []).append(example)
    assert len(languages) == num_languages
    for examples in languages.values():
        assert count is None or len(examples) == count
        if task.wordings:
            asked, entry = Asking("translated").ask(task, examples[-1])
            assert "[MASK]" in fill_pattern(entry.pattern, asked.fields).text
