"""A small builder of ONNX graphs, shared by the exports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MICROSOFT", "Graph"]

MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own operators."""


class Graph:
    """Collects nodes and initializers; every method returns the name of its result.

    Attributes:
        nodes: The nodes so far, in order.
        initializers: The constants so far.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._names: dict[str, None] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output. ``domain=MICROSOFT`` takes one of onnxruntime's own operators."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node with several outputs."""
        from onnx import helper

        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def name(self, node: str, output: str) -> None:
        """Gives a result the name of an output of the graph."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [node], [output]))

    def const(self, value: NDArray[Any], name: str) -> str:
        """A constant; the second use of a name is the first one's value."""
        from onnx import numpy_helper

        if name not in self._names:
            self._names[name] = None
            self.initializers.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def ints(self, *values: int) -> str:
        """A vector of int64."""
        return self.const(np.asarray(values, dtype=np.int64), "i_" + "_".join(map(str, values)))

    def scalar(self, value: float, name: str) -> str:
        """A float32 scalar."""
        return self.const(np.asarray(value, dtype=np.float32), name)
