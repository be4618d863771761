"""People are told when an integration stands otherwise than they know."""
