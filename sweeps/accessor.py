"""``dataset.rqf``: the figures of a sweep's dataset, once this module is imported.

    import sweeps.accessor
    xr.open_zarr("small.zarr").rqf.phase_diagram().savefig("phase.pdf")

Each is a matplotlib Figure that notebooks show by themselves; the service draws the same. Labels are chosen
beforehand, as in ``dataset.sel(tokens=2).rqf.boundary()``. Each raises PlotError where the dataset has
nothing that the figure shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:  # matplotlib takes half a second, which only drawing is worth
    from sweeps.plots import Picture


@xr.register_dataset_accessor("rqf")  # type: ignore[no-untyped-call]  # xarray's own lack of types
class Figures:
    """The figures of one dataset."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def phase_diagram(self) -> Picture:
        """Φ over time and bias, with the measured, exact and predicted boundary."""
        from sweeps import plots

        return plots.phase_diagram(self._dataset)

    def collapse(self, time: float | None = None) -> Picture:
        """Φ against the bias on its predicted scale, at the record time nearest to ``time`` (None: last)."""
        from sweeps import plots

        return plots.collapse(self._dataset, time)

    def boundary(self) -> Picture:
        """γ* with its 95 % intervals over time and dimension, beside exact and predicted values."""
        from sweeps import plots

        return plots.boundary(self._dataset)

    def histogram(self) -> Picture:
        """Density of the overlaps of pairs of tokens, at a few times."""
        from sweeps import plots

        return plots.histogram(self._dataset)
