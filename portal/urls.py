"""Addresses of everything that is not on the hot path (those are in portal/asgi.py)."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
