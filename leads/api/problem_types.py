"""The address of each type of problem: what it means and what to do, for whoever follows it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.api.problems import TYPES, ProblemType, raised

TAG = "Problems"


class ProblemTypeSerializer(serializers.Serializer[Any]):
    type = serializers.CharField(source="uri")
    title = serializers.CharField()
    status = serializers.IntegerField()
    help = serializers.CharField(source="advice")


class ProblemTypesView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="problem_types",
        tags=[TAG],
        summary="All types of problems",
        responses=ProblemTypeSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        return Response(ProblemTypeSerializer(list(TYPES.values()), many=True).data)


class ProblemTypeView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="problem_type", tags=[TAG], summary="A type of problem", responses=ProblemTypeSerializer
    )
    def get(self, request: Request, slug: str) -> Response:
        found: ProblemType | None = TYPES.get(slug)
        if found is None:
            raise raised("not-found", "There is no such type of problem.")
        return Response(ProblemTypeSerializer(found).data)
