"""A list that has no rows says what it is for, and one that its filters leave empty how to get them back."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import site
from django.test import Client as Browser
from django.urls import reverse

from leads.models import User
from tests.admin.pages import text

pytestmark = pytest.mark.django_db

LISTS = sorted(
    model._meta.label_lower
    for model, shown in site._registry.items()
    if shown.__module__.startswith(("leads.", "integrations.")) and hasattr(shown, "nothing_yet") and shown.nothing_yet
)


@pytest.fixture
def browser(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("root", "root@example.test", "a-long-password-1"))
    return browser


@pytest.mark.parametrize("label", LISTS)
def test_an_empty_list_says_what_it_is_for(browser: Browser, label: str) -> None:
    shown: Any = next(shown for model, shown in site._registry.items() if model._meta.label_lower == label)
    shown.model.objects.all().delete()
    said = text(browser.get(reverse(f"admin:{label.replace('.', '_')}_changelist")))
    assert f"No {shown.opts.verbose_name_plural} yet" in said
    assert shown.nothing_yet.split(",")[0] in said


def test_a_search_without_hits_says_how_to_see_all_again(browser: Browser) -> None:
    said = text(browser.get("/admin/leads/campaign/?q=nothing-like-this"))
    assert "Nothing matches" in said
    assert "Show all" in said
