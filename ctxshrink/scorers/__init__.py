"""Scorers: log-likelihoods of text under a causal language model, a file per provider.

All of them follow `ctxshrink.types.Scorer`; the shared contract is tested on each.
"""

from ._offsets import TokenScorer
from .embedded import EmbeddedScorer
from .server import ServerScorer
from .transformers import TransformersScorer

__all__ = ["EmbeddedScorer", "ServerScorer", "TokenScorer", "TransformersScorer"]
