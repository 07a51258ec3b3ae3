"""Elementary functions for the kernels: inlined, branch-free, and the same bits on every machine.

A call to libm inside a loop keeps the compiler from using vector instructions, and its last digit
differs from one libm to the next. These use only IEEE additions, multiplications, fused multiply-adds,
divisions, square roots and bit patterns, so that loops over realisations vectorise and results do not
depend on the CPU.

``fma`` stands where the source says so, and rounds once on every machine: IEEE 754 defines it, and where
the processor lacks it, the library computes it. Contraction, which fast-math would allow, is another
thing: there the compiler fuses what it likes, and differently for each processor.

Polynomials are summed by Estrin's scheme: a chain of dependent operations would keep the units waiting.
"""

from __future__ import annotations

from typing import Any

import numba as nb
from numba.core import types
from numba.core.extending import intrinsic

from rqf_engine.jit import inlined


def _bitcast(source: Any, target: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(target))

    return target(source), codegen


def _type_float_from_bits(typingctx: Any, value: Any) -> Any:  # noqa: ARG001 - numba asks for these names
    return _bitcast(types.uint64, types.float64)


def _type_bits_of_float(typingctx: Any, value: Any) -> Any:  # noqa: ARG001 - numba asks for these names
    return _bitcast(types.float64, types.uint64)


def _type_fma(typingctx: Any, x: Any, y: Any, z: Any) -> Any:  # noqa: ARG001 - numba asks for these names
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


#: fma(x, y, z): x·y + z, rounded once.
fma: Any = intrinsic(_type_fma)
#: float_from_bits(value): the float64 whose bit pattern is the given uint64.
float_from_bits: Any = intrinsic(_type_float_from_bits)
#: bits_of_float(value): the bit pattern of a float64 as uint64.
bits_of_float: Any = intrinsic(_type_bits_of_float)


_LOG2_E = 1.4426950408889634
_LN2 = 0.6931471805599453
_LN2_REST = 2.3190468138462996e-17
#: Adding 1.5·2^52 rounds a small float to the nearest integer and leaves it in the low bits.
_ROUND = 6755399441055744.0


@inlined
def _exp_parts(x: float) -> tuple[float, float]:
    """(e^r − 1, 2^k) with x = k ln2 + r, |r| ≤ ln2/2.

    e^r is 1 + r + r² q(r), where q interpolates (e^r − 1 − r)/r² at the ten Chebyshev nodes of the
    interval, with an error of 2·10⁻¹⁷ e^r.
    """
    shifted = fma(x, _LOG2_E, _ROUND)
    whole = shifted - _ROUND
    r = fma(whole, -_LN2_REST, fma(whole, -_LN2, x))
    g = r * r
    a = fma(r, 0.16666666666666669, 0.5000000000000001)
    b = fma(r, 0.008333333333330065, 0.041666666666624164)
    c = fma(r, 0.00019841269863040545, 0.0013888888917196719)
    d = fma(r, 2.7557268480310024e-06, 2.4801521322368692e-05)
    e = fma(r, 2.5100375832561234e-08, 2.7620075879983367e-07)
    g2 = g * g
    q = fma(fma(e, g2, fma(d, g, c)), g2, fma(b, g, a))
    scale: float = float_from_bits((bits_of_float(shifted) + nb.uint64(1023)) << nb.uint64(52))
    return fma(q, g, r), scale


@inlined
def exp(x: float) -> float:
    """e^x for −700 ≤ x ≤ 700, relative error below 4·10⁻¹⁶."""
    rest, scale = _exp_parts(x)
    value: float = fma(rest, scale, scale)
    return value


@inlined
def expm1(x: float) -> float:
    """e^x − 1 for −700 ≤ x ≤ 700, relative error below 1·10⁻¹⁵."""
    rest, scale = _exp_parts(x)
    value: float = fma(rest, scale, scale - 1.0)
    return value


@inlined
def clip(x: float, low: float, high: float) -> float:
    """``x`` moved into [low, high]; NaN stays NaN."""
    x = low if x < low else x  # noqa: FURB136 - max() may drop the NaN
    return high if x > high else x  # noqa: FURB136


@inlined
def log(x: float) -> float:
    """ln x for normal x > 0, relative error below 5·10⁻¹⁶.

    2 artanh f with f = (m−1)/(m+1) and m in [√½, √2); the minimax polynomial is that of fdlibm's e_log.c,
    with an error of 2^−58.
    """
    # Offsetting by the bits of √½ puts the mantissa in [√½, √2) before the exponent is cut off.
    shifted = bits_of_float(x) - nb.uint64(0x3FE6A09E667F3BCD)
    exponent_bits = (shifted + nb.uint64(0x3FF0000000000000)) >> nb.uint64(52)
    mantissa_bits = (shifted & nb.uint64(0x000FFFFFFFFFFFFF)) + nb.uint64(0x3FE6A09E667F3BCD)
    # OR-ing an integer into the mantissa of 2^52 converts it to float without a conversion instruction.
    exponent: float = float_from_bits(exponent_bits | nb.uint64(0x4330000000000000)) - 4503599627371519.0
    m: float = float_from_bits(mantissa_bits)
    f = (m - 1.0) / (m + 1.0)
    g = f * f
    a = fma(g, 0.3999999999940942, 0.6666666666666735)
    b = fma(g, 0.22222198432149784, 0.2857142874366239)
    c = fma(g, 0.15313837699209373, 0.1818357216161805)
    g2 = g * g
    p = fma(fma(fma(g2, 0.14798198605116586, c), g2, b), g2, a)
    value: float = fma(exponent, _LN2, fma(p * g, f, 2.0 * f))
    return value


@inlined
def sin_cos_octant(x: float) -> tuple[float, float]:
    """(sin x, cos x) for 0 ≤ x ≤ π/4, error below 2·10⁻¹⁶.

    The minimax polynomials are those of fdlibm's k_sin.c and k_cos.c, with an error of 2^−58.
    """
    g = x * x
    g2 = g * g
    s = fma(g, 0.00833333333332249, -0.16666666666666632)
    t = fma(g, 2.7557313707070068e-06, -0.0001984126982985795)
    u = fma(g, 1.58969099521155e-10, -2.5050760253406863e-08)
    s = fma(fma(u, g2, t), g2, s)
    c = fma(g, -0.001388888888887411, 0.0416666666666666)
    d = fma(g, -2.7557314351390663e-07, 2.480158728947673e-05)
    e = fma(g, -1.1359647557788195e-11, 2.087572321298175e-09)
    c = fma(fma(e, g2, d), g2, c)
    return fma(x * g, s, x), fma(g2, c, fma(g, -0.5, 1.0))
