"""Partners are told, signed, of what happens to leads and integrations."""
