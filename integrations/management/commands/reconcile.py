"""`manage.py reconcile`: both sides compared lead by lead, and mended; docs/operating.md, "Reconciliation"."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from integrations.comparing import Finding, Result, comparable, deliveries_to_compare, integration_compare, since_parsed
from integrations.models import Integration
from leads.models import Campaign


class Command(BaseCommand):
    help = (
        "Ask clients about each lead that went to them, compare their word with ours, and apply what differs. "
        "Exit code 0 when all is equal or mended, 1 when something is left for a person or was not answered."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--campaign", required=True, help="Its number or its name.")
        parser.add_argument(
            "--since", default="7d", help="A date (2026-03-04) or a span (7d, 12h, 2w); 7d if left out."
        )
        parser.add_argument("--integration", help="Only this one: its number or its name.")
        parser.add_argument("--dry-run", action="store_true", help="Only compare: nothing is changed here.")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            since = since_parsed(options["since"])
        except ValueError:
            raise CommandError(f"--since {options['since']}: give a date as 2026-03-04, or a span as 7d.") from None
        campaign = _one(Campaign.objects.all(), options["campaign"], "campaign")
        integrations = Integration.objects.filter(campaign=campaign.pk, managed=False)
        if options["integration"]:
            one = _one(integrations, options["integration"], "integration of this campaign")
            integrations = integrations.filter(pk=one.pk)
        chosen = comparable(integrations)
        if not chosen:
            raise CommandError("No integration there whose client can be asked for verdicts.")
        found: list[Finding] = []
        for integration in chosen:
            found += self._compare(integration, since, as_text=options["format"] == "text", dry_run=options["dry_run"])
        counts = Counter(finding.result for finding in found)
        if options["format"] == "json":
            summary = {"compared": len(found), **{str(result): counts[result] for result in Result}}
            self.stdout.write(
                json.dumps(
                    {
                        "since": since.isoformat(),
                        "dry_run": options["dry_run"],
                        "counts": summary,
                        "findings": [finding.as_dict() for finding in found],
                    },
                    ensure_ascii=False,
                    indent=2,
                )
            )
        else:
            changed = "would be changed" if options["dry_run"] else "changed"
            self.stdout.write(
                f"{len(found):,} compared: {counts[Result.EQUAL]:,} equal, {counts[Result.CHANGED]:,} {changed}, "
                f"{counts[Result.LEFT]:,} differ and are left for a person, {counts[Result.UNANSWERED]:,} not answered."
            )
            unanswered = [str(finding.lead_id) for finding in found if finding.result == Result.UNANSWERED]
            if unanswered:
                more = f" and {len(unanswered) - 100:,} more" if len(unanswered) > 100 else ""
                self.stdout.write(f"Not answered: lead {', '.join(unanswered[:100])}{more}.")
        if counts[Result.LEFT] or counts[Result.UNANSWERED]:
            sys.exit(1)

    def _compare(self, integration: Integration, since: Any, *, as_text: bool, dry_run: bool) -> list[Finding]:
        total = deliveries_to_compare([integration.pk], since).count()
        found: list[Finding] = []
        told = time.monotonic()

        def wait(seconds: float) -> None:
            self.stderr.write(
                f"{integration.name}: the budget of look-ups is spent; going on in {seconds:,.0f} seconds."
            )
            time.sleep(seconds)

        for batch in integration_compare(integration, since, dry_run=dry_run, wait=wait):
            found += batch
            for finding in batch if as_text else ():
                if finding.result != Result.EQUAL:
                    self.stdout.write(f"{finding.integration}, lead {finding.lead_id}: {finding.words}")
            if time.monotonic() - told > 5 or len(found) >= total:
                told = time.monotonic()
                self.stderr.write(f"{integration.name}: {len(found):,} of {total:,}")
        return found


def _one(rows: Any, wanted: str, noun: str) -> Any:
    by_name = list(rows.filter(name=wanted)[:2])
    if len(by_name) > 1:
        raise CommandError(f"More than one {noun} is called “{wanted}”: give its number.")
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else 0
    found = rows.filter(Q(pk=number)).first() or (by_name[0] if by_name else None)
    if found is None:
        raise CommandError(f"There is no {noun} “{wanted}”.")
    return found
