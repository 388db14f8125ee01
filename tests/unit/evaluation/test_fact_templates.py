"""Sentences with marks: the slots stay, articles go, of several forms the first is taken."""

import pytest

from unblank.evaluation.fact_templates import plain_template


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("[X] was born in [Y] .", "[X] was born in [Y]."),
        ("[X.Nom] [родился;X-Gender=MASC|родилась;X-Gender=FEM] в [Y.Ess] .", "[X] родился в [Y]."),
        ("[DEF;X] [X.Nom] γεννήθηκε [PREPDEF;Y] [Y.Acc] .", "[X] γεννήθηκε [Y]."),
        ("[DEF.Gen;X] [X.Gen] [DEF;Y.Fem] [Y]", "[X] [Y]"),
        ("[X] appartient [PREPDEF-à;Y] [Y]", "[X] appartient [Y]"),
        ("[X] es [ART;Y-Gender] [Y] .", "[X] es [Y]."),
        ("[X] bir [Y;be] .", "[X] bir [Y]."),
        ("[X] [Y.IN+ESS] született .", "[X] [Y] született."),
        ("[X] [est;X-Number=SG|sont;X-Number=PL] [ARTIND;Y] [Y] .", "[X] est [Y]."),
        ("[X] [human: একজন; non-human: একটি] [Y] ।", "[X] একজন [Y] ।"),
        (" [X]的出生地是[Y]。", "[X]的出生地是[Y]。"),
    ],
)
def test_marks_become_plain_text(marked, plain):
    assert plain_template(marked) == plain


@pytest.mark.parametrize("marked", ["[Y] dia [Y] .", "[\u0425] [Y]", "[X bad] [Y]", "[X] [X] [Y]"])
def test_a_slot_that_is_not_there_once_is_refused(marked):
    with pytest.raises(ValueError, match=r"needs \[X\] once"):
        plain_template(marked)
