"""Small files that announce, or unpack to, far more than they hold: refused by name, in seconds, without the memory."""

import io
import re
import zipfile

import numpy as np
import pytest

import ranvier as rv
from tests.attack.attempts import attempts

HEAD = "%%MatrixMarket matrix "
MARKET = {
    "billions of rows": "coordinate real general\n3000000000 3000000000 1\n1 1 1\n",
    "millions of rows": "coordinate real general\n60000000 60000000 1\n1 1 1\n",
    "an empty array of billions": "array real general\n0 3000000000\n",
    "text in a line": "coordinate real general\n3 3 4\n1 2 2exec(1)\n",
    "a short line": "coordinate real general\n3 3 2\n1 2 2\n1 2\n",
    "a long line": "coordinate real general\n3 3 2\n1 2 2\n1 2 2 2\n",
    "a pattern with values": "coordinate pattern general\n3 3 1\n1 2 2\n",
    "a place of 0": "coordinate real general\n3 3 1\n0 1 1\n",
    "half a place": "coordinate real general\n3 3 1\n1.5 1 1\n",
    "a place beyond": "coordinate real general\n3 3 1\n4 1 1\n",
    "nan as a place": "coordinate real general\n3 3 1\nnan 1 1\n",
    "more than promised": "coordinate real general\n3 3 1\n1 1 1\n1 2 1\n",
    "less than promised": "array real general\n2 2\n1\n2\n3\n",
    "digits without end": "coordinate real general\n" + "9" * 5000 + " 3 1\n1 1 1\n",
    "an oblong half": "array real symmetric\n2 3\n1\n2\n3\n4\n5\n6\n",
    "a sign before the size": "coordinate real general\n-3 -3 1\n1 1 1\n",
    "nothing below the head": "coordinate real general\n",
}


def workbook(rows: bytes) -> bytes:
    """An Excel file with these rows of XML below its header, and no word of how far they reach."""
    openpyxl = pytest.importorskip("openpyxl")
    book, plain, out = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    book.active.append(["source", "target", "weight"])
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            text = re.sub(rb"<dimension[^>]*>", b"", source.read(item))
            target.writestr(item.filename, text.replace(b"</sheetData>", rows + b"</sheetData>"))
    return out.getvalue()


def table(kind: str, count: int) -> bytes:
    """So many zeros, which pack to nearly nothing."""
    pa, out = pytest.importorskip("pyarrow"), io.BytesIO()
    zeros = pa.table({"source": np.zeros(count, np.int64), "target": np.zeros(count, np.int64)})
    if kind == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(zeros, out)
    else:
        import pyarrow.feather

        pyarrow.feather.write_feather(zeros, out, compression="zstd")
    return out.getvalue()


def bombs():
    out = {f"{what}.mtx": (HEAD + text).encode() for what, text in MARKET.items()}
    for what, arrays in {
        "an index of millions": {"source": np.array([0]), "target": np.array([2**26 - 1])},
        "a shape of billions": {"format": np.array(b"coo"), "shape": np.array([2**31 - 1] * 2), "row": np.array([0]),
                                "col": np.array([1]), "data": np.array([1.0])},
    }.items():  # fmt: skip
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        out[f"{what}.npz"] = packed.getvalue()
    out["a far row.xlsx"] = workbook(b'<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>')
    far = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (k, k) for k in range(2, 2000))
    out["far columns.xlsx"] = workbook(far)
    out["zeros.parquet"], out["zeros.feather"] = table("parquet", 10_000_000), table("feather", 10_000_000)
    out["vertices.net"] = b'*Vertices 10000000000\n1 "a"\n*Arcs\n1 1 1\n'
    out["deep.json"] = b'{"nodes": [], "links": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    out["deep.gml"] = b"graph [" + b"a [" * 20_000
    return out


def test_announced_sizes_are_not_believed(tmp_path):
    data = bombs()
    for name, value in data.items():
        (tmp_path / name).write_bytes(value)
    for name, out in zip(data, attempts([("read_edges", tmp_path / name) for name in data]), strict=True):
        assert out.kind == "refused" and name in out.message and out.cpu < 6.0, f"{name}: {out}"
        assert "expected" in out.message or "cells" in out.message, f"{name}: {out}"


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
@pytest.mark.parametrize("layout", ["coordinate", "array"])
def test_matrix_market_is_what_scipy_makes_of_it(tmp_path, layout, symmetry):
    import scipy.io
    import scipy.sparse as sp

    rng = np.random.default_rng(1)
    matrix = np.where(rng.random((7, 7)) < 0.5, rng.normal(size=(7, 7)), 0.0)
    if symmetry != "general":
        matrix = np.tril(matrix, -1)
        matrix = matrix + matrix.T if symmetry == "symmetric" else matrix - matrix.T
    path = tmp_path / "a.mtx"
    scipy.io.mmwrite(path, sp.coo_array(matrix) if layout == "coordinate" else matrix, symmetry=symmetry, precision=17)
    expected = scipy.io.mmread(path)
    expected = expected.toarray() if layout == "coordinate" else expected
    assert np.array_equal(rv.networks.read_edges(path).matrix().toarray(), expected) and np.abs(expected).sum() > 1
