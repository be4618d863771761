"""Our own partner API, under /api/v1: what comes in. What goes out is in integrations/api; portal/ puts both together.

Leads come in and are looked up through async handlers (receiving.py); all else is Django REST framework. How to add an address
is in docs/api.md, "For those who build it".
"""
