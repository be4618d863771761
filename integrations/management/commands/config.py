"""`manage.py config apply FILE` and `manage.py config export`; docs/operating.md, "Configuration as a file"."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.configuration.apply import apply, ask_clients
from integrations.configuration.export import export
from integrations.configuration.reading import ConfigurationError
from integrations.configuration.schema import parse


class Command(BaseCommand):
    help = "Apply a configuration file, or write one of what is set up."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        applying = what.add_parser("apply", help="Make the portal be set up as the file says; deletes nothing.")
        applying.add_argument("file", help="A YAML file; - reads from standard input.")
        applying.add_argument("--ids", metavar="FILE", help="Write the ids of what the file names there, as JSON.")
        applying.add_argument(
            "--no-pull",
            action="store_true",
            help="Do not ask clients for their forms; integrations stay off till then.",
        )
        exporting = what.add_parser("export", help="Write what is set up as YAML, without secrets.")
        exporting.add_argument("-o", "--output", metavar="FILE", help="Write there instead of to standard output.")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "apply":
            self._apply(options["file"], options["ids"], pull=not options["no_pull"])
        else:
            self._export(options["output"])

    def _apply(self, file: str, ids: str | None, *, pull: bool) -> None:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} can't be read: {error}") from None
        try:
            report = apply(parse(text, "standard input" if file == "-" else file, os.environ))
        except ConfigurationError as error:
            raise CommandError(f"Nothing was changed.\n{error}") from None
        for line in report.lines:
            self.stdout.write(line)
        self.stdout.write(report.summary())
        if ids:
            Path(ids).write_text(json.dumps(report.ids, indent=2) + "\n")
        if pull:
            try:
                ask_clients(report)
            except ConfigurationError as error:
                raise CommandError(str(error)) from None

    def _export(self, output: str | None) -> None:
        text = export()
        if output is None:
            self.stdout.write(text, ending="")
        else:
            Path(output).write_text(text, encoding="utf-8")
            self.stdout.write(f"Written to {output}. Secrets are not in it: see its env: lines.")
