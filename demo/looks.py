"""Small looks at processes and files from outside, for the launcher."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def forward(name: str, child: subprocess.Popen[bytes]) -> None:
    """Print what a portal says, with its name before it, until it ends."""
    assert child.stdout is not None
    with contextlib.suppress(ValueError, OSError):
        for line in child.stdout:
            text = line.decode(errors="replace").rstrip()
            if text and text != "Stopped." and " on http://" not in text:
                print(f"{name} | {text}", flush=True)


# A proxy is for the world outside, never for this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Whether a portal speaks there, whatever it says."""
    try:
        with _DIRECT.open(f"{url}/health", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def blocks_interrupts(pid: int) -> bool:
    """Whether a process blocks SIGINT just now, where the system tells (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    blocked = next((line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:")), "0")
    return bool(int(blocked, 16) >> (signal.SIGINT - 1) & 1)


def migrations_digest() -> str:
    """Of all migrations of the project and of the pinned packages that have some."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in sorted(ROOT.glob("*/migrations/*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
