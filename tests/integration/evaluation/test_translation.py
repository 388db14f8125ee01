"""Translation: directions, layouts of parallel text, answers in a wrong language, a picture."""

import gzip
import json

import pytest
from evaluation_toys import write

from unblank.data.language_files import LanguageFile
from unblank.evaluation.heat_maps import direction_maps
from unblank.evaluation.parallel_sentences import directions_of, read_parallel_sentences
from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options
from unblank.evaluation.writing_options import TranslationOptions
from unblank.metrics.language_identity import LanguageIdentifier, identifier_accuracy
from unblank.metrics.text import score_texts

ENGLISH = ["the cat sat on a mat", "one small dog saw the house", "a cat run to some house"]
GERMAN = ["die Katze sitzt auf der Matte", "der kleine Hund sieht das Haus", "eine Katze rennt"]
FRENCH = ["le chat est assis ici", "le petit chien voit la maison", "un chat court vite"]
RECORDS = [
    {"id": str(number), "eng": english, "de": german, "fra": french}
    for number, (english, german, french) in enumerate(zip(ENGLISH, GERMAN, FRENCH, strict=True))
]


def run(model_folder, tmp_path, **options):
    path = tmp_path / "out.json"
    path.unlink(missing_ok=True)
    options = {"num_beams": 1, "max_tokens": 4, **options}
    scores, _ = evaluate(TranslationOptions(model=str(model_folder), output=path, **options))
    return scores, json.loads(path.read_text(encoding="utf-8"))


def test_every_direction_is_scored_alone_and_all_count_alike(model_folder, tmp_path):
    write(tmp_path / "parallel/multi30k/val.jsonl", RECORDS)
    scores, content = run(
        model_folder, tmp_path, data=tmp_path, tasks=("multi30k",), directions=("en-*", "de-fr")
    )
    bleu = {one.language: one.value for one in scores if one.metric == "chrf++"}
    assert list(bleu) == ["en-de", "en-fr", "de-fr", "mean", "out of en", "without en"]
    assert bleu["mean"] == pytest.approx((bleu["en-de"] + bleu["en-fr"] + bleu["de-fr"]) / 3)
    assert bleu["out of en"] == pytest.approx((bleu["en-de"] + bleu["en-fr"]) / 2)
    lines = [line for line in content["predictions"] if line["lang"] == "de-fr"]
    assert [line["source"] for line in lines] == GERMAN
    expected = score_texts([line["prediction"] for line in lines], [[one] for one in FRENCH])
    values = {one.metric: one.value for one in scores if one.language == "de-fr"}
    assert values["bleu"] == pytest.approx(expected.values["bleu"])
    wrong = [line["prediction_language"] != "fr" for line in lines]
    assert values["off target"] == pytest.approx(100 * sum(wrong) / 3)
    (one,) = [one for one in direction_maps(scores) if one.title == "multi30k, chrf++"]
    assert one.values["de", "fr"] == bleu["de-fr"]
    assert set(one.values) == {("en", "de"), ("en", "fr"), ("de", "fr")}
    assert (one.rows, one.columns) == (["en", "de"], ["de", "fr"])


def test_the_direction_heat_map_is_a_picture(model_folder, tmp_path, pictures):
    write(tmp_path / "parallel/multi30k/val.jsonl", RECORDS)
    run(model_folder, tmp_path, data=tmp_path, tasks=("multi30k",), limit=2)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    head = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert head.startswith("task,metric,en-de,en-fr,de-en,fr-en,mean,out of en,into en")


def test_tags_and_hints_follow_the_direction(model_folder, tmp_path):
    write(tmp_path / "parallel/multi30k/val.jsonl", RECORDS)
    options = {"data": tmp_path, "tasks": ("multi30k",), "directions": ("en-de",)}
    template = "{text} {hint:translation}: [sMASK]"
    _, asked = run(model_folder, tmp_path, source_template=template, **options)
    own = [{"text": f"{text} Deutsch: [sMASK]", "target": "x"} for text in ENGLISH]
    file = (str(write(tmp_path / "own.jsonl", own)),)
    _, by_hand = run(model_folder, tmp_path, file=file, source_field="text", target_field="target")
    written = [line["prediction"] for line in by_hand["predictions"]]
    assert [line["prediction"] for line in asked["predictions"]] == written
    with pytest.raises(ValueError, match="__de__"):
        run(model_folder, tmp_path, source_tag="__{target}__", **options)


def test_layouts_give_the_same_sentences(tmp_path):
    fields = write(tmp_path / "fields.jsonl", RECORDS)
    pairs = write(
        tmp_path / "pairs.jsonl",
        [{"lang": "deu", "text": one["de"], "eng": one["eng"]} for one in RECORDS],
    )
    verses = []
    for code, texts in (("eng", ENGLISH), ("deu", GERMAN[::-1])):
        path = tmp_path / f"{code}.tsv.gz"
        keys = range(3) if code == "eng" else (2, 1, 0)
        lines = "".join(f"GEN 1:{key}\t{text}\n" for key, text in zip(keys, texts, strict=True))
        path.write_bytes(gzip.compress(lines.encode()))
        verses.append(LanguageFile(path, code[:2]))
    found = [
        read_parallel_sentences(files, layout)
        for files, layout in (
            ([LanguageFile(fields)], "fields"), ([LanguageFile(pairs)], "pairs"), (verses, "verses")
        )
    ]  # fmt: skip
    for sentences in found:
        assert [(one.texts["en"], one.texts["de"]) for one in sentences] == list(
            zip(ENGLISH, GERMAN, strict=True)
        )
    assert found[0][0].texts["fr"] == FRENCH[0]


