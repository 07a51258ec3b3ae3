"""The sweep spec: what a user asks for, validated at the door, and the id its physics hashes to."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from rqf_engine import NUMERICS_VERSION
from rqf_engine.model import (
    MAX_AMBIENT_DIMENSION,
    MAX_ATTENTION,
    MAX_BIAS,
    MAX_DIMENSION,
    MAX_TEMPERATURE,
    MAX_TOKENS,
    MIN_TEMPERATURE,
)
from sweeps.axis import Range, expand_floats, expand_integers, expand_words
from sweeps.document import name as field_name
from sweeps.document import read_json, read_yaml
from sweeps.errors import Problem, SpecError, show

#: The axes every result has, and those that become a dimension only when given as a list.
ALWAYS_AXES = ("dimension", "bias", "tokens", "times")
EXTRA_AXES = ("bias_kind", "noise_symmetry", "attention_strength", "inverse_temperature")
BIAS_KINDS = ("noise", "constant")
MAX_REALIZATIONS = 10**9
#: Times beyond these are slips: a layer's variance is many orders of magnitude away from both ends.
MIN_TIME, MAX_TIME = 1e-9, 1e9
MAX_SEED = 2**63 - 1
MAX_PRIORITY = 100

_AXIS = "a number, a list of numbers, or {start, stop, num, spacing, include}"
_TAKES = {
    "dimension": f"whole numbers 2…{MAX_DIMENSION}: {_AXIS}",
    "bias": f"numbers 0…{MAX_BIAS:g}: {_AXIS}",
    "tokens": f"whole numbers 2…{MAX_TOKENS}: {_AXIS}",
    "times": f"numbers {MIN_TIME:g}…{MAX_TIME:g}: {_AXIS}",
    "bias_kind": "noise or constant, or a list of both",
    "noise_symmetry": f"numbers in −1 < τ ≤ 1: {_AXIS}",
    "attention_strength": f"numbers 0…{MAX_ATTENTION:g}: {_AXIS}",
    "inverse_temperature": f"numbers {MIN_TEMPERATURE:g}…{MAX_TEMPERATURE:g}: {_AXIS}",
}
_ACCEPTS: dict[str, Callable[[float], bool]] = {
    "dimension": lambda x: 2 <= x <= MAX_DIMENSION,
    "bias": lambda x: 0 <= x <= MAX_BIAS,
    "tokens": lambda x: 2 <= x <= MAX_TOKENS,
    "times": lambda x: MIN_TIME <= x <= MAX_TIME,
    "noise_symmetry": lambda x: -1 < x <= 1,
    "attention_strength": lambda x: 0 <= x <= MAX_ATTENTION,
    "inverse_temperature": lambda x: MIN_TEMPERATURE <= x <= MAX_TEMPERATURE,
}


def _as_range(value: object) -> object:
    return Range.model_validate(value) if isinstance(value, dict) else value


def _integers(axis: str) -> BeforeValidator:
    return BeforeValidator(
        lambda value: expand_integers(_as_range(value), _TAKES[axis], _ACCEPTS[axis]),
        json_schema_input_type=int | list[int] | Range,
    )


def _floats(axis: str) -> BeforeValidator:
    return BeforeValidator(
        lambda value: expand_floats(_as_range(value), _TAKES[axis], _ACCEPTS[axis]),
        json_schema_input_type=float | list[float] | Range,
    )


def _scalar_or_floats(axis: str) -> BeforeValidator:
    def expand(value: object) -> float | tuple[float, ...]:
        values = expand_floats(_as_range(value), _TAKES[axis], _ACCEPTS[axis])
        return values if isinstance(value, dict | list | tuple) else values[0]

    return BeforeValidator(expand, json_schema_input_type=float | list[float] | Range)


def _expand_bias_kind(value: object) -> str | tuple[str, ...]:
    kinds = expand_words(value, BIAS_KINDS)
    return kinds if isinstance(value, list | tuple) else kinds[0]


def _printable(value: object) -> object:
    if isinstance(value, str) and not value.isprintable():
        raise SpecError([Problem("", show(value), "printable text")])
    return value


class _Part(BaseModel):
    # strict: "1", true and 1.5 are not silently taken for numbers they are not
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class InitialSpec(_Part):
    """Where the tokens start."""

    kind: Literal["uniform", "equiangular"] = Field("uniform", description="uniform or equiangular")
    overlap: float | None = Field(None, ge=-1, lt=1, description="a number in −1 ≤ overlap < 1")

    @model_validator(mode="after")
    def _overlap_belongs_to_equiangular(self) -> InitialSpec:
        if self.kind == "equiangular" and self.overlap is None:
            raise SpecError([Problem("overlap", "nothing", "a number in −1 ≤ overlap < 1")])
        if self.kind == "uniform" and self.overlap is not None:
            raise SpecError([Problem("overlap", show(self.overlap), "nothing when kind is uniform")])
        return self


class Precision(_Part):
    """Stop a cell once the 95 % intervals of p_one and p_two are ``halfwidth`` narrow at every time."""

    min: int = Field(100, ge=1, le=MAX_REALIZATIONS, description=f"a whole number 1…{MAX_REALIZATIONS}")
    max: int = Field(ge=1, le=MAX_REALIZATIONS, description=f"a whole number 1…{MAX_REALIZATIONS}")
    halfwidth: float = Field(gt=0, lt=0.5, description="a number in 0 < halfwidth < 0.5")

    @model_validator(mode="after")
    def _ordered(self) -> Precision:
        if self.max < self.min:
            raise SpecError([Problem("max", show(self.max), f"a whole number ≥ min ({self.min})")])
        return self


class Refinement(_Part):
    """Dyadic refinements of the bias axis where the boundary crosses at one of ``times``; None: at any."""

    levels: int = Field(ge=1, le=20, description="a whole number 1…20")
    times: Annotated[tuple[float, ...], _floats("times")] | None = Field(
        None, description=f"record times of the sweep: {_AXIS}"
    )


def _number_or_object(value: object) -> str:
    return "<object>" if isinstance(value, dict | BaseModel) else "<number>"


def _word_or_number(value: object) -> str:
    return "<word>" if isinstance(value, str) else "<number>"


_Text = Annotated[str, BeforeValidator(_printable)]
_Count = Annotated[int, Field(ge=1, le=MAX_REALIZATIONS)]
_Step = Annotated[float, Field(gt=0)]


class SweepSpec(_Part):
    """A sweep: axes of parameters, record times, scheme and ensemble size (see the README for examples).

    Build one with ``parse_spec`` or ``load_spec``, whose errors name every problem. Axes are kept
    expanded: ascending, without repeats. Time is in units of the weight-noise variance, angles in radians.
    """

    name: Annotated[_Text, Field(max_length=200)] = Field(
        "", description="printable text of at most 200 characters"
    )
    labels: dict[
        Annotated[_Text, Field(min_length=1, max_length=60, pattern="^[^:]*$")],
        Annotated[_Text, Field(max_length=200)],
    ] = Field({}, max_length=50, description="at most 50 pairs of short printable text, no ':' in a key")
    priority: int = Field(
        0,
        ge=-MAX_PRIORITY,
        le=MAX_PRIORITY,
        description=f"a whole number −{MAX_PRIORITY}…{MAX_PRIORITY}: higher goes first",
    )
    dimension: Annotated[tuple[int, ...], _integers("dimension")] = Field(description=_TAKES["dimension"])
    bias: Annotated[tuple[float, ...], _floats("bias")] = Field(description=_TAKES["bias"])
    tokens: Annotated[tuple[int, ...], _integers("tokens")] = Field(description=_TAKES["tokens"])
    times: Annotated[tuple[float, ...], _floats("times")] = Field(description=_TAKES["times"])
    bias_kind: Annotated[
        str | tuple[str, ...],
        BeforeValidator(_expand_bias_kind, json_schema_input_type=str | list[str]),
    ] = Field("noise", description=_TAKES["bias_kind"])
    noise_symmetry: Annotated[float | tuple[float, ...], _scalar_or_floats("noise_symmetry")] = Field(
        1.0, description=_TAKES["noise_symmetry"]
    )
    attention_strength: Annotated[float | tuple[float, ...], _scalar_or_floats("attention_strength")] = Field(
        0.0, description=_TAKES["attention_strength"]
    )
    inverse_temperature: Annotated[float | tuple[float, ...], _scalar_or_floats("inverse_temperature")] = (
        Field(1.0, description=_TAKES["inverse_temperature"])
    )
    initial: InitialSpec = Field(
        InitialSpec(), description='{"kind": "uniform"} or {"kind": "equiangular", "overlap": …}'
    )
    integrator: Literal["auto", "frame", "ambient", "layers"] = Field(
        "auto", description="auto, frame, ambient or layers"
    )
    step: Annotated[
        Annotated[Literal["auto"], Tag("<word>")] | Annotated[_Step, Tag("<number>")],
        Discriminator(_word_or_number),
    ] = Field("auto", description="auto or a finite number > 0")
    realizations: Annotated[
        Annotated[_Count, Tag("<number>")] | Annotated[Precision, Tag("<object>")],
        Discriminator(_number_or_object),
    ] = Field(2000, description=f"a whole number 1…{MAX_REALIZATIONS} or {{min, max, halfwidth}}")
    refine: Refinement | None = Field(None, description='{"levels": …, "times": …} or nothing')
    tolerance: float = Field(0.1, gt=0, lt=math.pi / 2, description="radians in 0 < tolerance < π/2")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="a whole number 0…2^63−1")

    @model_validator(mode="after")
    def _fields_agree(self) -> SweepSpec:
        problems = list(_disagreements(self))
        if problems:
            raise SpecError(problems)
        return self

    def axes(self) -> dict[str, tuple[Any, ...]]:
        """Every axis by name: list-valued extra axes in front, then dimension, bias, tokens, times."""
        extras = {axis: value for axis in EXTRA_AXES if isinstance(value := getattr(self, axis), tuple)}
        return extras | {axis: getattr(self, axis) for axis in ALWAYS_AXES}

    def canonical(self) -> dict[str, Any]:
        """The physics in one spelling: defaults filled in, axes expanded to lists, no name, labels, priority.

        Parsing it again gives a spec with the same canonical form and the same id.
        """
        form = self.model_dump(mode="json", exclude={"name", "labels", "priority"})
        if (refine := form["refine"]) and refine["times"] in (None, form["times"]):
            del refine["times"]
        return form

    @cached_property
    def id(self) -> str:
        """12 hex digits of the SHA-256 of the canonical form and the numerics version."""
        content = {"numerics": NUMERICS_VERSION, "spec": self.canonical()}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]


def canonical_json(value: object) -> str:
    """The one JSON spelling that is hashed: sorted keys, no spaces, finite numbers only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse_spec(data: object) -> SweepSpec:
    """The spec that plain values (as read from JSON) describe. Raises SpecError listing every problem."""
    if not isinstance(data, dict):
        raise SpecError([Problem("spec", show(data), "an object with the fields of a sweep spec")])
    try:
        return SweepSpec.model_validate(data)
    except ValidationError as error:
        raise SpecError(_problems(error)) from None


