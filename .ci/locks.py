"""Tell whether requirements*.txt were made from requirements*.in as they are now, without a network.

`sign` puts the digests of the .in files at the head of the locks (`make lock` does it last); `check` compares them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"requirements.txt": ["requirements.in"], "requirements-dev.txt": ["requirements-dev.in", "requirements.in"]}
HEAD = "# Pinned by `make lock` from "


def head_line(sources: list[str]) -> str:
    digest = hashlib.sha256()
    for name in sources:
        lines = (ROOT / name).read_text().splitlines()
        asked = [line.split("#")[0].strip() for line in lines]
        digest.update("\n".join(line for line in asked if line).encode() + b"\0")
    return f"{HEAD}{' and '.join(sources)} ({digest.hexdigest()[:16]}); not to be edited.\n"


def main() -> int:
    stale = 0
    for lock, sources in LOCKS.items():
        path, wanted = ROOT / lock, head_line(sources)
        text = path.read_text()
        if text.startswith(wanted):
            continue
        if sys.argv[1:] == ["sign"]:
            body = text.split("\n", 1)[1] if text.startswith(HEAD) else text
            path.write_text(wanted + body)
        else:
            print(f"{lock} is older than {' and '.join(sources)}: run make lock.")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
