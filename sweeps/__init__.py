"""The experiment: a spec becomes a plan of cells and blocks, and their moments a labelled dataset."""
