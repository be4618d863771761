"""The addresses under a campaign that are about how its leads are judged: its quality and enrichment jobs, its caps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from integrations.admin.judging.caps import caps_page
from integrations.admin.judging.groups import group_new_page, group_page
from integrations.admin.judging.statistics import judgements_page
from integrations.admin.judging.tab import group_view, job_view
from integrations.admin.judging.trying import try_page

Page = Callable[..., HttpResponse]


def judging_urls(model_admin: Any) -> list[URLPattern]:
    """Each page is given the admin, the request, and the campaign for those who may see it."""

    def of_campaign(page: Page) -> Any:
        def view(request: HttpRequest, campaign_id: int, **more: Any) -> HttpResponse:
            return page(model_admin, request, model_admin.campaign(request, campaign_id), **more)

        return model_admin.admin_site.admin_view(view)

    here, name = "<int:campaign_id>/processr", "leads_campaign_{}".format
    return [
        path("<int:campaign_id>/publishers/<int:contract_id>/caps/", of_campaign(caps_page), name=name("caps")),
        path(f"{here}/jobs/<int:job_id>/<slug:do>/", of_campaign(job_view), name=name("judging_job")),
        path(f"{here}/groups/new/", of_campaign(group_new_page), name=name("group_new")),
        path(f"{here}/groups/<int:group_id>/", of_campaign(group_page), name=name("group")),
        path(f"{here}/groups/<int:group_id>/<slug:do>/", of_campaign(group_view), name=name("judging_group")),
        path(f"{here}/try/", of_campaign(try_page), name=name("try")),
        path(f"{here}/statistics/", of_campaign(judgements_page), name=name("judgements")),
    ]
