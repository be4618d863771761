"""Configuration as a file: what a portal is set up to do, as YAML that can be read, compared and applied again."""
