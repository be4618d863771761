"""The admin site: its titles and its home page."""

from django.contrib import admin


class PortalAdminSite(admin.AdminSite):
    site_title = "Connect Portal"
    site_header = "Connect Portal"
