"""A toy task with prompts in several languages."""

from labelled_toys import write_toys

TASK = """
verbalizer: {good: Yes, bad: No}
patterns: ['{text} Was it liked? [MASK].']
translated: ['{text} {q} [MASK].']
hints:
  en: {q: "Was it liked?"}
  de: {q: "In short:"}
  fr: {q: "the play"}
verbalizers:
  de: {good: fine, bad: poor}
  fr: {good: great, bad: dull}
universal: ['{text} [MASK]']
shorten: {text: end}
"""


def write_cross_toys(folder):
    """Return the paths of `write_toys`, with a task in three languages."""
    paths = write_toys(folder)
    paths["task"].write_text(TASK)
    return paths
