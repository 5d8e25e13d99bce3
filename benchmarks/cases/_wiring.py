"""A fixed number of sources a neuron, all different and never itself, in the peers' words.

Self-connections are not a detail: in Brunel's network (delay below refractoriness) their spikes are lost, and
with them on one neuron in ten the balance of excitation and inhibition shifts until rates are 1.5 % lower.
"""


def brian2_sources(n: int, k: int) -> str:
    """k of the n sources; target j leaves source j mod n out, which is itself where it is among them.

    Holds for the excitatory population, which comes first, and for the inhibitory, a fifth of all: its first
    neuron's index is a multiple of its size.
    """
    return f"(j + 1 + k) % {n} for k in sample(0, {n - 1}, size={k})"


def nest_rule(k: int) -> dict[str, object]:
    """k sources for every target."""
    return {"rule": "fixed_indegree", "indegree": k, "allow_autapses": False, "allow_multapses": False}
