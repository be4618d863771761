"""How this portal writes times and numbers, where Django's own way for the language is not ours."""
