"""Starts two connected portals on this machine, yours and a client's, and stops both with Ctrl-C: `make run`.

Each is one process, `manage.py serve`, with a database of its own in var/. The first start sets both up from portal.yml and
client.yml with secrets made up on the spot; later ones keep what is there. var/run.json tells scripts all about them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo.launching import Launcher, LaunchProblem, Stopped  # noqa: E402  the line above makes it findable


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="of your portal")
    parser.add_argument("--client-port", type=int, default=8001, help="of the client's portal")
    parser.add_argument("--reset", action="store_true", help="throw away what both know and start anew")
    parser.add_argument("--stop-with", type=int, metavar="PID", help="stop once this parent process has ended")
    parser.add_argument("--var", type=Path, default=ROOT / "var", help="where databases and secrets are kept")
    asked = parser.parse_args()

    began = time.monotonic()
    launcher = Launcher(
        asked.var.resolve(), ports={"portal": asked.port, "client": asked.client_port}, stop_with=asked.stop_with
    )
    try:
        launcher.start(reset=asked.reset)
        print(launcher.welcome(time.monotonic() - began), flush=True)
        launcher.watch()
    except Stopped:
        print("\nStopping both portals …", flush=True)
        launcher.stop()
        print("Stopped. What they know is kept; make run starts them again.")
        return 0
    except LaunchProblem as problem:
        launcher.stop()
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
