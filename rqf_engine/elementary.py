"""Elementary functions for the kernels: inlined, branch-free, and the same bits on every machine.

A call to libm inside a loop keeps the compiler from using vector instructions, and its last digit
differs from one libm to the next. These use only IEEE additions, multiplications, divisions, square
roots and bit patterns, so that loops over realisations vectorise and results do not depend on the CPU.
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


#: float_from_bits(value): the float64 whose bit pattern is the given uint64.
float_from_bits: Any = intrinsic(_type_float_from_bits)
#: bits_of_float(value): the bit pattern of a float64 as uint64.
bits_of_float: Any = intrinsic(_type_bits_of_float)


_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10
#: Adding 1.5·2^52 rounds a small float to the nearest integer and leaves it in the low bits.
_ROUND = 6755399441055744.0


@inlined
def exp(x: float) -> float:
    """e^x for −700 ≤ x ≤ 700, relative error below 4·10⁻¹⁶ (Taylor series on [−ln2/2, ln2/2], order 12)."""
    shifted = x * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    scale: float = float_from_bits((bits_of_float(shifted) + nb.uint64(1023)) << nb.uint64(52))
    return p * scale


@inlined
def log(x: float) -> float:
    """ln x for normal x > 0, relative error below 5·10⁻¹⁶ (2·artanh((m−1)/(m+1)) with m in [√½, √2))."""
    # Offsetting by the bits of √½ puts the mantissa in [√½, √2) before the exponent is cut off.
    shifted = bits_of_float(x) - nb.uint64(0x3FE6A09E667F3BCD)
    exponent_bits = (shifted + nb.uint64(0x3FF0000000000000)) >> nb.uint64(52)
    mantissa_bits = (shifted & nb.uint64(0x000FFFFFFFFFFFFF)) + nb.uint64(0x3FE6A09E667F3BCD)
    # OR-ing an integer into the mantissa of 2^52 converts it to float without a conversion instruction.
    exponent: float = float_from_bits(exponent_bits | nb.uint64(0x4330000000000000)) - 4503599627371519.0
    m: float = float_from_bits(mantissa_bits)
    f = (m - 1.0) / (m + 1.0)
    g = f * f
    p = 2.0 / 21.0
    p = p * g + 2.0 / 19.0
    p = p * g + 2.0 / 17.0
    p = p * g + 2.0 / 15.0
    p = p * g + 2.0 / 13.0
    p = p * g + 2.0 / 11.0
    p = p * g + 2.0 / 9.0
    p = p * g + 2.0 / 7.0
    p = p * g + 2.0 / 5.0
    p = p * g + 2.0 / 3.0
    p = p * g * f
    return exponent * _LN2_HIGH + (2.0 * f + (p + exponent * _LN2_LOW))
