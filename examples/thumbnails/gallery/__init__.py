"""Thumbnails of the images of a folder."""
