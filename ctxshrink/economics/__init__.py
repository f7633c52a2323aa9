"""What compression costs and saves: tokens, money, time and memory, before a call and after it."""

from __future__ import annotations

from ctxshrink.economics.break_even import break_even_turns
from ctxshrink.economics.decision import Economics, Part
from ctxshrink.economics.kv import Quantization, kv_bytes, users_per_gpu
from ctxshrink.economics.latency import Latency, measure_compress, measure_prefill
from ctxshrink.economics.net import NetReport, net, rewritten_tokens
from ctxshrink.economics.prices import PRICES, Prices, PriceTable, Usage, bill, load_prices, prices_of

__all__ = [
    "PRICES",
    "Economics",
    "Latency",
    "NetReport",
    "Part",
    "PriceTable",
    "Prices",
    "Quantization",
    "Usage",
    "bill",
    "break_even_turns",
    "kv_bytes",
    "load_prices",
    "measure_compress",
    "measure_prefill",
    "net",
    "prices_of",
    "rewritten_tokens",
    "users_per_gpu",
]
