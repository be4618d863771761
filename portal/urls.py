"""Addresses of everything that is not on the hot path (those are in portal/asgi.py)."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from portal.health import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health", health),
    path("publisher/", include("leads.publisher_console.urls")),
    path("admin/", admin.site.urls),
]
