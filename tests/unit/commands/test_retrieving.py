"""An index from the command line, and what `fill` and `score` make of its passages."""

import json
from shutil import copytree

import pytest

from unblank import api
from unblank.answering import indexing
from unblank.commands import fill, fill_printing, index, score
from unblank.generation.passages import behind_passage
from unblank.retrieval.index import PassageIndex

TEXT = "the cat sat on [MASK]"
LINES = ["the old cat sat on a mat.", "a dog ran far.", "the cat saw the house.", "cat " * 90]


@pytest.fixture(autouse=True)
def no_loading(monkeypatch, tiny):
    for module in (api, fill_printing):
        monkeypatch.setattr(module, "load", lambda folder, **_: tiny)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def index_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieving")
    (folder / "texts.txt").write_text("\n".join(LINES), encoding="utf-8")
    words = [f"{folder}/texts.txt", "--output", f"{folder}/index", "--text-unit", "line"]
    index.run(index.parse(words))
    return folder / "index"


@pytest.fixture
def expected(tiny, index_folder):
    """The passages that the model has positions for; the long one is best."""
    found = PassageIndex(index_folder).search(TEXT, 3)
    assert len(found) == 3
    return [one for one in found if len(one.text) < 100]


def test_an_index_is_not_replaced_unless_asked_for(index_folder, tmp_path, capsys):
    words = [str(index_folder.parent / "texts.txt"), "--output", str(index_folder)]
    with pytest.raises(FileExistsError, match="--overwrite"):
        index.run(index.parse(words))
    with pytest.raises(FileExistsError, match=f"{tmp_path} .*not an index"):
        index.run(index.parse([*words[:2], str(tmp_path), "--overwrite"]))
    before = len(PassageIndex(index_folder))
    index.run(index.parse([*words, "--overwrite", "--text-unit", "line"]))
    assert len(PassageIndex(index_folder)) == before == 4
    assert "documents" in capsys.readouterr().out


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_index_goes_on_after_a_kill(index_folder, tmp_path, monkeypatch, capsys, overwrite):
    """What was cut before is not cut again; other texts or lengths do not go on with it."""
    monkeypatch.setattr(indexing, "_CHARACTERS", 1)
    usual, cut = indexing.cut_document, []

    def cut_or_fail(text, passage_words):
        if len(cut) == 2:
            raise KeyboardInterrupt
        cut.append(text)
        return usual(text, passage_words)

    monkeypatch.setattr(indexing, "cut_document", cut_or_fail)
    words = [str(index_folder.parent / "texts.txt"), "--output", str(tmp_path / "index")]
    words += ["--text-unit", "line"]
    if overwrite:
        copytree(index_folder, tmp_path / "index")
        words.append("--overwrite")
    with pytest.raises(KeyboardInterrupt):
        index.run(index.parse(words))
    assert "has 2 groups of documents;" in capsys.readouterr().err
    if not overwrite:
        with pytest.raises(ValueError, match="passage_words"):
            index.run(index.parse([*words, "--passage-words", "7"]))
    monkeypatch.setattr(indexing, "cut_document", usual)
    again = []

    def cut_the_rest(text, passage_words):
        again.append(text)
        return usual(text, passage_words)

    monkeypatch.setattr(indexing, "cut_document", cut_the_rest)
    index.run(index.parse(words))
    assert sorted(cut + again) == sorted(LINES)
    assert list(tmp_path.iterdir()) == [tmp_path / "index"]
    for path in index_folder.iterdir():
        assert (tmp_path / "index" / path.name).read_bytes() == path.read_bytes()


def test_texts_without_a_word_leave_nothing_behind(tmp_path):
    (tmp_path / "texts.txt").write_text("!?", encoding="utf-8")
    with pytest.raises(ValueError, match="no passage"):
        index.run(index.parse([str(tmp_path / "texts.txt"), "--output", str(tmp_path / "a" / "b")]))
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


def test_fill_uses_the_passages_that_fit(capsys, tiny, index_folder, expected):
    words = ["x", TEXT, "--retrieve", str(index_folder), "--top", "3", "--json"]
    fill.run(fill.parse([*words, "--max-tokens", "3"]))
    out, err = capsys.readouterr()
    (line,) = map(json.loads, out.splitlines())
    result = tiny.fill(TEXT, passages=expected, max_tokens=3)
    assert line["text"] == result.text
    assert [one["text"] for one in line["passages"]] == [one.text for one in expected]
    assert sum(one["share"] for one in line["passages"]) == pytest.approx(1.0)
    assert "2 passages for 1 text, none for 0; 1 left out: too long" in err
    assert "passage_words 100" in err


def test_score_prints_the_passages(capsys, tiny, index_folder, expected):
    words = ["x", TEXT, "xylophone [MASK]", "--retrieve", str(index_folder), "--top", "3"]
    score.run(score.parse([*words, "--candidates", "a mat", "house", "--json"]))
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    best = tiny.score(TEXT, ["a mat", "house"], passages=expected).best
    assert first["candidates"][0]["score"] == pytest.approx(best.score)
    plain = tiny.score("xylophone [MASK]", ["a mat", "house"]).best
    assert second["candidates"][0]["score"] == pytest.approx(plain.score)
    assert second["passages"] == []
    assert "none for 1" in err


def test_files_are_answered_with_the_same_passages(tiny, index_folder, expected, tmp_path, capsys):
    (tmp_path / "in.txt").write_text(f"{TEXT}\n[MASK] and [MASK]\n", encoding="utf-8")
    common = ["x", "--input", f"{tmp_path}/in.txt", "--retrieve", str(index_folder), "--top", "3"]
    with pytest.raises(ValueError, match="1 of 2 records"):
        fill.run(fill.parse([*common, "--output", str(tmp_path / "filled.jsonl")]))
    lines = (tmp_path / "filled.jsonl").read_text(encoding="utf-8").splitlines()
    filled, refused = map(json.loads, lines)
    assert filled["filled"] == tiny.fill(TEXT, passages=expected).text
    assert [one["text"] for one in filled["passages"]] == [one.text for one in expected]
    assert "2 blanks" in refused["error"]
    more = ["--candidates", "a mat", "house", "--output", str(tmp_path / "scored.jsonl")]
    score.run(score.parse([*common, *more]))
    scored, _ = map(json.loads, (tmp_path / "scored.jsonl").read_text().splitlines())
    assert scored["best"] == tiny.score(TEXT, ["a mat", "house"], passages=expected).best.text
    assert "2 texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--top", "3"], "--top.*--retrieve"),
        (["--retrieve", "INDEX", "--do-sample"], r"do_sample\b.*passages"),
        (["--retrieve", "INDEX", "--rules", "words=1"], r"rules\b.*passages"),
        (["--retrieve", "INDEX", "--stream"], "exclude each other"),
        (["--retrieve", "INDEX", "--top", "0"], "top"),
    ],
)
def test_what_does_not_go_with_passages_is_refused(index_folder, words, named):
    words = [str(index_folder) if word == "INDEX" else word for word in words]
    with pytest.raises(ValueError, match=named):
        fill.run(fill.parse(["x", TEXT, *words]))


def test_the_passage_stands_before_the_text():
    assert behind_passage(" a cat. ", " [MASK] b") == "a cat. [MASK] b"
