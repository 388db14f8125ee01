"""Terms of a glossary in sources of any script."""

import pytest

from unblank.rules.glossary import Glossary, is_met


@pytest.mark.parametrize(
    ("term", "source", "is_there"),
    [
        ("dog", "a Dog.", True),
        ("dog", "dogs", False),
        ("power plant", "Power\n plant", True),
        ("c++", "in C++.", True),
        ("\u732b", "\u6211\u7684\u732b\u662f", True),
        ("\u0e41\u0e21\u0e27", "\u0e41\u0e21\u0e27\u0e14\u0e33", True),
        ("Python", "\u7528Python\u5199", True),
        ("\u0915\u0940", "\u0915\u0940\u092e\u0924", False),
        ("\u0915", "\u0915\u093f\u0924\u093e\u092c", False),
        ("\u0915\u0940", "\u0915\u0940 \u0924", True),
    ],
)
def test_a_term_stands_apart_where_words_do(term, source, is_there):
    assert Glossary({term: "x"}).translations(source) == ["x"] * is_there


@pytest.mark.parametrize(
    ("forms", "answer", "holds"),
    [
        ("war|wars", "Wars.", True),
        ("war", "toward the end", False),
        ("well-known", "a well - known man", True),
        ("far dog", "a far dog", True),
        ("\u732b", "\u6211\u7684\u732b\u662f", True),
        ("\u6218\u4e89", "\u6218 \u4e89 \u4e2d", True),
        ("\u30b5\u30fc\u30d0\u30fc", "\u30b5\u30fc\u30d0\u30fc\u3092", True),
        ("war|", "toward", False),
    ],
)
def test_a_term_is_met_by_whole_words(forms, answer, holds):
    assert is_met(forms, answer) == holds
