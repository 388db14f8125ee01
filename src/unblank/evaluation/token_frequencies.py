"""The unigram baseline: how likely a text is by the frequencies of its tokens alone.

Frequencies come from the text that a model was pretrained on, or from texts that the user names,
never from what is measured. Add-one smoothing: a token that is not in the text counts as one.

Shapes: `V` tokens of the vocabulary.
"""

from math import fsum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unblank.data.bulk_encoding import encode_documents
from unblank.data.files import find_files
from unblank.data.prepared import PreparedCorpus
from unblank.data.sources import TextFiles
from unblank.evaluation.options import PairsOptions
from unblank.evaluation.origin import training_corpora
from unblank.evaluation.sentence_layouts import Sentence
from unblank.evaluation.session import Session
from unblank.examples import IntArray
from unblank.tokenization.encoding import text_encoder

__all__ = ["TokenFrequencies", "find_frequencies"]


class TokenFrequencies:
    """How frequent each token is.

    Args:
        counts: int64[V], how often each token occurs in some text.
    """

    def __init__(self, counts: IntArray) -> None:
        self._log_shares: NDArray[np.float64] = np.log((counts + 1) / (counts.sum() + len(counts)))

    def score(self, sentence: Sentence) -> float:
        """Return the log-probability of a sentence whose tokens are drawn one by one.

        The same tokens in any order have the very same score.
        """
        return fsum(self._log_shares[sentence.token_ids])


def find_frequencies(session: Session[PairsOptions]) -> TokenFrequencies | None:
    """Return the frequencies in the named texts, or in those of pretraining; None without these.

    Raises:
        FileNotFoundError: a named file is not there.
        ValueError: a named text or a tokenized corpus is damaged, or there is no text.
    """
    num_tokens = len(session.tokenizer)
    counts = np.zeros(num_tokens, np.int64)
    if named := session.options.frequencies:
        texts = TextFiles(paths=find_files(named))
        core = text_encoder(session.tokenizer)
        for ids in encode_documents(texts, core, np.dtype(np.int64), num_threads=1):
            np.add.at(counts, ids, 1)  # no pass over the vocabulary for each document
        if not counts.any():
            raise ValueError(f"there is no text in {texts.shown_paths}")
        session.say(f"token frequencies: {counts.sum():,} tokens of {texts.shown_paths}")
        return TokenFrequencies(counts)
    corpora = training_corpora(Path(session.options.model))
    if not corpora:
        session.say(
            "no baseline of token frequencies, as the text that the model was pretrained on is not "
            "known: name some text with --frequencies"
        )
        return None
    for folder in corpora:
        counts += PreparedCorpus(folder, num_ids=num_tokens).count_tokens(num_tokens)
    session.say(f"token frequencies: {counts.sum():,} tokens of the model's own pretraining")
    return TokenFrequencies(counts)
