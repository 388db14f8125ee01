"""The attention mask of one example as a picture: who sees whom, and every token's two positions.

Needs matplotlib (the extra `plot`). What is visible is computed by `packing.visible_keys`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unblank.data.packing import visible_keys
from unblank.examples import Example, IntArray
from unblank.extras import optional_package
from unblank.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["blank_pieces", "draw_mask", "piece_numbers"]

_LABELLED = 48
"""Length of the longest example whose tokens are written along the axes."""

_HIDDEN, _INK, _LINE = "#f4f4f1", "#2b2b33", "#ffffff"
_PART_A, _A_FROM_B = "#5b8cc9", "#bfd4ee"
_PIECES = ("#e07b39", "#3f9c79", "#b5589b", "#c9a227", "#7a68ba")
_EARLIER = 0.45
"""Opacity of what Part B sees of earlier pieces."""


def piece_numbers(example: Example) -> IntArray:
    """Return int64[T], which piece of Part B a token belongs to: 1, 2, ..., and 0 in Part A.

    A piece begins where the first position jumps or the second one falls back; so a text read from
    left to right is a single piece.
    """
    steps, inner_steps = np.diff(example.position_ids, prepend=0)
    place = np.arange(len(example))
    begins = (steps < 0) | (steps > 1) | (inner_steps < 0) | (place == example.prefix_length)
    in_part_b = place >= example.prefix_length
    return np.where(in_part_b, np.cumsum(begins & in_part_b), 0)


def blank_pieces(example: Example) -> dict[int, int]:
    """Return place in Part A -> piece of Part B that fills it, found by the first position."""
    pieces = piece_numbers(example)
    first = example.position_ids[0]
    places = {int(position): place for place, position in enumerate(first[: example.prefix_length])}
    starts = np.flatnonzero(np.diff(pieces) > 0) + 1
    return {
        places[int(first[start])]: int(pieces[start])
        for start in starts
        if int(first[start]) in places
    }


def draw_mask(example: Example, tokens: Sequence[str], path: Path) -> None:
    """Draw which positions of the example see which, and save the picture.

    Args:
        example: one example.
        tokens: the string of each of its T input tokens, shown if T <= 48.
        path: the picture; its suffix is the format (.png, .svg, .pdf).

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the suffix is not a format that matplotlib writes.
    """
    figure = mask_figure(example, tokens)
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix.lstrip(".") not in formats:
        raise ValueError(
            f"cannot draw to {path}: its name must end in one of .{', .'.join(sorted(formats))}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path, dpi=160)


def mask_figure(example: Example, tokens: Sequence[str]) -> "Figure":
    """Return the picture of the mask; arguments and errors as in `draw_mask`."""
    matplotlib_figure = optional_package("matplotlib.figure", "drawing the mask")
    size = len(example)
    labelled = size <= _LABELLED
    side = max(5.0, 0.27 * size) if labelled else 8.0
    figure: Figure = matplotlib_figure.Figure(
        figsize=(side + 2.4, side + 2.6), layout="constrained", facecolor="white"
    )
    pieces = piece_numbers(example)
    axes = figure.add_subplot(aspect="equal")
    _draw_cells(axes, example, pieces)
    _draw_bands(axes, pieces)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.xaxis.set_label_position("top")
    if labelled:
        _label_tokens(axes, example, pieces, tokens)
    label_gap = 8 if labelled else 26
    axes.set_xlabel("sees this token", color=_INK, labelpad=label_gap)
    axes.set_ylabel("this token", color=_INK, labelpad=label_gap)
    _add_legend(figure, pieces, has_prefix=example.prefix_length > 0)
    return figure


def _piece_colour(piece: int) -> str:
    return _PIECES[(piece - 1) % len(_PIECES)] if piece else _PART_A


def _draw_cells(axes: "Axes", example: Example, pieces: IntArray) -> None:
    from matplotlib.colors import to_rgb

    size = len(example)
    is_prefix = np.arange(size) < example.prefix_length
    visible = visible_keys(np.ones(size, dtype=np.int64), is_prefix)
    paper = np.array(to_rgb("white"))
    image = np.empty((size, size, 3))
    image[:] = to_rgb(_HIDDEN)
    for query in range(size):
        for key in np.flatnonzero(visible[query]):
            colour = np.array(to_rgb(_piece_colour(int(pieces[key]))))
            if is_prefix[key] and not is_prefix[query]:
                colour = np.array(to_rgb(_A_FROM_B))
            elif pieces[key] != pieces[query]:
                colour = _EARLIER * colour + (1 - _EARLIER) * paper
            image[query, key] = colour
    axes.imshow(image, interpolation="nearest", aspect="equal")
    grid = np.arange(size + 1) - 0.5
    width = 1.0 if size <= _LABELLED else 0.0
    axes.hlines(grid, -0.5, size - 0.5, color=_LINE, linewidth=width)
    axes.vlines(grid, -0.5, size - 0.5, color=_LINE, linewidth=width)
    border = example.prefix_length - 0.5
    if 0 < example.prefix_length < size:
        axes.axhline(border, color=_INK, linewidth=1.2)
        axes.axvline(border, color=_INK, linewidth=1.2)


def _draw_bands(axes: "Axes", pieces: IntArray) -> None:
    """Colour a strip above and left of the matrix by part and piece."""
    from matplotlib.patches import Rectangle

    size = len(pieces)
    thick = 0.26 if size <= _LABELLED else size / 60
    gap = thick / 2
    starts = np.flatnonzero(np.diff(pieces, prepend=-1) != 0)
    for start, stop in zip(starts, [*starts[1:], size], strict=True):
        colour = _piece_colour(int(pieces[start]))
        along, across = (start - 0.5 + 0.04, -0.5 - gap - thick), stop - start - 0.08
        options: dict[str, Any] = {"color": colour, "clip_on": False, "linewidth": 0}
        axes.add_patch(Rectangle(along, across, thick, **options))
        axes.add_patch(Rectangle(along[::-1], thick, across, **options))
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.spines[:].set_visible(False)
    is_prefix = pieces == 0
    for name, part in (("Part A", is_prefix), ("Part B", ~is_prefix)):
        if part.any():
            middle = float(np.flatnonzero(part).mean())
            style: dict[str, Any] = {"rotation": 270, "ha": "left", "va": "center"}
            axes.text(size - 0.5 + gap, middle, name, color=_INK, fontsize=10, **style)


def _label_tokens(axes: "Axes", example: Example, pieces: IntArray, tokens: Sequence[str]) -> None:
    """Write the tokens left and on top, and both positions below, in the colours of the pieces."""
    places = np.arange(len(example))
    axes.tick_params(length=0, pad=11)
    axes.set_yticks(places, tokens, fontsize=9, family="monospace")
    axes.xaxis.set_ticks_position("top")
    axes.set_xticks(
        places,
        tokens,
        fontsize=9,
        family="monospace",
        rotation=60,
        ha="left",
        rotation_mode="anchor",
    )
    colours = [_INK if piece == 0 else _piece_colour(int(piece)) for piece in pieces]
    for blank, piece in blank_pieces(example).items():
        colours[blank] = _piece_colour(piece)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for label, colour in zip(labels, colours, strict=True):
            label.set_color(colour)
            label.set_parse_math(False)  # two dollar signs in a token are not a formula
    for row, name in enumerate(("position 1", "position 2")):
        height = len(example) + 0.35 + row
        style: dict[str, Any] = {"va": "center", "fontsize": 8, "family": "monospace"}
        axes.text(-1.1, height, name, ha="right", color=_INK, **style)
        for place in places:
            text = str(example.position_ids[row, place])
            axes.text(float(place), height, text, ha="center", color=colours[place], **style)


def _add_legend(figure: "Figure", pieces: IntArray, has_prefix: bool) -> None:
    from matplotlib.patches import Patch

    entries = []
    if has_prefix:
        entries.append(Patch(color=_PART_A, label="Part A sees all of Part A"))
    if pieces.max() > 0:
        if has_prefix:
            entries.append(Patch(color=_A_FROM_B, label="Part B sees all of Part A"))
        own = "and its own piece" if has_prefix else "a token sees all before it,"
        entries.append(Patch(color=_PIECES[0], label=f"{own} up to itself"))
    if pieces.max() > 1:
        entries.append(
            Patch(color=_PIECES[0], alpha=_EARLIER, label="and the pieces before its own")
        )
    entries.append(Patch(facecolor=_HIDDEN, edgecolor="#c8c8c4", label="hidden"))
    figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=2,
        frameon=False,
        labelcolor=_INK,
        fontsize=9,
    )
