"""A Parquet or Feather table from stdin as JSON on stdout: a separate program, which imports nothing of ranvier's.

A few bytes may announce, or unpack to, any amount of memory, before the library says so; here it does so within limits,
in a process that holds nothing else.

python arrow_apart.py KIND BYTES: what the table may unpack to.
"""

import json
import sys
from typing import Any


def main() -> None:
    kind, room = sys.argv[1], int(sys.argv[2])
    data = sys.stdin.buffer.read()
    try:
        import pyarrow
        from pyarrow import feather, parquet

        limit("RLIMIT_CORE", 0)
        limit("RLIMIT_CPU", 10 + room // 2**23)
        limit("RLIMIT_DATA", 2**28 + 2 * room + 2 * len(data))
        source = pyarrow.BufferReader(data)
        if kind == "parquet":
            file = parquet.ParquetFile(source)
            cells = file.metadata.num_rows * file.metadata.num_columns
            if cells * 8 > room:
                return answer({"refused": f"it promises {cells} cells, far more than its size justifies"})
            table = file.read(use_threads=False)
        else:
            table = feather.read_table(source, use_threads=False)
        if table.nbytes > room or table.num_rows * table.num_columns * 8 > room:
            return answer({"refused": f"it unpacks to {table.nbytes >> 20} MiB, far more than its size justifies"})
        table.validate(full=True)
        limit("RLIMIT_DATA", 2**30 + 10 * room)  # now values become objects
        columns = [column.to_pylist() for column in table.columns]
        return answer({"names": [str(n) for n in table.column_names], "columns": [list(map(cell, c)) for c in columns]})
    except MemoryError:
        return answer({"refused": "it needs far more memory than its size justifies"})
    except UnicodeDecodeError:
        return answer({"refused": "a text in it is no UTF-8"})
    except Exception as error:  # pyarrow's own, of many kinds
        known = isinstance(error, pyarrow.ArrowException) if "pyarrow" in locals() else False
        text = " ".join(str(error).split())[:200] if known else "something in it is not of the form that it must have"
        return answer({"refused": text})


def cell(value: Any) -> str:
    """As it would stand in a CSV."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # spreadsheets know no whole numbers
    return str(value).strip()


def limit(what: str, amount: int) -> None:
    """Set a limit of the system's, on top of what is in use where it is of memory; nothing where there is none."""
    try:
        import resource
    except ImportError:
        return
    if what == "RLIMIT_CPU":
        used = resource.getrusage(resource.RUSAGE_SELF)
        amount += int(used.ru_utime + used.ru_stime) + 1
    if what == "RLIMIT_DATA":
        amount += held()
    hard = resource.getrlimit(getattr(resource, what))[1]
    if hard != resource.RLIM_INFINITY:
        amount = min(amount, hard)
    resource.setrlimit(getattr(resource, what), (amount, hard))


def held() -> int:
    """Bytes of memory that this process has been given."""
    try:
        with open("/proc/self/status") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmData"))
    except (OSError, StopIteration):
        return 2**31


def answer(head: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(head).encode())


if __name__ == "__main__":
    main()
