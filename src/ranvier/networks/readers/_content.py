"""What a file is, by its first bytes: never by its name."""

from __future__ import annotations

import re

from ranvier.files.reading import library_fault

#: said wherever a file is none of them
SUPPORTED = (
    "edge lists and adjacency matrices (CSV, TSV, white space, .xlsx, Parquet, Feather), Matrix Market, NumPy's "
    ".npy and .npz, GraphML, GEXF, GML, Pajek, node-link JSON, each gzipped or not"
)

_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "HDF5: a network in NIR is read by read_nir"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file: save its matrix as .npz or Matrix Market (scipy.io.loadmat, mmwrite)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file: save it as .xlsx or CSV"),
    (b"SQLite format 3\0", "an SQLite database: export a table as CSV"),
    (b"%PDF-", "a PDF"),
    (b"BZh", "packed by bzip2: unpack it first"),
    (b"\xfd7zXZ\0", "packed by xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it first"),
    (b"Rar!", "an archive: unpack it first"),
    (b"7z\xbc\xaf", "an archive: unpack it first"),
)
_GML = re.compile(rb"\s*(?:(?:#[^\n]*|(?:creator|version|comment)\b[^\n]*)\n\s*)*graph\s*\[", re.IGNORECASE)
_PAJEK = re.compile(rb"\s*(?:%[^\n]*\n\s*)*\*(?:network|vertices)\b", re.IGNORECASE)


def recognise(data: bytes) -> str:
    """One of "matrix market", "npy", "npz", "xlsx", "parquet", "feather", "graphml", "gexf", "gml", "pajek", "json" and
    "text".

    Raises ValueError, which says what else it is where that is known, for all others.
    """
    head = data[:4096]
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise ValueError(what)
    if re.match(rb"\x80[\x02-\x05]", head) and b"." in data[-2:]:
        raise ValueError(
            "a pickle, which could run anything; expected text, or arrays without objects: save it as such"
        )
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(data)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"FEA1")):
        return "feather"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text[:14].lower() == b"%%matrixmarket":
        return "matrix market"
    text = text.lstrip()
    if text[:1] == b"<":
        return _in_xml(data)
    if text[:1] in (b"{", b"["):
        return "json"
    if _PAJEK.match(text):
        return "pajek"
    if _GML.match(text):
        return "gml"
    return "text"


def _in_zip(data: bytes) -> str:
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        fault = library_fault(error, (zipfile.BadZipFile,))
        raise ValueError(f"a broken zip archive, {fault}; expected a whole one") from error
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if "xl/workbook.xml" in names:
        return "xlsx"
    raise ValueError("a zip archive of something else; expected a single table or graph: unpack it first")


def _in_xml(data: bytes) -> str:
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", data, re.IGNORECASE):
        raise ValueError(
            "XML with a document type or entities, which are never expanded; expected none: write it without"
        )
    root = re.search(rb"<\s*(?:[\w.-]+:)?([A-Za-z][\w.-]*)", data[:65536])
    name = root[1].lower().decode() if root else ""
    if name in ("graphml", "gexf"):
        return name
    raise ValueError(f"XML of another kind (<{name[:40]}>); expected GraphML or GEXF")


__all__ = ["SUPPORTED", "recognise"]
