"""Tasks in which the model writes a text to a source: summaries, questions, headlines and more.

Which files, which fields and which scores is data; writing is `unblank.generation.seq2seq`, scoring
is `text_scores`. Works for encoder-decoders and for GLM.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from unblank.data.fields import field_text, field_value, require_text
from unblank.data.records import find_record_files, read_records
from unblank.evaluation.options import WritingOptions
from unblank.evaluation.results import TaskResult, text_row
from unblank.evaluation.session import Session
from unblank.generation.options import GenerationOptions
from unblank.generation.seq2seq import generate_texts
from unblank.metrics.text import TextMetric, score_texts

__all__ = ["WRITING", "WritingTask", "run_writing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingTask:
    """Where the pairs are, and how what is written is judged.

    Attributes:
        files: below the data folder, without the ending.
        source: field of the source; a list of sentences is joined.
        targets: fields of the references, the first that is there; a list is several references.
        more_targets: fields of further references, those that are there.
        metrics: the scores.
    """

    files: str
    source: str
    targets: tuple[str, ...]
    more_targets: tuple[str, ...] = ()
    metrics: tuple[TextMetric, ...] = ("rouge", "bleu")


def _both_ways(name: str, files: str, *pairs: str) -> dict[str, WritingTask]:
    """Return the tasks of translating both ways; `{pair}` in the files stands for a pair."""
    return {
        f"{name}-{source}-{target}": WritingTask(
            files=files.replace("{pair}", pair),
            source=source,
            targets=(target,),
            metrics=("bleu", "chrf"),
        )
        for pair in pairs
        for source, target in (pair.split("-"), reversed(pair.split("-")))
    }


HEADLINE_LANGUAGES = ("eng", "fra", "hau", "ibo", "pcm", "sna", "som", "swa", "xho", "yor")

WRITING: Mapping[str, dict[str, WritingTask]] = {
    "summarization": {
        "scitldr": WritingTask(
            files="seq2seq/scitldr_a/{split}", source="source", targets=("target",)
        ),
        "dialogsum": WritingTask(
            files="seq2seq/dialogsum/{split}",
            source="dialogue",
            targets=("summary", "summary1"),
            more_targets=("summary2", "summary3"),
        ),
        "xsum": WritingTask(
            files="seq2seq/xsum_sample/{split}", source="document", targets=("summary",)
        ),
    },
    "compression": {
        "sentence_compression": WritingTask(
            files="seq2seq/sentence_compression/{split}", source="text", targets=("compressions",)
        ),
    },
    "question-generation": {
        "squad_qg": WritingTask(
            files="seq2seq/squad_qg/{split}",
            source="sentence",
            targets=("question",),
            metrics=("bleu", "rouge"),
        ),
    },
    "headlines": {
        f"masakhanews-{language}": WritingTask(
            files=f"seq2seq/masakhanews/{language}.{{split}}",
            source="text",
            targets=("headline",),
        )
        for language in HEADLINE_LANGUAGES
    },
    "simplification": {
        "asset": WritingTask(
            files="seq2seq/asset/{split}",
            source="original",
            targets=("simplifications",),
            metrics=("bleu", "rouge"),
        ),
        "wikisplit": WritingTask(
            files="seq2seq/wikisplit/{split}",
            source="complex",
            targets=("simple",),
            metrics=("bleu", "rouge"),
        ),
    },
    "data-to-text": {
        "e2e_nlg": WritingTask(
            files="seq2seq/e2e_nlg/{split}",
            source="mr",
            targets=("refs", "ref"),
            metrics=("bleu", "rouge"),
        ),
        "webnlg": WritingTask(
            files="seq2seq/webnlg_en/{split}",
            source="triples",
            targets=("refs",),
            metrics=("bleu", "chrf", "rouge"),
        ),
    },
    "translation": {
        **_both_ways("multi30k", "parallel/multi30k/{split}", "en-de", "en-fr", "en-cs"),
        **_both_ways(
            "flores_v1", "parallel/flores_v1/{pair}.{split}", "ne-en", "si-en", "km-en", "ps-en"
        ),
        **_both_ways(
            "mafand", "parallel/mafand/{pair}.{split}",
            "en-hau", "en-ibo", "en-pcm", "en-tsn", "en-yor", "en-zul", "fr-ewe", "fr-wol",
        ),
    },
}  # fmt: skip
"""Suite -> task -> where and how."""


def run_writing(
    session: Session[WritingOptions], tasks: Mapping[str, WritingTask]
) -> Iterator[TaskResult]:
    """Yield the scores of each task, or of the user's own file.

    Args:
        session: the model and the settings.
        tasks: those of the suite.
    """
    config = session.config
    if config.file:
        task = next(iter(tasks.values()))
        files = [path for entry in config.file for path in find_record_files(entry)]
        yield from _try_penalties(session, "own files", task, files)
        return
    places = {name: task.files for name, task in tasks.items()}
    for name, found in session.files(places):
        yield from _try_penalties(session, name, tasks[name], found)


def _try_penalties(
    session: Session[WritingOptions], name: str, task: WritingTask, files: Sequence[Path]
) -> Iterator[TaskResult]:
    """Yield the scores with each length penalty, and say which is the best of several."""
    penalties = session.config.length_penalty
    if len(penalties) == 1:
        yield _measure(session, name, task, files, penalties[0])
        return
    values = {}
    for penalty in penalties:
        result = _measure(session, f"{name}, penalty {penalty:g}", task, files, penalty)
        values[penalty] = result.scores[0].value
        yield result
    best = max(values, key=values.__getitem__)
    metric = result.scores[0].metric
    session.say(f"{name}: length penalty {best:g} has the best {metric}, {values[best]:.2f}")


def _measure(
    session: Session[WritingOptions],
    name: str,
    task: WritingTask,
    files: Sequence[Path],
    length_penalty: float,
) -> TaskResult:
    started = time.perf_counter()
    config = session.config
    pairs = list(islice(_pairs(session, task, files), config.limit))
    session.say(f"{name}: {len(pairs)} sources")
    answers = generate_texts(
        session.model,
        session.tokenizer,
        [source for source, _ in pairs],
        _options(session, length_penalty),
        batch_size=config.batch_size,
        show_progress=True,
    )
    found = score_texts(
        [answer.text for answer in answers],
        [references for _, references in pairs],
        task.metrics,
        with_margin=True,
    )
    for metric, reason in found.missing.items():
        session.say(f"{name}: no {metric}: {reason}")
    seconds = time.perf_counter() - started
    num_cut = sum(answer.is_source_cut for answer in answers)
    scores = [
        text_row(name, metric, score, len(pairs), seconds, cut_sources=num_cut)
        for metric, score in found.scores.items()
    ]
    predictions = [
        {
            "task": name,
            "source": source,
            "prediction": answer.text,
            "references": references,
            "finished": answer.finished,
        }
        for (source, references), answer in zip(pairs, answers, strict=True)
    ]
    return TaskResult(scores, predictions)


def _pairs(
    session: Session[WritingOptions], task: WritingTask, files: Sequence[Path]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each source with its references."""
    config = session.config
    source = config.source_field or task.source
    targets = (config.target_field,) if config.target_field else task.targets
    more_targets = () if config.target_field else task.more_targets
    for path in files:
        for place, record in read_records(path):
            text = field_text(place, record, source)
            require_text(text, f"{place}: the source ({source!r})")
            first = next((name for name in targets if name in record), targets[0])
            references = []
            for target in (first, *(name for name in more_targets if name in record)):
                value = field_value(place, record, target)
                found = value if isinstance(value, list) else [value]
                require_text(" ".join(found), f"{place}: the target ({target!r})")
                references += [reference.strip() for reference in found]
            yield text.strip(), references


def _options(session: Session[WritingOptions], length_penalty: float) -> GenerationOptions:
    config = session.config
    return GenerationOptions(
        num_beams=config.num_beams,
        no_repeat_ngram=config.no_repeat_ngram,
        length_penalty=length_penalty if config.num_beams > 1 else 1.0,
        max_tokens=config.max_tokens,
        source_tag=config.source_tag,
        target_tag=config.target_tag,
        blank=config.blank,
        too_long="cut",
    )
