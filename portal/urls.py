"""Addresses of everything that is not on the hot path (those are in portal/asgi.py)."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView

from portal.health import health
from portal.openapi import DocumentView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health", health),
    path("publisher/webhooks/", include("integrations.api.publisher_webhooks")),
    path("publisher/", include("leads.publisher_console.urls")),
    path("api/v1/", include("leads.api.urls")),
    path("api/v1/", include("integrations.api.urls")),
    path("api/v1/openapi.json", DocumentView.as_view(), name="openapi"),
    path("api/v1/docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="api-docs"),
    path("admin/", admin.site.urls),
]
