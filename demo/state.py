"""What is kept of the demo between its runs: secrets made up at the first start, ids, and var/run.json for scripts."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.api import Administrator, Publisher
from demo.people import BAD_LEADS, GOOD_LEADS, people

PORTAL, CLIENT = "portal", "client"
CONVERTRO = "convertro"
NAMES = {PORTAL: ("Brightwater Media", "blue"), CLIENT: ("Larkfield Software", "plum")}
# What portal.yml and client.yml call things, for looking up their ids.
_PLACES = {
    PORTAL: {
        "campaign": "Spring webinar",
        "inactive_campaign": "Winter webinar",
        "publisher": "Inkwell Publishing",
        "form": "Webinar registration",
        "username": "desk@inkwell.example",
    },
    CLIENT: {
        "campaign": "Spring webinar (partners)",
        "inactive_campaign": "Autumn fair (partners)",
        "publisher": "Brightwater Media",
        "form": "Partner leads",
        "username": "leads@brightwater.example",
    },
}
_API_KEYS = (
    "PORTAL_PUBLISHER_API_KEY", "PORTAL_LEDGER_API_KEY", "PORTAL_HARBOUR_API_KEY", "PORTAL_CAMPAIGN_API_KEY",
    "PORTAL_INACTIVE_CAMPAIGN_API_KEY", "CLIENT_PUBLISHER_API_KEY", "CLIENT_FERNHILL_API_KEY",
    "CLIENT_CAMPAIGN_API_KEY", "CLIENT_INACTIVE_CAMPAIGN_API_KEY",
)  # fmt: skip
_PASSWORDS = ("PORTAL_PUBLISHER_PASSWORD", "CLIENT_PUBLISHER_PASSWORD")
_FIRST_LEADS, _FIRST_SEED = 12, 2026


class State:
    """Files of one var directory: the state of the demo (mode 600), the databases, and run.json (mode 600)."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.file = var / "demo.json"
        self.run_file = var / "run.json"
        self._data: dict[str, Any] = {}

    # --- kept values ----------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read what is kept; what is not there yet, or belongs to a database that is gone, is made up anew."""
        self._data = json.loads(self.file.read_text()) if self.file.exists() else {}
        if not all(self._database(name).exists() for name in (PORTAL, CLIENT)):
            self.reset()
        kept = self._data.setdefault("secrets", {})
        for name in (*_API_KEYS, "oauth_client_secret", "PORTAL_WRITE_KEY", "portal_secret_key", "client_secret_key"):
            kept.setdefault(name, secrets.token_hex(20))
        for name in (*_PASSWORDS, "portal_admin_password", "client_admin_password"):
            kept.setdefault(name, secrets.token_urlsafe(9))
        for name in ("portal_encryption_key", "client_encryption_key"):
            kept.setdefault(name, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        self._save()

    def reset(self) -> None:
        """Throw away both databases and all that is kept beside them."""
        for name in (PORTAL, CLIENT):
            for ending in ("", "-wal", "-shm", "-journal"):
                self._database(name).with_name(self._database(name).name + ending).unlink(missing_ok=True)
            (self.var / f"{name}-ids.json").unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)
        self.run_file.unlink(missing_ok=True)
        self._data = {}

    def secret(self, name: str) -> str:
        return str(self._data["secrets"][name])

    def set_up(self, name: str) -> bool:
        kept = self._data.get(f"{name}_ids", {})
        # What was set up before there were sources is set up anew.
        return "sources" in kept if name == PORTAL else bool(kept)

    def has_admin(self, name: str) -> bool:
        return bool(self._data.get(f"{name}_admin"))

    @property
    def complete(self) -> bool:
        return self.set_up(PORTAL) and self.set_up(CLIENT)

    def migrated(self, name: str, digest: str) -> bool:
        return self._data.get(f"{name}_migrations") == digest and self._database(name).exists()

    def note_migrated(self, name: str, digest: str) -> None:
        self._data[f"{name}_migrations"] = digest
        self._save()

    def note_admin(self, name: str) -> None:
        self._data[f"{name}_admin"] = True
        self._save()

    def note_set_up(self, name: str, ids: Path) -> None:
        self._data[f"{name}_ids"] = json.loads(ids.read_text())
        ids.unlink()
        self._save()

    # --- environments ---------------------------------------------------------------------------------------

    def portal_env(self, name: str) -> dict[str, str]:
        instance_name, colour = NAMES[name]
        return {
            "INSTANCE_NAME": instance_name,
            "INSTANCE_COLOUR": colour,
            "DATABASE_URL": f"sqlite:///{self._database(name)}",
            "SECRET_KEY": self.secret(f"{name}_secret_key"),
            "ENCRYPTION_KEYS": self.secret(f"{name}_encryption_key"),
            "OAUTH_CLIENT_ID": "convertr-connect",
            "OAUTH_CLIENT_SECRET": self.secret("oauth_client_secret"),
        }

    def configuration_env(self) -> dict[str, str]:
        """What stands as env:NAME in portal.yml and client.yml."""
        env = {name: self.secret(name) for name in (*_API_KEYS, *_PASSWORDS, "PORTAL_WRITE_KEY")}
        if self.set_up(CLIENT):
            for kind in ("campaign", "publisher", "form"):
                env[f"CLIENT_{kind.upper()}_ID"] = str(self._id(CLIENT, kind))
        return env

    # --- run.json -------------------------------------------------------------------------------------------

    def about(self, urls: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """All that scripts need to use both portals."""
        found = {}
        for name in (PORTAL, CLIENT):
            upper = name.upper()
            found[name] = {
                "url": urls[name],
                "admin_username": "admin",
                "admin_password": self.secret(f"{name}_admin_password"),
                "campaign_id": self._id(name, "campaign"),
                "publisher_id": self._id(name, "publisher"),
                "form_id": self._id(name, "form"),
                "api_key": self.secret(f"{upper}_PUBLISHER_API_KEY"),
                "client_id": "convertr-connect",
                "client_secret": self.secret("oauth_client_secret"),
                "username": _PLACES[name]["username"],
                "password": self.secret(f"{upper}_PUBLISHER_PASSWORD"),
                "campaign_api_key": self.secret(f"{upper}_CAMPAIGN_API_KEY"),
                "campaign_name": _PLACES[name]["campaign"],
                "good_lead": GOOD_LEADS[name],
                "bad_lead": BAD_LEADS[name],
                "lead_hash": self.lead_hash(name),
                "inactive_campaign_id": self._id(name, "inactive_campaign"),
                "inactive_campaign_api_key": self.secret(f"{upper}_INACTIVE_CAMPAIGN_API_KEY"),
            }
        found[PORTAL]["write_key"] = self.secret("PORTAL_WRITE_KEY")
        found[PORTAL]["convertro_stand_in"] = urls[CONVERTRO]
        return found

    @property
    def stand_in_port(self) -> int:
        """The port that Convertro's stand-in had last; 0 where it had none."""
        return int(self._data.get("stand_in_port", 0))

    def note_stand_in_port(self, port: int) -> None:
        if port != self.stand_in_port:
            self._data["stand_in_port"] = port
            self._save()

    def lead_hash(self, name: str) -> str:
        return str(self._data.get(f"{name}_lead_hash", ""))

    def note_lead_hash(self, name: str, lead_hash: str) -> None:
        self._data[f"{name}_lead_hash"] = lead_hash
        self._save()

    def write_run_file(self, urls: Mapping[str, str]) -> None:
        _write(self.run_file, self.about(urls))

    def _id(self, name: str, kind: str) -> int:
        plural = "campaigns" if kind.endswith("campaign") else f"{kind}s"
        return int(self._data[f"{name}_ids"][plural][_PLACES[name][kind]])

    def _database(self, name: str) -> Path:
        return self.var / f"{name}.sqlite3"

    def _save(self) -> None:
        _write(self.file, self._data)


def first_leads(about: Mapping[str, Mapping[str, Any]]) -> None:
    """Post a dozen leads to your portal, the good one last, as its publisher would."""
    publisher = Publisher(about[PORTAL])
    publisher.log_in()
    for person in people(_FIRST_LEADS * 2, _FIRST_SEED):
        if person.kind == "valid":
            publisher.submit(person.values)
    publisher.submit(GOOD_LEADS[PORTAL])


def demo_lead_hash(portal: Mapping[str, Any], wait_s: float) -> str:
    """The hash of the newest lead of the demo campaign, waiting for it if need be; empty when none came."""
    reader = Administrator(portal)
    deadline = time.monotonic() + wait_s
    while not (lead := reader.newest(**{"campaign.id": str(portal["campaign_id"])})):
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.1)
    return str(lead["leadHash"])


def _write(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(data, file, indent=2, ensure_ascii=False)
        file.write("\n")
    new.replace(path)
