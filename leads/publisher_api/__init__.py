"""The Convertr-compatible API of a receiving instance. Each answer's shape stands in answers.py, each address in routes.py."""
