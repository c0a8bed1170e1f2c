"""Models that judge a picture before it is described."""
