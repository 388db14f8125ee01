"""The tokenizer that is saved with a classifier: it makes the rows that the classifier has learned.

So transformers' own programs, which know nothing of tasks, read the texts as training did. It
cannot make rows of more than two texts, and cuts only a text that is one whole field.
"""

from transformers import PreTrainedTokenizerFast

from unblank.finetuning.labels.classifier_rows import RowEncoder
from unblank.tokenization.framing import Frame, Truncation, framed

__all__ = ["classifier_tokenizer"]

_CUTS: tuple[Truncation, ...] = ("only_first", "only_second")
"""How transformers calls the cutting of each text of a row."""


def classifier_tokenizer(encoder: RowEncoder) -> PreTrainedTokenizerFast:
    """Return the tokenizer that adds to texts what the encoder of a classifier's rows adds.

    Args:
        encoder: of the rows. If they have more than two texts, or trained vectors that are no
            tokens, its tokenizer is returned as it is.
    """
    if len(encoder.task.classifier) > len(_CUTS) or encoder.special.prompt:
        return encoder.tokenizer
    return framed(
        encoder.tokenizer,
        _frame(encoder),
        start=encoder.special.start,
        between=encoder.between,
        end=(encoder.special.eos,),
        max_length=encoder.max_length,
        is_plain=True,
    )


def _frame(encoder: RowEncoder) -> Frame:
    texts = tuple("".join(map(str, template)) for template in encoder.task.classifier)
    if encoder.cut is None:
        return Frame(texts=texts)
    number, end = encoder.cut
    return Frame(texts=texts, truncation=_CUTS[number], side="right" if end == "end" else "left")
