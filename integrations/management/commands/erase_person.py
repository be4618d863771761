"""manage.py erase_person: all that tracked events say of a person, erased for good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.tracked_events.kept import person_erase


class Command(BaseCommand):
    help = "Erase all that tracked events say of a person, named by user id, anonymous id or e-mail address, for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            erased = person_erase(options["who"])
        except ValueError as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(
            f"Erased: {erased.persons} persons, the messages of {erased.events} events, {erased.deliveries} deliveries."
        )