def load_spec(text: str) -> SweepSpec:
    """The spec in a JSON text (if it starts with ``{``) or a YAML text. Raises SpecError."""
    return parse_spec(read_json(text) if text.lstrip("\ufeff \t\r\n").startswith("{") else read_yaml(text))


def _disagreements(spec: SweepSpec) -> Iterator[Problem]:
    largest = max(spec.dimension)
    if spec.integrator in ("ambient", "layers") and largest > MAX_AMBIENT_DIMENSION:
        takes = f"at most {MAX_AMBIENT_DIMENSION} with the {spec.integrator} integrator"
        yield Problem("dimension", show(largest), takes)
    if spec.integrator == "layers" and spec.step == "auto":
        yield Problem("step", "'auto'", "a number > 0 with the layers integrator: one layer's noise variance")
    overlap = spec.initial.overlap
    if overlap is not None and overlap < (least := -1 / (max(spec.tokens) - 1)):
        yield Problem("initial.overlap", show(overlap), f"at least −1/(tokens − 1) = {least:.6g}")
    followed = spec.refine.times if spec.refine is not None else None
    for time in sorted(set(followed or ()) - set(spec.times))[:10]:
        nearest = min(spec.times, key=lambda known: abs(known - time))
        yield Problem("refine.times", show(time), f"record times of the sweep; the nearest is {nearest!r}")


