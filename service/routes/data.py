"""Numbers out of a sweep's dataset, selected by label, reduced, in one of several formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import xarray as xr
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service import conditional, formats, reduction
from service.deps import CoordinatorDep, RenderingDep, SettingsDep, SweepId
from service.errors import InvalidQuery
from service.formats import Format
from service.models import FieldProblem, Problem
from service.selection import Selector, select, selectors_of
from service.streaming import stream

router = APIRouter(tags=["results"])

FormatName = Literal["json", "csv", "netcdf", "parquet"]
_FORMATS: dict[FormatName, Format] = {
    "json": formats.JSON,
    "csv": formats.CSV,
    "netcdf": formats.NETCDF,
    "parquet": formats.PARQUET,
}
_BY_MEDIA_TYPE: dict[str, FormatName] = {form.media_type: name for name, form in _FORMATS.items()}
_VARY = ("Accept",)
#: Variables that are so large that they are given only to who names them.
_ONLY_BY_NAME = ("overlap_histogram",)


class Labels(BaseModel):
    """Selectors, one per dimension: a value, a range ``a:b``, several with commas or repeated."""

    model_config = ConfigDict(extra="forbid")

    dimension: list[str] = Field([], description="Dimension n.", examples=[["64"]])
    bias: list[str] = Field([], description="Bias strength γ.", examples=[["0.01:0.1"]])
    tokens: list[str] = Field([], description="Number of tokens N.", examples=[["2,8"]])
    time: list[str] = Field([], description="Record time.", examples=[["20"]])
    overlap: list[str] = Field([], description="Bin centre of the overlap histogram, in [−1, 1].")
    bias_kind: list[str] = Field([], description="noise or constant, where it is an axis.")
    noise_symmetry: list[str] = Field([], description="Noise symmetry τ, where it is an axis.")
    attention_strength: list[str] = Field([], description="Attention strength α, where it is an axis.")
    inverse_temperature: list[str] = Field([], description="Inverse temperature κ, where it is an axis.")
    method: Literal["exact", "nearest"] = Field(
        "exact", description="nearest: take the closest coordinate where none is equal."
    )

    def selector(self, variables: list[str]) -> Selector:
        """These labels, for some variables (none: all)."""
        dimensions = set(Labels.model_fields) - {"method"}
        given = selectors_of({name: getattr(self, name) for name in sorted(dimensions)})
        return Selector(tuple(variables), dict(given), self.method == "nearest")


class DataQuery(Labels):
    """Labels, variables, what is done with them, and how to write them."""

    var: list[str] = Field(
        [],
        description="Variables, repeated or with commas between; none: all but the overlap histogram, and "
        "with `reduce` all that can be reduced so.",
        examples=[["p_one_cluster", "collapse"]],
    )
    reduce: list[str] = Field(
        [],
        description="`how:dimension`, or several dimensions with commas between; how is one of "
        f"{', '.join(reduction.HOWS)}. Several are done in turn. NaN is skipped. Ends of intervals and "
        "standard errors take min and max alone: the mean of lower ends is no lower end of the mean.",
        examples=[["mean:tokens"]],
    )
    format: FormatName | None = Field(
        None, description="None: by the header `Accept`, json if that does not tell."
    )
    orient: Literal["columns", "records"] | None = Field(
        None, description="Of json. columns: as `xarray.Dataset.to_dict`. records: a list of row objects."
    )

    def form(self, accept: str) -> Format:
        """How to write it, where ``accept`` is that header. Raises InvalidQuery."""
        form = _FORMATS[self.format or _negotiated(accept)]
        if self.orient is None or form is formats.JSON:
            return formats.RECORDS if self.orient == "records" else form
        takes = "nothing: only json comes in two layouts"
        raise InvalidQuery([FieldProblem(field="orient", got=self.orient, takes=takes)])

    def reductions(self) -> list[reduction.Reduction]:
        """What is done in turn. Raises InvalidQuery."""
        return [reduction.parse_reduction(text) for text in self.reduce]

    def part(self, dataset: xr.Dataset, form: Format, limit_mb: float) -> xr.Dataset:
        """What is wanted of ``dataset``, lazily, before it is reduced.

        Raises InvalidQuery, PayloadTooLarge.
        """
        reductions = self.reductions()
        names = [name.strip() for text in self.var for name in text.split(",")]
        selector = self.selector(names or _by_default(dataset, reductions))
        kept = {dim for done in reductions for dim in done.dims}
        selected = select(dataset, replace(selector, kept=kept), keep_dimensions=form.tabular)
        reduction.check(selected, reductions)
        if reductions:
            formats.check_size("reduce", selected.nbytes, limit_mb)
        form.check_size(reduction.template(selected, reductions), limit_mb)
        return selected


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {form.media_type: {} for form in _FORMATS.values()},
        "description": "`json`: the layout of `xarray.Dataset.to_dict`, or with `orient=records` a list of "
        "row objects; NaN is null. `csv`, `parquet`: one row per point; NaN is an empty field, or missing. "
        "`netcdf`: netCDF-4, for `xarray.open_dataset`.",
    },
    304: {"description": "`If-None-Match` names what the answer would be."},
    404: {"model": Problem, "description": "No such sweep."},
    413: {"model": Problem, "description": "The answer would exceed RQF_MAX_RESPONSE_MB."},
    422: {"model": Problem, "description": "A selector finds nothing, or a reduction means nothing."},
    507: {"model": Problem, "description": "The disk has no room to make a netCDF file on."},
}


@router.head("/sweeps/{id}/data", include_in_schema=False)
@router.get("/sweeps/{id}/data", response_class=Response, responses=_RESPONSES)
async def data(
    id: SweepId,
    query: Annotated[DataQuery, Query()],
    request: Request,
    coordinator: CoordinatorDep,
    settings: SettingsDep,
    rendering: RenderingDep,
) -> Response:
    """Selected variables, with `ETag`; a dimension selected by one value is dropped, save from rows."""
    form = query.form(request.headers.get("accept", ""))
    version = await run_sync(coordinator.dataset_version, id)
    tag = conditional.etag(version, request.app.version, form.media_type, query.model_dump_json())
    if conditional.is_known(request, tag):
        return conditional.not_modified(tag, _VARY)
    part = partial(query.part, form=form, limit_mb=settings.max_response_mb)
    shown = "inline" if form.media_type == "application/json" else "attachment"
    disposition = {"Content-Disposition": f'{shown}; filename="rqf-{id}.{form.suffix}"'}
    headers = conditional.headers(tag, _VARY) | disposition
    if request.method == "HEAD":
        await run_sync(coordinator.read_dataset, id, part, limiter=rendering)
        answer = Response(headers=headers, media_type=form.media_type)
        # Known only to who renders it all; 0 is what readers would take for an empty file (RFC 9110 §8.6).
        del answer.headers["Content-Length"]
        return answer

    def render(dataset: xr.Dataset) -> Iterator[bytes]:
        return form.pieces(reduction.reduce(part(dataset), query.reductions()))

    pieces = partial(coordinator.stream_dataset, id, render)
    return await stream(pieces, rendering, headers, form.media_type)


def _by_default(dataset: xr.Dataset, reductions: Sequence[reduction.Reduction]) -> list[str]:
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if name not in _ONLY_BY_NAME and all(reduction.suits(done, array) is None for done in reductions)
    ]


def _negotiated(accept: str) -> FormatName:
    """The format that the header prefers; json where it names none."""
    best: tuple[float, FormatName] = (0.0, "json")
    for entry in accept.split(","):
        kind, *parameters = (text.strip().lower() for text in entry.split(";"))
        name = _BY_MEDIA_TYPE.get(kind)
        if name is not None and (weight := _weight(parameters)) > best[0]:
            best = weight, name
    return best[1]


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
