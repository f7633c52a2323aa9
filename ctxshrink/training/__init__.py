"""Recipes for the embedded models. A user feature: `ctxshrink train`; needs the extra ``train`` (torch, onnx)."""