def _problems(error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        path = [field_name(part) for part in map(str, detail["loc"]) if part not in _NO_FIELDS]
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, SpecError):
            yield from (problem.under(*path) for problem in cause.problems)
        elif detail["type"] == "extra_forbidden":
            yield Problem(".".join(path), "an unknown field", _nearest(path))
        else:
            got = "nothing" if detail["type"] == "missing" else show(detail["input"])
            yield Problem(".".join(path), got, _describe(path))


def _describe(path: list[str]) -> str:
    """What the field at the end of ``path`` takes: the description of the deepest field on the way."""
    takes = ""
    part: type[BaseModel] | None = SweepSpec
    for step in path:
        info = part.model_fields.get(step) if part is not None else None
        if info is None:
            break
        takes, part = info.description or takes, _PARTS.get(step)
    return takes


def _nearest(path: list[str]) -> str:
    """The known fields beside an unknown one, the nearest name first."""
    part = _PARTS[path[-2]] if len(path) > 1 else SweepSpec
    fields = list(part.model_fields)
    close = difflib.get_close_matches(path[-1], fields, n=1, cutoff=0.5)
    return f"{close[0]} (nearest), or one of: {', '.join(fields)}" if close else ", ".join(fields)


_PARTS: dict[str, type[BaseModel]] = {
    "initial": InitialSpec,
    "realizations": Precision,
    "refine": Refinement,
    **dict.fromkeys(_ACCEPTS, Range),
}
#: Parts of pydantic's error locations that are no field of the user's: our tags, and its mark of a bad key.
_NO_FIELDS = ("<number>", "<object>", "<word>", "[key]")
