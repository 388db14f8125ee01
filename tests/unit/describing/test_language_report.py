"""The report on a tokenizer by language, against counts made by hand."""

import json

import pytest

from unblank.commands import tokenize
from unblank.commands.tokenize_report import rows_table
from unblank.describing.languages import describe_languages, group_means, length_counts
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

ENGLISH = ["the cat sat", "the dog ran off"]
THAI = ["\u0e41\u0e21\u0e27", ""]


@pytest.fixture(scope="module")
def letters():
    """A byte-level BPE that knows bytes and "the", a space included or not."""
    return train_tokenizer(["the the the the"], kind="bpe", vocab_size=270, show_progress=False)


def test_the_counts_are_those_made_by_hand(letters):
    counts = length_counts(letters, ["the h\u00e9 \ufb01"])
    assert (counts.words, counts.characters, counts.num_bytes) == (3, 8, 11)
    pieces = letters.tokenize("the h\u00e9 \ufb01")
    assert counts.tokens == len(pieces)
    # e acute is two bytes and the ligature three, none of them a token together
    assert counts.fallback == 5
    assert counts.changed == 0, "NFC keeps the ligature"
    folding = train_tokenizer(
        ["the"], kind="bpe", vocab_size=270, normalization="nfkc", show_progress=False
    )
    assert length_counts(folding, ["the h\u00e9 \ufb01"]).changed == 1


def test_the_tax_is_over_sentences_that_both_have(letters):
    rows = describe_languages(letters, {}, {"en": ENGLISH, "th": THAI})
    english, thai = rows
    assert english.tax == 1.0
    assert thai.num_parallel == 1
    assert thai.tax == pytest.approx(
        len(letters.tokenize(THAI[0])) / len(letters.tokenize(ENGLISH[0]))
    )
    assert (thai.name, thai.script) == ("Thai", "Thai")
    assert group_means(rows)["Thai"]["tax"] == thai.tax


def test_what_cannot_be_compared_is_refused(letters):
    with pytest.raises(ValueError, match="English"):
        describe_languages(letters, {}, {"th": THAI})


def test_many_languages_share_rows_unless_all_are_wanted(letters):
    latin = ["de fr es it pt nl sv da nb fi et lv lt pl cs sk sl hr ro hu tr az vi id sw"]
    codes = [code for text in (*latin, "ru th") for code in text.split()]
    rows = describe_languages(letters, {code: ["the text"] for code in codes})
    assert rows_table(rows, is_verbose=False).row_count == 3  # Latin, Cyrillic, Thai
    assert rows_table(rows, is_verbose=True).row_count == len(codes)


def test_the_command_writes_table_json_and_picture(tmp_path, capsys):
    with (tmp_path / "both.jsonl").open("w") as file:
        for number in range(8):
            line = {
                "id": number,
                "eng": f"the cat sat {number}",
                "deu": f"die Katze sa\u00df {number}",
            }
            file.write(json.dumps(line) + "\n")
    entry = f"{tmp_path}/both.jsonl:{{lang}}"
    output = tmp_path / "tokenizer"
    options = ["--train", entry, "--alpha", "0.3", "--kind", "bpe", "--vocab-size", "300"]
    words = [*options, "--report", "--parallel", entry, "--output", str(output)]
    tokenize.run(tokenize.parse(words))
    found = json.loads((output / "languages.json").read_text())["languages"]
    assert {row["language"]: row["num_parallel"] for row in found} == {"en": 8, "de": 8}
    assert found[0]["tokens a byte"] == pytest.approx(
        found[0]["counts"]["tokens"] / found[0]["counts"]["num_bytes"]
    )
    assert (output / "languages.png").stat().st_size > 1000
    assert "German" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--report"):
        tokenize.parse([*options, "--parallel", entry, "--output", str(output)])
