"""Addresses of the publishers' own pages, under /publisher/."""

from django.urls import path

from leads.publisher_console import views

app_name = "publisher"
urlpatterns = [
    path("", views.campaigns, name="campaigns"),
    path("campaigns/<int:campaign_id>/", views.campaign, name="campaign"),
    path("campaigns/<int:campaign_id>/tracking/", views.tracking, name="tracking"),
    path("link/ended/", views.link_ended, name="link_ended"),
    path("link/<str:signed>/", views.link, name="link"),
    path("sign-out/", views.sign_out, name="sign_out"),
]
