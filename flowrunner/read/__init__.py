"""Turns the text of flow files and settings into checked values that know their places."""
