"""Tiny models of every kind of tokenizer, and rules checked in the plainest way."""

import random
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache

import torch

from unblank.api import Unblank
from unblank.generation.prompts import decode_after
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.rules.rule import Length, Rule
from unblank.tokenization.special import special_ids
from unblank.tokenization.train import train_tokenizer


@cache
def toy_of_kind(kind: str) -> Unblank:
    """Return a random GLM that now and then ends a blank; accents and digits are in its text."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=12)) for _ in range(300)]
    texts += ["Am 3. Mai 2024 sagte Zo\u00eb: d\u00e9j\u00e0 vu, 12-7!"] * 3
    with warnings.catch_warnings(action="ignore"):
        tokenizer = train_tokenizer(texts, kind=kind, vocab_size=700, show_progress=False)
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer) + 5, tokenizer_size=len(tokenizer), hidden_size=16,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=64,
        initializer_range=0.3,
        **{f"{role}_token_id": given for role, given in ids.items() if isinstance(given, int)},
    )  # fmt: skip
    torch.manual_seed(5)
    return Unblank(GlmInfillForConditionalGeneration(config), tokenizer)


def all_answers(tokenizer, rules: Sequence[Rule], most: int) -> list[list[int]]:
    """Return every sequence of at most so many tokens that writes one of `TEXTS`."""
    wanted = {text for text in TEXTS if all(meets(text, rule) for rule in rules)}
    starts = {text[:length] for text in wanted for length in range(len(text) + 1)}
    letters = set("".join(wanted)) | {" "}
    texts = {
        token_id: text
        for token_id, text in texts_of_tokens(tokenizer).items()
        if set(text) <= letters
    }
    found: list[list[int]] = []
    grown: list[tuple[list[int], str]] = [([], "")]
    for _ in range(most):
        grown = [
            ([*ids, token_id], (text + more).lstrip(" "))
            for ids, text in grown
            for token_id, more in texts.items()
            if (text + more).lstrip(" ") in starts
        ]
        found += [ids for ids, text in grown if text in wanted and allows(rules, len(ids))]
    for ids in found:
        assert decode_after(tokenizer, "the old ", ids).lstrip(" ") in wanted
    return found


@cache
def texts_of_tokens(tokenizer) -> dict[int, str]:
    """Return what each token but the special ones writes within a text."""
    special = {*tokenizer.all_special_ids}
    return {
        token_id: decode_after(tokenizer, "the old ", [token_id])
        for token_id in range(len(tokenizer))
        if token_id not in special
    }


WORDS = ["cat", "cats", "dog", "dogs", "the", "far", "house", "mat", "sat", "one", "old", "warm"]
WORDS += ["a", "small", "grey", "C", "Cat", "Dog"]
PAIRS = [f"{one} {other}" for one in WORDS for other in WORDS]
TEXTS = [*WORDS, *PAIRS, *(f"{pair} {word}" for pair in PAIRS for word in WORDS)]
"""Texts of up to three words, among which are all that the rules of tests allow."""


def allows(rules: Sequence[Rule], num_tokens: int) -> bool:
    return all(rule.tokens is None or within(num_tokens, rule.tokens) for rule in rules)


def within(number: int, length: Length) -> bool:
    low, high = (length, length) if isinstance(length, int) else length
    return (low or 0) <= number and (high is None or number <= high)


def meets(text: str, rule: Rule) -> bool:
    """Whether a text meets a rule, but for its tokens, by Python's own means."""
    return all(
        [
            rule.regex is None or re.fullmatch(rule.regex, text) is not None,
            not rule.choices or text in rule.choices,
            all(any(holds(text, one) for one in forms.split("|")) for forms in rule.contains),
            not any(holds(text, words) for words in rule.excludes),
            rule.words is None or within(num_words(text), rule.words),
            rule.characters is None or within(len(text), rule.characters),
            rule.case is None or CASES[rule.case](text),
            rule.script is None or all(is_of(rule.script, one) for one in text),
            rule.script not in ("digits", "letters") or any(map(str.isalnum, text)),
        ]
    )


CASES = {
    "lower": lambda text: text == text.lower(),
    "upper": lambda text: text == text.upper(),
    "title": lambda text: all(word[0] == word[0].upper() for word in text.split()),
}


def num_words(text: str) -> int:
    return sum(any(unicodedata.category(one)[0] != "P" for one in word) for word in text.split())


def holds(text: str, words: str) -> bool:
    inner = r"\s+".join(map(re.escape, words.split()))
    before = r"(?<!\w)" if re.match(r"\w", words) else ""
    after = r"(?!\w)" if re.search(r"\w$", words) else ""
    return re.search(before + inner + after, text) is not None


def is_of(script: str, character: str) -> bool:
    if script == "digits":
        return character.isdecimal()
    if script == "letters":
        return character.isalpha() or character.isspace()
    name = unicodedata.name(character, "")
    return not character.isalpha() or name.startswith(script.upper())


def random_rule(rng: random.Random) -> Rule:
    """Return a rule that texts of a few tokens can meet."""
    kinds = [
        lambda: {"regex": random_pattern(rng)},
        lambda: {"choices": tuple(rng.sample(["cat", "far house", "a", "dog"], 3))},
        lambda: {"contains": (rng.choice(["cat", "dog", "old mat"]),)},
        lambda: {"words": (rng.randint(1, 2), rng.randint(2, 4))},
        lambda: {"characters": (rng.randint(0, 3), rng.randint(3, 8))},
        lambda: {"case": rng.choice(["lower", "upper", "title"])},
        lambda: {"script": rng.choice(["digits", "letters", "Latin"])},
    ]
    fields = rng.choice(kinds)()
    if rng.random() < 0.4:
        fields |= {"excludes": (rng.choice(["cat", "e", "the"]),)}
    return Rule(**fields)


def random_pattern(rng: random.Random, depth: int = 2) -> str:
    """Return a regular expression of the usual parts."""
    leaves = ["a", "cat", r"\d", "[a-f]", r"\w", "[^xyz]", ".", r"\s?o", "\u00e9", "(?:dog|at)"]
    if depth == 0:
        return rng.choice(leaves)
    inner = [random_pattern(rng, depth - 1) for _ in range(2)]
    shapes = [f"{inner[0]}{inner[1]}", f"(?:{inner[0]}|{inner[1]})", f"(?:{inner[0]})?{inner[1]}"]
    shapes += [f"(?:{inner[0]}){{1,3}}", f"(?:{inner[0]})*{inner[1]}"]
    return rng.choice(shapes)
