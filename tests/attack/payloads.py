"""Texts that would create a file if any of them ever ran: as a field's name, an expression, an argument, markup."""

from __future__ import annotations

from pathlib import Path


def payloads(canary: Path) -> list[str]:
    """Each would write `canary`, in the place that its form is made for."""
    call = f'__import__("pathlib").Path("{canary}").touch()'
    short = f"__import__('os').system('touch {canary}')"
    return [
        f"a={call}):\n '''#",  # closes the argument list of a generated __init__; issue's own
        f'a={call}):\n """#',
        f"a={call}):\n  pass\n#",
        f"a: {call} = 1",
        call,
        short,
        f"V\n    {call}\n    #",
        f"x'+str({short})+'",
        f'x"+str({short})+"',
        f"x; {call} #",
        f"(lambda: {call})()",
        f"[{call} for _ in (1,)][0]",
        f"{{{call}}}",
        "{{" + call + "}}",
        f"exec({call!r})",
        f"x\u2028{call}",
        "__class__.__mro__",
        "__import__",
        "ﬁeld",  # becomes an ASCII name when Python reads it
        "lambda",
        "None",
        "x" * 100_000,
        "a\x00b",
        "\ud800",
        "$(touch " + str(canary) + ")",
        f"cos\nos.system\n(S'touch {canary}'\ntR.",  # a pickle
    ]


def leaves(value, path=()):
    """Every place in a JSON value: (path, is the place a key)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), True
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from leaves(item, (*path, k))
    else:
        yield path, False


def replaced(value, path, new, key: bool):
    """A copy of a JSON value with `new` at `path`, as the key there or as the value."""
    if not path:
        return new
    head, *rest = path
    if isinstance(value, dict):
        if key and not rest:
            return {(new if k == head else k): item for k, item in value.items()}
        return {k: replaced(item, rest, new, key) if k == head else item for k, item in value.items()}
    return [replaced(item, rest, new, key) if k == head else item for k, item in enumerate(value)]
