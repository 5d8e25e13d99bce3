"""Units of equations: their text is evaluated with units in place of numbers, and like must meet like."""

from __future__ import annotations

from fractions import Fraction

from ranvier.equations.units import factors
from tests.laws.interpreter import FUNCTIONS

#: in base units: nS·mV = pA, nS·ms = pF
_DERIVED = {"pA": {"nS": 1, "mV": 1}, "pF": {"nS": 1, "ms": 1}, "Hz": {"ms": -1}}


class Unit:
    """A unit as powers of ms, mV, nS and the weight's; a plain number has none."""

    def __init__(self, text=""):
        self.powers: dict[str, Fraction] = {}
        for name, power in factors(text).items() if text else ():
            for base, p in _DERIVED.get(name, {name: 1}).items():
                self.powers[base] = self.powers.get(base, Fraction(0)) + p * power

    def _of(self, powers):
        out = Unit()
        out.powers = {k: p for k, p in powers.items() if p}
        return out

    def __eq__(self, other):
        return {k: p for k, p in self.powers.items() if p} == {k: p for k, p in _unit(other).powers.items() if p}

    __hash__ = None

    def same(self, other):
        """Sums and comparisons need equal units."""
        if self != other:
            raise ValueError(f"{self} meets {_unit(other)}")
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __ge__ = __gt__ = __le__ = __lt__ = same

    def __neg__(self):
        return self

    def __mul__(self, other):
        other = _unit(other)
        return self._of({k: self.powers.get(k, 0) + other.powers.get(k, 0) for k in self.powers | other.powers})

    __rmul__ = __mul__

    def __pow__(self, power):
        if isinstance(power, Unit):
            self.same(1.0)
            return power.same(1.0)
        return self._of({k: p * Fraction(power) for k, p in self.powers.items()})

    def __truediv__(self, other):
        return self * _unit(other) ** -1

    def __rtruediv__(self, other):
        return _unit(other) * self**-1

    def __repr__(self):
        return " ".join(f"{k}^{p}" for k, p in self.powers.items()) or "a plain number"


def _unit(x):
    return x if isinstance(x, Unit) else Unit()


def _plain(x):
    return _unit(x).same(1.0)


UNIT_FUNCTIONS = dict.fromkeys(FUNCTIONS, _plain) | {
    "sqrt": lambda x: _unit(x) ** Fraction(1, 2), "abs": lambda x: x, "min": lambda a, b: _unit(a).same(b),
    "max": lambda a, b: a if b == 0 else _unit(a).same(b), "where": lambda c, a, b: _unit(a).same(b), "pi": 3.14,
    "clip": lambda x, a, b: _unit(x).same(a).same(b), "__builtins__": {},
}  # fmt: skip
