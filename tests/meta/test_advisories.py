"""The pinned packages lie beyond the versions of which a weakness is known; `make audit` asks for the list of today.

All 135 pinned packages were compared with the 2664 entries of PyPA's advisory database as of 2024-10-10: 28 of them
have entries, 126 together, and none is of a pinned version. What became known from then to November 2026 is here as
far as it was found, package by package; for that time it is no complete list.
"""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
#: package -> (first version without it, advisories)
MENDED = {
    "torch": ("2.10.0", "CVE-2025-32434, CVE-2025-3730, CVE-2026-24747; torch.load, which nothing here calls"),
    "numpy": ("1.22.0", "CVE-2021-34141"),
    "scipy": ("1.10.0", "CVE-2023-25399"),
    "jinja2": ("3.1.6", "CVE-2024-56201, CVE-2024-56326, CVE-2025-27516"),
    "pillow": ("11.3.0", "CVE-2023-4863, CVE-2024-28219, CVE-2025-48379"),
    "fonttools": ("4.60.2", "CVE-2023-45139, CVE-2025-66034"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206"),
    "joblib": ("1.2.0", "CVE-2022-21797"),
    "pyarrow": ("14.0.1", "CVE-2023-47248: Feather and Parquet files that run code"),
    "openpyxl": ("2.4.2", "CVE-2017-5992"),
    "onnx": ("1.21.0", "CVE-2024-27318, CVE-2025-51480, CVE-2026-27489, CVE-2026-34445"),
    "transformers": ("5.3.0", "CVE-2025-14920 to CVE-2025-14927, and earlier ones"),
    "dask": ("2021.10.0", "CVE-2021-42343"),
    "tornado": ("6.5.0", "CVE-2025-47287"),
    "requests": ("2.33.0", "CVE-2024-47081, CVE-2026-25645"),
    "urllib3": ("2.7.0", "CVE-2025-66418, CVE-2026-21441, CVE-2026-44431, CVE-2026-44432"),
    "zipp": ("3.19.1", "CVE-2024-5569"),
    # what reads no file of others here, or reads it for one of those above
    "certifi": ("2024.7.4", "CVE-2023-37920, CVE-2024-39689"),
    "distributed": ("2021.10.0", "CVE-2021-42343"),
    "filelock": ("3.20.3", "CVE-2025-68146, CVE-2026-22701"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "idna": ("3.7", "CVE-2024-3651"),
    "lxml": ("4.9.1", "CVE-2022-2309, and earlier ones"),
    "markdown-it-py": ("2.2.0", "CVE-2023-26302, CVE-2023-26303"),
    "mpmath": ("1.3.0", "CVE-2021-29063"),
    "pandas": ("1.0.4", "CVE-2020-13091; read_pickle, which nothing here calls"),
    "protobuf": ("6.33.5", "CVE-2022-1941, CVE-2025-4565, CVE-2026-0994"),
    "psutil": ("5.6.6", "CVE-2019-18874"),
    "pydantic": ("2.4.0", "CVE-2021-29510, CVE-2024-3772"),
    "pygments": ("2.15.1", "CVE-2022-40896"),
    "pyyaml": ("5.4", "CVE-2020-14343"),
    "tqdm": ("4.66.3", "CVE-2016-10075, CVE-2024-34062"),
    "websockets": ("9.1", "CVE-2021-33880"),
}
#: what reads files of others here: not even the oldest version that may be installed has a weakness
READERS = ("numpy", "scipy", "jinja2", "scikit-learn", "joblib", "pyarrow", "openpyxl", "onnx", "transformers")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_pinned_set_has_no_known_weakness():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {plain(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}
    absent = MENDED.keys() - pinned.keys()
    assert not absent
    old = {name: pinned[name] for name, (first, _) in MENDED.items() if Version(pinned[name]) < Version(first)}
    assert not old


def test_readers_of_files_are_required_without_a_known_weakness():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    required = {plain((r := Requirement(text)).name): r.specifier for texts in lists for text in texts}
    for name in READERS:
        lowest = min(Version(part.version) for part in required[name] if part.operator == ">=")
        assert lowest >= Version(MENDED[name][0]), f"{name}>={lowest}; {MENDED[name][1]}: require {MENDED[name][0]}"
