"""Recognisers of speech: mel → letters."""
