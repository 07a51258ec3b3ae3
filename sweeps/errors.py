"""Errors of the experiment floor.

SweepsError
├── SpecError        a sweep spec is not taken; lists every problem found
│   └── TooLarge     the spec is well formed but exceeds a limit
├── UnknownSweep     no sweep has this id
├── InvalidCursor    no page of sweeps begins there
├── Conflict         the sweep's state forbids the action
│   └── OtherNumerics  as does the numerics version that made it
├── OverQuota        with it, its owner's sweeps would ask for more than is allowed
├── DatasetDamaged   what a result dataset holds cannot be read
├── StoreInUse       another process owns the store
├── LedgerLost       the database does not answer
├── LedgerTooNew     a newer version of this program made the database's tables
├── ClusterLost      the Dask cluster does not answer
├── SweepFailed      a sweep run here did not succeed
├── OutputExists     the file to write is there already
└── PlotError        the dataset has nothing that the figure shows
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST_TEXT = 80


class SweepsError(Exception):
    """Root of everything the sweeps package raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec: dotted path of the field, what it got (short), what it takes."""

    field: str
    got: str
    takes: str

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}, takes {self.takes}"

    def under(self, *path: str) -> Problem:
        """The same problem seen from further up: its field is prefixed with ``path``."""
        return Problem(".".join([*path, *([self.field] if self.field else [])]), self.got, self.takes)


class SpecError(SweepsError, ValueError):
    """A spec is not taken. ``problems`` names every field at fault."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class TooLarge(SpecError):
    """The spec asks for more than a limit allows; its problem names the limit in ``takes``."""


class UnknownSweep(SweepsError, LookupError):
    """No sweep has this ``id``."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no sweep has the id {show(id)}")
        self.id = id


class InvalidCursor(SweepsError, ValueError):
    """No page of sweeps ended with this ``cursor``."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"no page of sweeps begins at {show(cursor)}")
        self.cursor = cursor


class Conflict(SweepsError):
    """A sweep in ``state`` cannot ``action``."""

    def __init__(self, id: str, state: str, action: str) -> None:
        super().__init__(f"sweep {id} is {state}: cannot {action} it")
        self.id, self.state, self.action = id, state, action


class OtherNumerics(Conflict):
    """A sweep of another numerics version can be read; nothing is computed that would be mixed with it."""

    def __init__(self, id: str, state: str, action: str) -> None:
        super().__init__(id, state, action)
        self.args = (f"sweep {id} is of another numerics version: cannot {action} it, submit its spec again",)


class OverQuota(SweepsError):
    """One owner's sweeps would ask for more than is allowed; ``problems`` has an entry for each limit."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class DatasetDamaged(SweepsError):
    """What ``path`` holds of a sweep cannot be read, as a checksum says for example."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = path


class StoreInUse(SweepsError):
    """The store at ``path`` belongs to ``owner``, a process that is still running."""

    def __init__(self, path: str, owner: str) -> None:
        super().__init__(f"the data directory {path} is in use by {owner}: stop it, or set RQF_DATA")
        self.path, self.owner = path, owner


class LedgerLost(SweepsError):
    """The database does not answer."""


class LedgerTooNew(SweepsError):
    """The tables have a ``revision`` that this version does not know."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the ledger has revision {show(revision)}, made by a newer version: install that one, "
            "or set RQF_DATA or RQF_DATABASE"
        )
        self.revision = revision


class ClusterLost(SweepsError):
    """The Dask cluster does not answer; what was handed to it must be handed out again."""


class SweepFailed(SweepsError):
    """The sweep ``id`` did not succeed, for ``reason``."""

    def __init__(self, id: str, reason: str) -> None:
        super().__init__(f"sweep {id} failed: {reason}")
        self.id, self.reason = id, reason


class OutputExists(SweepsError, FileExistsError):
    """Nothing is overwritten: ``path`` is there already."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already: move it, or name another output")
        self.path = path


class PlotError(SweepsError, ValueError):
    """The figure asked for cannot be drawn from this dataset; the text says what can."""


def show(value: object) -> str:
    """A short printable form of any value, for ``Problem.got``."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer with more digits than Python is willing to print
        text = f"a {type(value).__name__}"
    # backslashreplace: lone surrogates in a string cannot be encoded when the error is sent on
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 40
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4
_SHORT.maxlevel = 2
