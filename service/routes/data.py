"""Numbers out of a sweep's dataset, selected by label."""

from __future__ import annotations

from typing import Annotated, Literal

import xarray as xr
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from service.deps import CoordinatorDep, SettingsDep, SweepId
from service.models import Problem
from service.selection import Selector, select, selectors_of, to_csv, to_json
from service.settings import Settings
from sweeps.coordinator import Coordinator

router = APIRouter(tags=["results"])


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
    """Labels, variables, and how to write them."""

    var: list[str] = Field([], description="Variables; none: all.", examples=[["p_one_cluster", "collapse"]])
    format: Literal["json", "csv"] = Field("json", description="json or csv.")


@router.get(
    "/sweeps/{id}/data",
    response_class=Response,
    responses={
        200: {
            "content": {"application/json": {}, "text/csv": {}},
            "description": "`json`: the layout of `xarray.Dataset.to_dict`, NaN as null. "
            "`csv`: one row per point, NaN as an empty field.",
        },
        404: {"model": Problem, "description": "No such sweep."},
        413: {"model": Problem, "description": "The answer would exceed RQF_MAX_RESPONSE_MB."},
        422: {"model": Problem, "description": "A selector finds nothing."},
    },
)
async def data(
    id: SweepId, query: Annotated[DataQuery, Query()], coordinator: CoordinatorDep, settings: SettingsDep
) -> Response:
    """Selected variables; a dimension selected by one value is dropped from the JSON."""
    return await run_in_threadpool(_answer, id, query, coordinator, settings)


def _answer(id: str, query: DataQuery, coordinator: Coordinator, settings: Settings) -> Response:
    selector = query.selector(query.var)

    def write(dataset: xr.Dataset) -> Response:
        if query.format == "csv":
            part = select(dataset, selector, keep_dimensions=True)
            return Response(to_csv(part, settings.max_response_mb), media_type="text/csv")
        part = select(dataset, selector)
        return Response(to_json(part, settings.max_response_mb), media_type="application/json")

    return coordinator.read_dataset(id, write)
