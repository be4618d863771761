"""Addresses of the partner API that views answer; async handlers are in routes.py. portal/ puts all of it under /api/v1."""

from __future__ import annotations

from django.urls import path, register_converter

from leads.api import campaigns, imports, keys, leads, problem_types
from leads.api.addresses import LeadConverter, RowConverter

register_converter(RowConverter, "row")
register_converter(LeadConverter, "lead")

urlpatterns = [
    path("keys", keys.KeysView.as_view()),
    path("keys/own", keys.OwnKeyView.as_view()),
    path("keys/<row:key_id>", keys.KeyView.as_view()),
    path("keys/<row:key_id>/rotate", keys.KeyRotateView.as_view()),
    path("campaigns", campaigns.CampaignsView.as_view()),
    path("campaigns/<row:campaign_id>", campaigns.CampaignView.as_view()),
    path("campaigns/<row:campaign_id>/forms/<row:form_id>/schema", campaigns.FormSchemaView.as_view()),
    path("leads", leads.LeadsView.as_view()),
    path("imports", imports.ImportsView.as_view()),
    path("imports/<row:import_id>", imports.ImportView.as_view()),
    path("imports/<row:import_id>/take", imports.ImportTakeView.as_view()),
    path("imports/<row:import_id>/cancel", imports.ImportCancelView.as_view()),
    path("imports/<row:import_id>/rows", imports.ImportRowsView.as_view()),
    path("imports/<row:import_id>/failures", imports.ImportFailuresView.as_view()),
    path("problems", problem_types.ProblemTypesView.as_view()),
    path("problems/<slug:slug>", problem_types.ProblemTypeView.as_view()),
]
