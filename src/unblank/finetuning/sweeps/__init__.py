"""Several runs at once: seeds, grids, ensembles."""