@pytest.mark.parametrize(
    ("layout", "records", "named"),
    [
        ("fields", [RECORDS[0], {"source": "a", "target": "b"}], "line 2: .*source, target"),
        ("pairs", [{"text": "a", "eng": "b"}], "line 1: .*'lang'"),
        ("pairs", [{"lang": "xq", "text": "a", "eng": "b"}], "line 1: .*'xq'"),
        ("pairs", [{"lang": "de", "text": "a", "eng": " "}], "line 1: .*en"),
        ("pairs", [{"lang": "deu", "text": "\u200b", "eng": "a cat"}], "line 1: .*de"),
    ],
)
def test_records_of_another_layout_are_named(layout, records, named, tmp_path):
    file = LanguageFile(write(tmp_path / "some.jsonl", records))
    with pytest.raises(ValueError, match=f"some.jsonl, {named}"):
        read_parallel_sentences([file], layout)


def test_a_verse_that_occurs_twice_is_named(tmp_path):
    path = tmp_path / "eng.tsv"
    path.write_text("GEN 1:1\ta\nGEN 1:1\tb\n")
    with pytest.raises(ValueError, match=r"eng.tsv, line 2.*'GEN 1:1'"):
        read_parallel_sentences([LanguageFile(path, "en")], "verses")


def test_what_is_no_direction_and_what_a_set_lacks_is_named(tmp_path):
    sentences = read_parallel_sentences(
        [LanguageFile(write(tmp_path / "some.jsonl", RECORDS))], "fields"
    )
    assert [str(one) for one in directions_of(sentences, ["deu-*", "de-en"], "x")] == [
        "de-en", "de-fr",
    ]  # fmt: skip
    for asked in ("en", "english-german", "xq-en"):
        with pytest.raises(ValueError, match=repr(asked)):
            directions_of(sentences, [asked], "x")
    with pytest.raises(ValueError, match=r"en-zh-Hant.*de, en, fr"):
        directions_of(sentences, ["en-zh-Hant"], "x")


def test_languages_are_told_apart_and_how_well_is_counted():
    known = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}
    identifier = LanguageIdentifier(known)
    for code, texts in known.items():
        assert identifier.identify(texts) == [code] * 3
    assert identifier.identify(["der Hund und die Matte", "le chien", "...", ""]) == [
        "de", "fr", "", "",
    ]  # fmt: skip
    # Languages of which no text tells anything are told apart as often as by chance.
    same = {code: ["abc"] * 10 for code in ("en", "de")}
    assert identifier_accuracy(same) == 50.0
    assert identifier_accuracy({"en": ["a"], "de": ["b"]}) is None


@pytest.mark.parametrize(
    ("suite", "options"),
    [
        ("translation", {"source_template": "{text} {hint:nothing}"}),
        ("summarization", {"source_template": "{text} {hint:Summary}:"}),
        (
            "translation",
            {"source_template": "{text} {hint:translation}", "directions": ("*-en", "en-eo")},
        ),
        ("translation", {"directions": ("en",)}),
        ("summarization", {"source_template": "{text} {hint:summary}:", "file": ("a.jsonl",)}),
        (
            "translation",
            {
                "source_template": "{text} {hint:translation}",
                "file": ("a.jsonl",),
                "source_field": "s",
                "target_field": "t",
            },
        ),
    ],
)
def test_a_hint_without_a_word_is_named_before_a_model_is_opened(suite, options):
    with pytest.raises(ValueError, match=r"hint|direction"):
        suite_options(suite)(model="nowhere", suite=suite, **options)


def test_a_language_of_the_data_without_a_word_is_named_before_anything_is_written(
    model_folder, tmp_path, monkeypatch
):
    write(tmp_path / "parallel/multi30k/val.jsonl", [{**one, "eo": "la kato"} for one in RECORDS])
    monkeypatch.setattr("unblank.evaluation.translation.write_and_score", pytest.fail)
    with pytest.raises(ValueError, match=r"'translation'.* eo"):
        run(
            model_folder,
            tmp_path,
            data=tmp_path,
            tasks=("multi30k",),
            directions=("en-*",),
            source_template="{text} {hint:translation}",
        )


@pytest.mark.parametrize(
    ("layout", "name"), [("fields", "a.jsonl"), ("pairs", "a.jsonl"), ("verses", "eng.tsv")]
)
def test_a_file_without_a_sentence_is_named(tmp_path, layout, name):
    path = tmp_path / name
    path.write_text("")
    with pytest.raises(ValueError, match=name):
        read_parallel_sentences([LanguageFile(path, "en")], layout)
