"""The compiled engine's loop over one step of a network with continuous synapses, until its voltages agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from ranvier.codegen.compilation import address
from ranvier.codegen.pointers import INNER, call2, call7, call11, pointer
from ranvier.engines.compiled import driver
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.compiled.records import coupling, junction, link, part, population, run, sender

#: mV (the unit of V) by which no voltage at a step's end may still change, and repetitions of a step at most
TOLERANCE, LIMIT = 1e-8, 1000
#: repetitions after which those that hardly come together change the junctions' currents by a share only, and its least
SLOW, LEAST = 5, 1e-3

_void, _long = types.void, types.int64


@njit(**INNER)
def _transmit(links, count, guessed, code, one):
    """Inputs at the step's start, from V, or at its end, from what V is guessed to be then."""
    for k in range(count):
        s = link(links, k)
        if guessed:
            v, v_low, into, into_low = s.guess, s.guess_low, s.end, s.end_low
        else:
            v, v_low, into, into_low = s.begin, s.begin_low, s.start, s.start_low
        call11(code, v, v_low, into, into_low, s.first, s.rows, s.items, s.weights, s.sources, s.targets, s.constants,
               one)


@njit(**INNER)
def _begin(A, table, one):
    """Guesses of no motion, and no current through gap junctions."""
    head = coupling(A.couplings, 0)
    for q in range(A.n_populations):
        m = sender(head.senders, q)
        if m.kernel == 0:
            continue
        n = population(A.populations, q).padded
        for half in range(2 if m.v_low != 0 else 1):
            V = pointer(m.v if half == 0 else m.v_low, one)
            begin = pointer(m.begin if half == 0 else m.begin_low, one)
            guess = pointer(m.guess if half == 0 else m.guess_low, one)
            for i in range(n):
                begin[i] = guess[i] = V[i]
    if head.junctions != 0:
        pointer(junction(head.junctions, 0).share, np.float64(0))[0] = 1.0
        call2(head.join, head.junctions, 0, one)


