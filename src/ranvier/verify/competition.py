"""One instance as the competition VNN-COMP has it: a network, a property, a time limit, and a file with the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ranvier.files.atomic import require_writable, write_atomic
from ranvier.verify.branch_and_bound.search import Branching, VerificationResult, verify
from ranvier.verify.networks import load
from ranvier.verify.vnnlib import read_vnnlib

_WORDS = {"verified": "unsat", "falsified": "sat"}


def run_instance(
    network: str | Path,
    prop: str | Path,
    *,
    timeout: float = 60.0,
    out: str | Path | None = None,
    branching: Branching = "auto",
    seed: int = 0,
    report: Callable[[int, int, float], None] | None = None,
) -> VerificationResult:
    """Verify the property of a VNN-LIB file of the network of an ONNX file, and write the result to `out`.

    timeout: seconds, of the search. Errors as of `load`, `read_vnnlib` and `verify`.
    """
    if out is not None:
        require_writable(out)
    subject = load(network)
    sizes = subject.graph.nodes[0].size, subject.graph.nodes[subject.graph.output].size
    result = verify(
        subject, read_vnnlib(prop, *sizes), timeout=timeout, branching=branching, seed=seed, report=report
    )  # fmt: skip
    if out is not None:
        write_atomic(Path(out), result_text(result, timeout).encode())
    return result


def result_text(result: VerificationResult, timeout: float) -> str:
    """sat, with the counterexample as assignments; unsat; timeout; or unknown."""
    if result.verdict == "unknown":
        return "timeout\n" if result.seconds >= timeout else "unknown\n"
    lines = [_WORDS[result.verdict]]
    if result.counterexample is not None and result.output is not None:
        pairs = [
            f"({name}_{k} {value!r})"
            for name, values in (("X", result.counterexample), ("Y", result.output))
            for k, value in enumerate(values.reshape(-1).tolist())
        ]
        lines.append("(" + "\n".join(pairs) + ")")
    return "\n".join(lines) + "\n"


__all__ = ["result_text", "run_instance"]
