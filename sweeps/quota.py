"""How much one owner's sweeps may ask for at a time."""

from __future__ import annotations

from dataclasses import dataclass

from sweeps.errors import OverQuota, Problem
from sweeps.status import Usage


@dataclass(frozen=True)
class Quota:
    """Bounds on what an owner's sweeps that have not ended ask for together; None: no bound."""

    max_sweeps: int | None = None
    max_cells: int | None = None
    max_cpu_hours: float | None = None

    def check(self, asked: Usage) -> None:
        """Raises OverQuota where ``asked``, of all sweeps together, is more than is allowed."""
        problems = [
            Problem(
                name, f"{got:.10g} with this sweep", f"at most {most:.10g} at a time (limit token_max_{name})"
            )
            for name, got, most in (
                ("sweeps", asked.sweeps, self.max_sweeps),
                ("cells", asked.cells, self.max_cells),
                ("cpu_hours", asked.cpu_seconds / 3600, self.max_cpu_hours),
            )
            if most is not None and got > most
        ]
        if problems:
            raise OverQuota(problems)
