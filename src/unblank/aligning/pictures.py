"""The picture of `unblank align`: accuracy by layer, t-SNE of each model, shared vocabulary."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unblank.extras import optional_package
from unblank.figures import new_figure, save_figure

__all__ = ["draw_alignment", "reduce_states"]

Points = Mapping[str, NDArray[np.float64]]
"""Language -> float64[N, 2]."""


def reduce_states(states: Mapping[str, NDArray[np.float32]], seed: int) -> Points:
    """Return the sentences of all languages in two dimensions, by t-SNE (van der Maaten 2008).

    Args:
        states: language -> float32[N, D].
        seed: of the start; the same states give the same picture on the same machine.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    manifold = optional_package("sklearn.manifold", "t-SNE")
    sizes = [len(some) for some in states.values()]
    everything = np.concatenate(list(states.values()))
    perplexity = min(30.0, (len(everything) - 1) / 3)
    reduced = manifold.TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(
        everything
    )
    parts = np.split(reduced, np.cumsum(sizes)[:-1])
    return dict(zip(states, parts, strict=True))


def draw_alignment(
    accuracies: Mapping[str, Sequence[float]],
    points: Mapping[str, Points],
    overlap: Mapping[str, Mapping[str, float]],
    path: Path,
) -> bool:
    """Draw everything into one file.

    Args:
        accuracies: name of a model -> mean accuracy of each layer, in percent.
        points: name of a model -> its sentences in two dimensions.
        overlap: language -> language -> percent.
        path: of the picture, `.png`.

    Returns:
        False if matplotlib is not installed, so that there is no picture.
    """
    num_panels = 2 + len(points)
    figure = new_figure(5 * num_panels, 4.6)
    if figure is None:
        return False
    from matplotlib import colormaps

    panels = figure.subplots(1, num_panels)
    for name, values in accuracies.items():
        panels[0].plot(range(len(values)), values, marker="o", label=name)
    panels[0].set(xlabel="layer (0: embeddings)", ylabel="accuracy (%)", ylim=(0, 100))
    panels[0].set_title("retrieval, mean over languages")
    panels[0].legend(fontsize="small")
    panels[0].grid(alpha=0.3)
    for axes, (name, of_model) in zip(panels[1:], points.items(), strict=False):
        for number, (code, places) in enumerate(of_model.items()):
            colour = colormaps["tab20"](number % 20)
            axes.scatter(*places.T, s=6, color=colour, label=code)
        axes.set(title=f"t-SNE: {name}", xticks=[], yticks=[])
        axes.legend(fontsize="x-small", ncols=2, markerscale=2)
    codes = list(overlap)
    table = np.array([[overlap[code][other] for other in codes] for code in codes])
    image = panels[-1].imshow(table, vmin=0, vmax=100)
    panels[-1].set_title("tokens of a row's language that a column's uses (%)", fontsize="medium")
    panels[-1].set_xticks(range(len(codes)), codes, rotation=90, fontsize="x-small")
    panels[-1].set_yticks(range(len(codes)), codes, fontsize="x-small")
    figure.colorbar(image, ax=panels[-1])
    save_figure(figure, path, dpi=110)
    return True
