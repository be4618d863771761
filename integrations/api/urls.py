"""Addresses of the partner API about what goes out and what clients say; portal/ puts them under /api/v1."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
