"""Turns a runner into a page in the browser: flows as pictures, messages as they pass, an editor, and metrics."""