def _agree(table, noise, mask, step, one):
    """The inputs by continuous synapses at both ends of a step, once all that comes from outside has come.

    noise: normals of all tiles, one tile after the other.
    """
    A = run(table, 0)
    head, size = coupling(A.couplings, 0), A.bytes
    links, count, code = head.links, head.n_links, head.transmit
    time = step * pointer(head.dt, np.float64(0))[0]
    _begin(A, table, one)
    change, ahead = np.inf, np.inf
    for turn in range(LIMIT):
        if turn < 2:  # what arrives at V is known once the kernels have run
            _transmit(links, count, False, code, one)
        _transmit(links, count, True, code, one)
        if turn > 0 and head.junctions != 0:
            call2(head.join, head.junctions, min(turn, 2), one)
        if turn > 1 and ahead <= TOLERANCE:
            return
        before, change, room = change, 0.0, noise
        for q in range(A.n_populations):
            p = population(A.populations, q)
            m = sender(head.senders, q)
            for tile in range(p.padded // TILE):
                lo = tile * TILE
                if m.kernel != 0:
                    call7(m.kernel, A.x + size * p.x, p.padded, lo, driver.ring_line(A, step, p, size), room, TILE,
                          mask + p.mask, time)
                    changes = pointer(m.change, one)
                    for i in range(lo, min(lo + TILE, p.size)):
                        change = max(change, np.float64(changes[i]))
                room += 4 * p.normals * TILE
        # what all further repetitions would add, if each went on by the same factor
        ahead = change if change >= before else change * max(1.0, change / (before - change))
        # an upstroke answers by more than it is given
        if turn > SLOW and change > 0.99 * before and head.junctions != 0:
            share = pointer(junction(head.junctions, 0).share, np.float64(0))
            share[0] = max(0.8 * share[0], LEAST)
    changes_left = pointer(head.changes, np.float64(0))
    changes_left[0] = max(changes_left[0], ahead)


@njit(**INNER)
def _series(J, values, first, low, high, out, slope):
    """Two series in hB, of coefficients `low` and `high`, applied to `values` less their part's reference; terms that
    together are below `J.least` are left out."""
    n, terms = J.cells, J.terms
    tails, least = pointer(J.tails + 8 * terms * low, np.float64(0)), pointer(J.least, np.float64(0))[0]
    c, rates, free = pointer(J.series, np.float64(0)), pointer(J.rates, np.float64(0)), pointer(J.room, np.float64(0))
    rows, columns, references = pointer(J.rows, 0), pointer(J.columns, 0), pointer(J.references, 0)
    before, now, after = first, first + 8 * n, first + 16 * n
    start, size = pointer(before, np.float64(0)), 0.0
    for i in range(n):
        start[i] = values[i] - values[references[i]]
        size = max(size, abs(start[i]))
        out[i] = c[low * terms] * start[i]
        slope[i] = c[high * terms] * start[i]
    for k in range(1, terms):
        if tails[k] * size < least:
            break
        last, new = pointer(before if k == 1 else now, np.float64(0)), pointer(now if k == 1 else after, np.float64(0))
        old = pointer(before, np.float64(0))
        a, b = c[low * terms + k], c[high * terms + k]
        for i in range(n):
            total = 0.0
            if free[i] != 0.0:
                for j in range(rows[i], rows[i + 1]):
                    total += rates[j] * (last[columns[j]] - last[i])
            value = last[i] + total if k == 1 else 2.0 * (last[i] + total) - old[i]
            new[i] = value
            out[i] += a * value
            slope[i] += b * value
        if k > 1:
            before, now, after = now, after, before


def _join(table, turn, one):
    """Currents through gap junctions: none (turn 0), of V (turn 1), and as what cells do by themselves has changed."""
    J, number = junction(table, 0), type(one)
    n, like = J.cells, np.float64(0)
    free, V = pointer(J.room, like), pointer(J.room + 8 * n, like)
    mean, slope = pointer(J.room + 16 * n, like), pointer(J.room + 24 * n, like)
    own, own_slope = pointer(J.room + 32 * n, like), pointer(J.room + 40 * n, like)
    force, scales = pointer(J.room + 48 * n, like), pointer(J.scales, like)
    other, other_slope, share = pointer(J.room + 80 * n, like), pointer(J.room + 88 * n, like), pointer(J.share, like)
    more, more_slope = pointer(J.room + 96 * n, like), pointer(J.room + 104 * n, like)
    gone = pointer(J.room + 112 * n, like)
    for q in range(J.n_parts):
        s = part(J.parts, q)
        begin, begin_low, left = pointer(s.begin, one), pointer(s.begin_low, one), pointer(s.refractory, one)
        guess, guess_low = pointer(s.guess, one), pointer(s.guess_low, one)
        for i in range(s.size):
            at = s.first + i
            if turn == 0:
                mean[at] = 0.0
                slope[at] = 0.0
                free[at] = 0.0 if s.refractory != 0 and left[i] > number(0) else 1.0
            if turn == 1:
                V[at] = np.float64(begin[i]) + (np.float64(begin_low[i]) if s.begin_low != 0 else 0.0)
            end = np.float64(guess[i]) + (np.float64(guess_low[i]) if s.guess_low != 0 else 0.0)
            now = end - V[at] - mean[at]
            if turn == 1:  # later by what has changed, which fewer terms do for
                gone[at] = 0.0
                other[at] = 0.0
                other_slope[at] = 0.0
            force[at] = now - gone[at]
            gone[at] = now
    if turn == 1:
        _series(J, V, J.room + 56 * n, 0, 2, own, own_slope)
    if turn > 0:
        _series(J, force, J.room + 56 * n, 1, 3, more, more_slope)
        for i in range(n):
            other[i] += more[i]
            other_slope[i] += more_slope[i]
    for q in range(J.n_parts):
        s = part(J.parts, q)
        if s.start == 0:
            continue
        start, start_low = pointer(s.start, one), pointer(s.start_low, one)
        end, end_low = pointer(s.end, one), pointer(s.end_low, one)
        for i in range(s.size):
            at = s.first + i
            if turn > 0:
                mean[at] += share[0] * (own[at] + other[at] - mean[at])
                slope[at] += share[0] * (own_slope[at] + other_slope[at] - slope[at])
            first = (mean[at] - 0.5 * slope[at]) * scales[at]
            last = (mean[at] + 0.5 * slope[at]) * scales[at]
            start[i] = number(first)
            end[i] = number(last)
            if s.start_low != 0:
                start_low[i] = number(first - np.float64(start[i]))
                end_low[i] = number(last - np.float64(end[i]))


def _number(real: Any) -> Any:
    return types.float64 if real is np.float64 else types.float32


def agree_address(real: Any) -> int:
    """Of `_agree`."""
    return address(_agree, _void(*[_long] * 4, _number(real)))


def join_address(real: Any) -> int:
    """Of `_join`."""
    return address(_join, _void(_long, _long, _number(real)))
