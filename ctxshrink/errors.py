"""Everything ctxshrink raises.

CtxShrinkError
├── ConfigError (ValueError)        a wrong argument or setting; the message names it and says what to do
│   ├── BudgetError                 strict=True and the locked text alone is larger than max_tokens
│   └── FormatError                 an input whose shape no message format or seat recognises
├── MissingExtraError (ImportError) an optional package is needed; the message holds the pip command
├── ModelError (RuntimeError)       a model or tokenizer file is missing, truncated or foreign
│   └── ScorerError                 a scorer gave no usable likelihoods: unreachable, too slow, or not to be trusted
├── EndpointError (RuntimeError)    a language model's server gave no usable answer
└── StoreError (RuntimeError)       the database of originals cannot be opened, read or written

Only misconfiguration raises. What goes wrong while compressing (a plug-in, a store, a deadline) never does:
the text comes back unchanged and its `Decision` says why.
"""


class CtxShrinkError(Exception):
    """Base class of every error of this package."""


class ConfigError(CtxShrinkError, ValueError):
    """An argument or setting is wrong. The message names it and says what would be right."""


class BudgetError(ConfigError):
    """Raised with ``strict=True`` when the locked text alone needs more than ``max_tokens``."""


class FormatError(ConfigError):
    """The input has a shape that no message format or seat recognises."""


class MissingExtraError(CtxShrinkError, ImportError):
    """An optional package is not installed.

    Args:
        feature: What the user asked for, as they would say it.
        extra: The name of the extra that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs an optional package: pip install "ctxshrink[{extra}]"')
        self.extra = extra


class ModelError(CtxShrinkError, RuntimeError):
    """A model or tokenizer file is missing, truncated or not one of ours."""


class ScorerError(ModelError):
    """A scorer gave no usable likelihoods: unreachable, too slow, or an answer that cannot be trusted."""


class EndpointError(CtxShrinkError, RuntimeError):
    """A server gave no usable answer.

    Args:
        message: Names the server and the reason; never the text that was sent.
        transient: Another try may help.
        wait: Seconds that the server asks to wait before it; None where it says nothing.
    """

    def __init__(self, message: str, *, transient: bool = False, wait: float | None = None) -> None:
        super().__init__(message)
        self.transient = transient
        self.wait = wait


class StoreError(CtxShrinkError, RuntimeError):
    """The store cannot be opened, read or written. The message says what to do and never holds a password."""
