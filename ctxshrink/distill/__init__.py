"""Distillation: texts made shorter once, offline, and kept."""

from .types import Derived, Distillate, Distiller, Source, content_hash, recipe_key

__all__ = ["Derived", "Distillate", "Distiller", "Source", "content_hash", "recipe_key"]
