"""Addresses of the partner API about what goes out and what clients say; portal/ puts them under /api/v1."""

from __future__ import annotations

from django.urls import path, register_converter

from integrations.api import exports, integrations, timeline, verdicts, webhooks
from integrations.api.addresses import MessageConverter

register_converter(MessageConverter, "message")

urlpatterns = [
    path("webhooks", webhooks.WebhooksView.as_view()),
    path("webhooks/<row:webhook_id>", webhooks.WebhookView.as_view()),
    path("webhooks/<row:webhook_id>/test", webhooks.WebhookTestView.as_view()),
    path("webhooks/<row:webhook_id>/rotate", webhooks.WebhookRotateView.as_view()),
    path("webhooks/<row:webhook_id>/replay", webhooks.WebhookReplayView.as_view()),
    path("webhooks/<row:webhook_id>/messages", webhooks.WebhookMessagesView.as_view()),
    path("webhooks/<row:webhook_id>/messages/<message:message_id>/attempts", webhooks.WebhookAttemptsView.as_view()),
    path("integrations", integrations.IntegrationsView.as_view()),
    path("integrations/<row:integration_id>", integrations.IntegrationView.as_view()),
    path("integrations/<row:integration_id>/pause", integrations.IntegrationPauseView.as_view()),
    path("integrations/<row:integration_id>/resume", integrations.IntegrationResumeView.as_view()),
    path("integrations/<row:integration_id>/check", integrations.IntegrationCheckView.as_view()),
    path("integrations/<row:integration_id>/refresh", integrations.IntegrationRefreshView.as_view()),
    path("integrations/<row:integration_id>/health", integrations.IntegrationHealthView.as_view()),
    path("verdicts", verdicts.VerdictsView.as_view()),
    path("leads/<lead:named>/timeline", timeline.TimelineView.as_view()),
    path("exports/leads", exports.ExportView.as_view()),
]
