"""What the playground shows of a text equals what filling gives to the model."""

import pytest
from served_toys import toy_glm, toy_translator

from unblank.serving.view import view_fills, view_source


def test_part_a_is_the_text_and_part_b_has_the_positions_of_its_blanks():
    toy = toy_glm()
    text = "the cat [MASK] on a mat, so the [MASK] ran."
    filled = toy.fill(text, max_tokens=4)
    rows = view_fills(toy, text, [blank.token_ids for blank in filled.blanks])
    part_a = [row for row in rows if row.part == "A"]
    assert [row.position for row in part_a] == list(range(len(part_a)))
    assert {row.block_position for row in part_a} == {0}
    masks = [row.position for row in part_a if row.token == "[MASK]"]
    expected = [
        (place, inside)
        for place, blank in zip(masks, filled.blanks, strict=True)
        for inside in range(1, len(blank.token_ids) + 2)
    ]
    assert [(row.position, row.block_position) for row in rows if row.part == "B"] == expected


def test_fills_stand_in_the_order_of_filling():
    toy = toy_glm()
    rows = view_fills(toy, "a [MASK] b [MASK]", [[20], [21]], order=[1, 0])
    places = [row.position for row in rows if row.part == "B"]
    assert places[0] == places[1] > places[2] == places[3]


@pytest.mark.parametrize("fills", [[[1], [2], [3]], [[10**6]]])
def test_fills_that_do_not_belong_to_the_text_are_refused(fills):
    with pytest.raises(ValueError, match=r"blanks of the text|not in the vocabulary"):
        view_fills(toy_glm(), "a [MASK] b [MASK]", fills)


def test_an_encoder_decoder_has_a_source_and_an_answer():
    rows = view_source(toy_translator(), "one two", "three")
    assert {row.part for row in rows} == {"A", "B"}
    assert {row.block_position for row in rows} == {None}
