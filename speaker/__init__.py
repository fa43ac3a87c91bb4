"""Wren's router."""
