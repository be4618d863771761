"""Whether a lead comes from an office: one's own, the publisher's, the client's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from integrations.kit.job_settings import lines
from integrations.kit.jobs import BadSetting, Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values


def _compile(values: Values) -> QualityCheck:
    networks = []
    for line in lines(values, "networks"):
        try:
            networks.append(ipaddress.ip_network(line, strict=False))
        except ValueError:
            words = f"“{line[:50]}” is no IP address and no network. Write 192.0.2.7 or 192.0.2.0/24."
            raise BadSetting("networks", words) from None
    if not networks:
        raise BadSetting("networks", "Enter at least one IP address.")

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        try:
            address = ipaddress.ip_address(lead.ip)
        except ValueError:
            return None
        address = getattr(address, "ipv4_mapped", None) or address
        return (
            Failed("It comes from an address that is no visitor's.")
            if any(address in net for net in networks)
            else None
        )

    return QualityCheck(judge)


KIND = JobKind(
    JobManifest(
        slug="office_address",
        name="Office address",
        summary="Fails a lead that comes from the IP address of an office.",
        tab="quality",
        former_names=("Office IP",),
        settings=(
            JobSetting("networks", "Addresses", "lines", help="One on each line, such as 192.0.2.7 or 192.0.2.0/24."),
        ),
    ),
    _compile,
)
