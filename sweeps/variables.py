"""The variables of a result dataset: over what, their name in words, unit and source."""

from __future__ import annotations

from dataclasses import dataclass

CELL = ("dimension", "bias", "tokens")
ALL = (*CELL, "time")
CRITICAL = ("dimension", "tokens", "time")

RQF = "Engel & Shalova, Random Quadratic Form on a Sphere, arXiv:2603.06187"
BIAS = "Shalova, RQF with random forcing: metastable synchronization by noise, arXiv:2608.16664"
WILSON = "Wilson, J. Amer. Statist. Assoc. 22 (1927) 209"
TWO_POINT = f"backward equation of the two-point motion, {BIAS}"
METASTABLE = f"ln2 (pi/4) Beta((n-1)/2, 1/2) / (t sqrt((1+tau)/2)), from the lifetime of two clusters, {BIAS}"
GROWTH = "growth of a tangent vector at one token over the time for which it was followed"
EXPONENT = f"top Lyapunov exponent of the flow on the sphere, {RQF}; {BIAS}"


@dataclass(frozen=True)
class Variable:
    """One variable: the axes it has besides the extra ones, its attributes, and its data type."""

    over: tuple[str, ...]
    long_name: str
    source: str | None = None
    units: str = "1"
    kind: str = "float64"

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes as the dataset carries them."""
        source = {} if self.source is None else {"source": self.source}
        return {"long_name": self.long_name, "units": self.units} | source


def _with_interval(name: str, variable: Variable, source: str) -> dict[str, Variable]:
    ends = {
        f"{name}_{end}": Variable(
            variable.over, f"{variable.long_name}, {end} end of its 95 % interval", source
        )
        for end in ("low", "high")
    }
    return {name: variable} | ends


def _with_error(name: str, variable: Variable) -> dict[str, Variable]:
    error = Variable(variable.over, f"standard error of the {variable.long_name}")
    return {name: variable, f"{name}_stderr": error}


VARIABLES: dict[str, Variable] = {
    **_with_interval("p_one_cluster", Variable(ALL, "probability of one cluster"), WILSON),
    **_with_interval("p_two_cluster", Variable(ALL, "probability of two antipodal clusters"), WILSON),
    **_with_interval("p_unclustered", Variable(ALL, "probability of no clusters"), WILSON),
    **_with_interval("collapse", Variable(ALL, "collapse order parameter"), WILSON),
    **_with_error("mean_overlap", Variable(ALL, "mean overlap of two tokens")),
    **_with_error("mean_squared_overlap", Variable(ALL, "mean squared overlap of two tokens")),
    "minority_fraction": Variable(ALL, "mean share of the smaller cluster among clustered realisations"),
    "overlap_histogram": Variable((*ALL, "overlap"), "number of pairs with this overlap"),
    **_with_error("lyapunov", Variable(CELL, "measured top Lyapunov exponent", GROWTH)),
    "realizations": Variable(CELL, "realisations behind the cell", kind="int64"),
    "failed_realizations": Variable(
        CELL, "realisations left out because a number stopped being finite", kind="int64"
    ),
    "step": Variable(CELL, "time step used"),
    # Variable-length strings: Zarr v3 specifies no fixed-length ones.
    "integrator": Variable(CELL, "scheme used", kind="string"),
    **_with_interval(
        "critical_bias",
        Variable(CRITICAL, "bias at which the collapse order parameter passes 1/2"),
        "binomial regression along the bias axis",
    ),
    "predicted_critical_bias": Variable(CRITICAL, "asymptotic prediction of the critical bias", METASTABLE),
    "exact_critical_bias": Variable(CRITICAL, "exact critical bias of two tokens", TWO_POINT),
    "exact_p_one_cluster": Variable(ALL, "exact probability of one cluster", TWO_POINT),
    "exact_p_two_cluster": Variable(ALL, "exact probability of two antipodal clusters", TWO_POINT),
    "exact_lyapunov": Variable(CELL, "exact top Lyapunov exponent", EXPONENT),
}

COORDINATES: dict[str, dict[str, str]] = {
    "dimension": {"long_name": "dimension of the space", "units": "1"},
    "bias": {"long_name": "strength of the bias", "units": "1"},
    "tokens": {"long_name": "number of tokens", "units": "1"},
    "time": {"long_name": "time in units of the weight-noise variance", "units": "1"},
    "overlap": {"long_name": "overlap of two tokens, centre of the bin", "units": "1"},
    "bias_kind": {"long_name": "kind of the bias", "units": "1"},
    "noise_symmetry": {"long_name": "symmetry of the matrix noise", "units": "1"},
    "attention_strength": {"long_name": "strength of the attention", "units": "1"},
    "inverse_temperature": {"long_name": "inverse temperature of the attention", "units": "1"},
    "tolerance": {"long_name": "angle within which tokens count as one cluster", "units": "rad"},
}
