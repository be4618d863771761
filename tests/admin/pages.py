"""Reads pages as a browser would: what a form would send, and what the messages say."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any


class _Boxes(HTMLParser):
    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id, self.inside = form_id, False
        self.values: dict[str, str] = {}
        self.select = self.textarea = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.inside = given.get("id") == self.form_id
        if not self.inside:
            return
        name = given.get("name", "")
        if tag == "input" and name:
            if given.get("type") not in ("checkbox", "radio"):
                self.values[name] = given.get("value", "")
            elif "checked" in given:
                self.values[name] = given.get("value", "on")
        elif tag == "select":
            self.select = name
            self.values.setdefault(name, "")
        elif tag == "option" and self.select and "selected" in given:
            self.values[self.select] = given.get("value", "")
        elif tag == "textarea":
            self.textarea = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "select":
            self.select = ""
        elif tag == "textarea":
            self.textarea = ""

    def handle_data(self, data: str) -> None:
        if self.textarea:
            self.values[self.textarea] += data.lstrip("\n")


def boxes(response: Any, form_id: str = "configure") -> dict[str, str]:
    """What the form with this id would send as it stands."""
    reader = _Boxes(form_id)
    reader.feed(text(response))
    return {name: value for name, value in reader.values.items() if name != "csrfmiddlewaretoken"}


def text(response: Any) -> str:
    return str(response.content.decode())


def said(response: Any) -> str:
    """All messages of a page, in one string."""
    return " ".join(str(message) for message in response.context["messages"])
