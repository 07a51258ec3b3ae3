"""Datasets as the client gives them. What is slow to import is imported when it is wanted."""

from __future__ import annotations

import asyncio
import io
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any

from service.client.effects import Driver
from service.client.errors import NotFound
from service.client.requests import Requests

if TYPE_CHECKING:
    import xarray as xr
    from pandas import DataFrame as DataFrame  # type: ignore[import-untyped]

#: Gives datasets their ``rqf``. By name, since its figures, but not the client, import the kernels.
_FIGURES = "sweeps.accessor"


def open_dataset(requests: Requests, path: str, chunks: Any) -> xr.Dataset:
    """The dataset below ``path`` of the service, lazily, and never cached, as it may still fill up.

    Every value is asked for as any other request is, so a service that restarts is waited for, and what
    cannot be read is an error and never a NaN.
    """
    import xarray as xr
    from fsspec.mapping import FSMap

    import_module(_FIGURES)
    dataset: xr.Dataset = xr.open_dataset(
        FSMap(path, _file_system(requests)), engine="zarr", consolidated=True, chunks=chunks, cache=False
    )
    return dataset


def read_netcdf(content: bytes) -> xr.Dataset:
    """The dataset of a netCDF-4 file."""
    import xarray as xr

    import_module(_FIGURES)
    dataset: xr.Dataset = xr.load_dataset(io.BytesIO(content), engine="h5netcdf")
    return dataset


def read_parquet(content: bytes) -> DataFrame:
    """The table of a Parquet file."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(content))


def _file_system(requests: Requests) -> Any:
    """The files of the service as fsspec has them, on connections of its own.

    Its own, since a dataset may well outlive the client that opened it.
    """
    from fsspec.asyn import AsyncFileSystem

    driver = Driver(requests.connection.blocking())

    class Files(AsyncFileSystem):  # type: ignore[misc] # fsspec has no types
        cachable = False

        async def _cat_file(
            self, path: str, start: int | None = None, end: int | None = None, **_: Any
        ) -> bytes:
            headers = {} if start is None else {"Range": _range(start, end)}
            return await asyncio.to_thread(_stored, driver, requests, path, headers)

    files = Files(asynchronous=True)
    weakref.finalize(files, driver.close)
    return files


def _stored(driver: Driver, requests: Requests, path: str, headers: dict[str, str]) -> bytes:
    """Raises FileNotFoundError for a key that is not stored, which Zarr takes for a chunk not yet written."""
    try:
        return driver.run(requests.send("GET", path, headers=headers)).content
    except NotFound as exc:
        if any(problem.field == "key" for problem in exc.problem.errors):
            raise FileNotFoundError(path) from exc
        raise


def _range(start: int, end: int | None) -> str:
    if start < 0:
        return f"bytes={start}"
    return f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"
