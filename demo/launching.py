"""Two portals and a stand-in for Convertro as child processes: prepared, started together, watched, and stopped together."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from demo.looks import answers, blocks_interrupts, forward, migrations_digest
from demo.state import CLIENT, CONVERTRO, PORTAL, State, demo_lead_hash, first_leads

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
STOP_SECONDS = 15
LEAD_SECONDS = 10


class LaunchProblem(Exception):
    """What keeps the portals from running, in a line for the one who started them."""


class Stopped(BaseException):
    """Ctrl-C, SIGTERM, a closed terminal, or the end of the process that this one was to end with."""


class Launcher:
    """Both portals of one `var` directory. `stop_with`: the parent process to end with, if any."""

    def __init__(self, var: Path, *, ports: Mapping[str, int], stop_with: int | None = None) -> None:
        self.var = var
        self.ports = ports
        self.stop_with = stop_with
        self.state = State(var)
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._preparing: list[subprocess.Popen[bytes]] = []
        self._lock: IO[str] | None = None
        self._stand_in: socket.socket | None = None

    # --- from nothing to ready ------------------------------------------------------------------------------

    def start(self, *, reset: bool) -> None:
        """Prepare and start both; returns once both answer and var/run.json is written."""
        self._only_one()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._on_signal)
        if reset:
            self.state.reset()
        self.state.load()
        first_time = not self.state.complete
        if first_time:
            print("Setting up both portals (once) …", flush=True)
        self._stand_in = self._listen_for_convertro()
        self._migrate()
        if not self.state.set_up(CLIENT):
            self._configure(CLIENT)
        for name in (CLIENT, PORTAL):
            self._serve(name)
        for name in (CLIENT, PORTAL):
            self._wait_ready(name)
        if not self.state.set_up(PORTAL):
            self._configure(PORTAL)  # it asks the client's portal for its form
        self._serve_stand_in()
        about = self.state.about(self.urls)
        if first_time:
            first_leads(about)
        for name in (PORTAL, CLIENT):
            if not self.state.lead_hash(name):
                # The client's portal gets its first leads from yours within a moment.
                self.state.note_lead_hash(name, demo_lead_hash(about[name], LEAD_SECONDS))
        self.state.write_run_file(self.urls)

    @property
    def urls(self) -> dict[str, str]:
        ports = dict(self.ports)
        if self._stand_in is not None:
            ports[CONVERTRO] = self._stand_in.getsockname()[1]
        return {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}

    def welcome(self, took_s: float) -> str:
        about = self.state.about(self.urls)
        lines = [f"Ready in {took_s:.1f} s.", ""]
        for name, words in ((PORTAL, "Your portal"), (CLIENT, "The client's portal")):
            url, password = about[name]["url"], about[name]["admin_password"]
            lines.append(f"  {words:<20} {url}/admin/   log in as {about[name]['admin_username']} / {password}")
        stand_in = about[PORTAL]["convertro_stand_in"]
        lines.append(f"  {'What Convertro got':<20} {stand_in}/")
        lines.append(f"  {'A tracked site':<20} {stand_in}/site")
        return "\n".join(
            [
                *lines,
                "",
                "Try first:",
                "  1. In your portal, open the campaign “Spring webinar” and its integration “Larkfield's instance”: Configure.",
                "  2. In another terminal: make demo-leads N=100. They arrive in the client's portal by themselves.",
                "  3. In the client's portal, select some of its leads and flag them invalid with a reason. Look at the same",
                "     leads in your portal: the verdict, its reason code and comment are there.",
                "  4. Open the tracked site and click: the campaign's tab Sources shows each event as it comes, and what became of it.",
                "",
                f"What scripts need to know is in {self._shown(self.state.run_file)}. Ctrl-C stops both.",
            ]
        )

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

    def _only_one(self) -> None:
        if len(set(self.ports.values())) != len(self.ports):
            raise LaunchProblem("Both portals would have the same port: give them two with PORT=… and CLIENT_PORT=…")
        for name, port in self.ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except (OSError, OverflowError) as error:
                    variable = "PORT" if name == PORTAL else "CLIENT_PORT"
                    words = f"Port {port} is taken by another program" if port < 65536 else f"{port} is no port"
                    if isinstance(error, PermissionError):
                        words = f"Port {port} may not be used by you"
                    raise LaunchProblem(f"{words}: choose another with {variable}=…") from None
        self.var.mkdir(parents=True, exist_ok=True)
        self._lock = (self.var / "run.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LaunchProblem(
                f"These portals are running already, on other ports: see {self.state.run_file}."
            ) from None

    def _on_signal(self, *_: object) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        raise Stopped

    # --- the databases --------------------------------------------------------------------------------------

    def _migrate(self) -> None:
        """Bring both databases' tables up to date, at the same time; nothing to do when no migration is new."""
        digest = migrations_digest()
        due = [name for name in (PORTAL, CLIENT) if not self.state.migrated(name, digest)]
        running = {name: self._manage(name, "migrate", "--verbosity", "0") for name in due}
        for name, process in running.items():
            self._finish(name, process)
            self.state.note_migrated(name, digest)

    def _configure(self, name: str) -> None:
        ids = self.var / f"{name}-ids.json"
        secrets = self.state.configuration_env()
        # The two don't touch each other's rows, so they may run at the same time.
        admin = {
            "DJANGO_SUPERUSER_USERNAME": "admin",
            "DJANGO_SUPERUSER_EMAIL": f"admin@{name}.example",
            "DJANGO_SUPERUSER_PASSWORD": self.state.secret(f"{name}_admin_password"),
        }
        file = str(ROOT / "demo" / f"{name}.yml")
        applying = self._manage(name, "config", "apply", file, "--ids", str(ids), env=secrets)
        if not self.state.has_admin(name):
            self._finish(name, self._manage(name, "createsuperuser", "--noinput", env=admin))
            self.state.note_admin(name)
        self._finish(name, applying)
        self.state.note_set_up(name, ids)

    def _manage(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        process = self._start(name, *command, env=env)
        self._preparing.append(process)
        return process

    def _start(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  a command of our own
            [sys.executable, str(ROOT / "manage.py"), *command],
            cwd=ROOT,
            env={**self._env(name), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _finish(self, name: str, process: subprocess.Popen[bytes]) -> None:
        output, _ = process.communicate()
        if process.returncode:
            words = output.decode(errors="replace").strip()
            raise LaunchProblem(f"The {name} could not be set up:\n{words}\nmake run RESET=1 starts anew.")

    # --- the processes --------------------------------------------------------------------------------------

    def _env(self, name: str) -> dict[str, str]:
        urls = self.urls
        inherited = {key: value for key, value in os.environ.items() if key not in _OURS}
        return {
            "LOG_LEVEL": "WARNING",
            **inherited,
            **self.state.portal_env(name),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "INSTANCE_SUBDOMAIN": name,
            "INSTANCE_URL": urls[name],
            "CONVERTR_INSTANCES": ",".join(f"{other}={url}" for other, url in urls.items()),
            "CONNECTOR_PRIVATE_HOSTS": ",".join(url.removeprefix("http://") for url in urls.values()),
            "CONVERTRO_API_URL": urls[CONVERTRO],
            "PYTHONUNBUFFERED": "1",
        }

    def _serve(self, name: str) -> None:
        command = ["serve", "--port", str(self.ports[name]), "--stop-with", str(os.getpid())]
        # A session of its own: Ctrl-C reaches this process alone, which then stops both in order.
        child = self.children[name] = self._start(name, *command)
        threading.Thread(target=forward, args=(name, child), name=f"output of {name}", daemon=True).start()

    def _listen_for_convertro(self) -> socket.socket:
        """Where it listened last; else beside the client's portal; else at any port that is free."""
        for port in (self.state.stand_in_port, self.ports[CLIENT] + 1, None):
            if port == 0 or port in self.ports.values():
                continue
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", port or 0))
                listening.listen(128)
            except (OSError, OverflowError):
                listening.close()
                continue
            self.state.note_stand_in_port(listening.getsockname()[1])
            return listening
        raise LaunchProblem("No port is free for Convertro's stand-in.")

    def _serve_stand_in(self) -> None:
        about, listening = self.state.about(self.urls)[PORTAL], self._stand_in
        assert listening is not None
        form = f"/webhook/campaign/{about['campaign_id']}/global-form/{about['form_id']}/leads"
        asked = f"apikey={about['campaign_api_key']}&publisherId={about['publisher_id']}"
        told = {
            "DEMO_PORTAL": about["url"],
            "DEMO_WRITE_KEY": about["write_key"],
            "DEMO_LEAD_URL": f"{about['url']}{form}?{asked}",
        }
        command = [sys.executable, str(ROOT / "demo" / "convertro.py")]
        child = self.children[CONVERTRO] = subprocess.Popen(  # noqa: S603  a command of our own
            [*command, "--fd", str(listening.fileno()), "--stop-with", str(os.getpid())],
            cwd=ROOT,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )
        threading.Thread(target=forward, args=(CONVERTRO, child), name="output of convertro", daemon=True).start()

    def _wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not answers(self.urls[name]):
            self._refuse_dead()
            if time.monotonic() > deadline:
                raise LaunchProblem(f"The {name} did not answer within {READY_SECONDS} seconds.")
            time.sleep(0.05)

    def _refuse_dead(self) -> None:
        for name, child in self.children.items():
            if child.poll() is not None:
                who = "stand-in for Convertro" if name == CONVERTRO else name
                raise LaunchProblem(
                    f"The {who} ended by itself (exit code {child.returncode}), so all were stopped. "
                    "What it said is above."
                )

    def watch(self) -> None:
        """Wait until something ends: Stopped, or a LaunchProblem where a portal ended by itself."""
        parent = self.stop_with
        could_be_told = parent and not blocks_interrupts(parent)
        told = 0
        while True:
            self._refuse_dead()
            if parent and os.getppid() != parent:
                raise Stopped
            # A SIGINT that reached make alone: it blocks the signal from then on and waits for its children to end.
            told = told + 1 if parent and could_be_told and blocks_interrupts(parent) else 0
            if told > 1:
                raise Stopped
            time.sleep(0.3)

    def stop(self) -> None:
        """Stop what runs, both at the same time; whatever does not end is killed."""
        for process in self._preparing:
            if process.poll() is None:
                process.kill()
        running = [child for child in self.children.values() if child.poll() is None]
        for child in running:
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        time.sleep(0.05)  # the last lines of their output


# What this process sets for its portals is not taken over from whoever starts it.
_OURS = (
    "DATABASE_URL",
    "BROKER_URL",
    "REDIS_URL",
    "ENV_FILE",
    "DEBUG",
    "CONVERTR_URL",
    "ALLOWED_HOSTS",
    "TEST_DATABASE",
)
