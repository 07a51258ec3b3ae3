"""One self-contained archive of a sweep: result, spec, versions, and how to read and repeat it."""

from __future__ import annotations

import io
import json
import platform
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sweeps.dataset import read_attributes
from sweeps.errors import DatasetDamaged
from sweeps.reading import place_of
from sweeps.status import SweepStatus

_PACKAGE = "rqf-sweeps"
#: The earliest time a zip file can tell: the same sweep then gives the same bytes whenever it is exported.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_README = """\
# {title}

Sweep `{id}` of the Random Quadratic Form on a sphere: phase diagrams of how tokens that are driven by common
noise cluster, computed by rqf-sweeps {package}, numerics version {numerics}, from {created} to {completed}.

| | |
|---|---|
| `result.zarr` | the result, a Zarr v3 store: every variable with its `long_name`, `units` and `source` |
| `spec.json` | what was asked for; its physics hashes to the id |
| `versions.txt` | the Python distributions of the service that wrote this archive |

The attributes of `result.zarr` hold the versions of what simulated it, the seed, and what it cost on which
machines.

## Read

```python
import xarray as xr

dataset = xr.open_zarr("result.zarr")
```

## Repeat

With rqf-sweeps of numerics version {numerics}, on any machine and any number of cores:

```sh
rqf run spec.json --out again.zarr
```

Every variable of `again.zarr` is the same to the bit; only the attributes that tell times and costs differ.

## Cite

Engel and Shalova, [arXiv:2603.06187](https://arxiv.org/abs/2603.06187); Shalova,
[arXiv:2608.16664](https://arxiv.org/abs/2608.16664): the model and its theory. rqf-sweeps itself is under the
MIT licence.
"""


def archive(status: SweepStatus, dataset: Path) -> Iterator[bytes]:
    """The zip file of a sweep that has succeeded, piece by piece; ``dataset`` is its Zarr store.

    The same sweep gives the same bytes on the same installation. Raises DatasetDamaged, at any piece, where
    the store is not one and the same from beginning to end, or cannot be read.
    """
    try:
        before = place_of(dataset)
        for piece in _zipped(status, dataset):
            # A chunk that is not there is one in which nothing is known: that the files went while they were
            # listed shows nowhere else.
            if place_of(dataset) != before:
                raise DatasetDamaged(str(dataset), "another one took its place")
            yield piece
    except (OSError, ValueError, LookupError) as error:
        raise DatasetDamaged(str(dataset), str(error)) from error


def _zipped(status: SweepStatus, dataset: Path) -> Iterator[bytes]:
    attributes = read_attributes(dataset)
    spec = {"name": status.name, "labels": status.labels, **status.spec}
    texts = {
        "README.md": _readme(status, attributes),
        "spec.json": json.dumps(spec, indent=2, ensure_ascii=False) + "\n",
        "versions.txt": versions(),
    }
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w") as archive:
        for name, text in texts.items():
            archive.writestr(_entry(name), text)
        for file in sorted(path for path in dataset.rglob("*") if path.is_file()):
            name = f"result.zarr/{file.relative_to(dataset).as_posix()}"
            archive.writestr(_entry(name), file.read_bytes())
            yield pieces.taken()
    yield pieces.taken()


def versions() -> str:
    """What is installed, as a requirements file: all that this package depends on, its own version above."""
    own = distribution(_PACKAGE)
    lines = [
        f"# {_PACKAGE} {own.version}, Python {platform.python_version()}, {platform.platform()}",
        *sorted(f"{name}=={version}" for name, version in _closure(_PACKAGE).items()),
    ]
    return "\n".join(lines) + "\n"


def _readme(status: SweepStatus, attributes: dict[str, Any]) -> str:
    return _README.format(
        title=status.name or f"Sweep {status.id}",
        id=status.id,
        package=attributes["package_version"],
        numerics=attributes["numerics_version"],
        created=attributes["created"],
        completed=attributes["completed"],
    )


def _entry(name: str) -> zipfile.ZipInfo:
    # Stored, not compressed: the chunks are already, and can be read where they lie.
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    return entry


def _closure(package: str) -> dict[str, str]:
    """Versions of all distributions that ``package`` needs here, directly or not."""
    found: dict[str, str] = {}
    waiting, seen = [Requirement(package)], set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        key = (name, frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # left out by whoever installed this, as what only tests need may be
            continue
        found[name] = installed.version
        needs = map(Requirement, installed.requires or ())
        waiting += [need for need in needs if _applies(need, wanted.extras)]
    del found[package]
    return found


def _applies(need: Requirement, extras: set[str]) -> bool:
    marker = need.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


class _Pieces(io.RawIOBase):
    """A file that cannot be sought in; what was written to it is taken out in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken
