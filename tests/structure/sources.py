"""Sources in six languages."""

PYTHON = '''\
# Copyright 2024 The authors
# Licensed under the same terms
import os
from sys import argv

LIMIT = 40


class Store:
    """Holds things.

    For a while.
    """

    @property
    def size(self) -> int:
        return len(self._held)

    def put(
        self,
        key: str,
        value: object,
    ) -> None:
        """Puts one."""
        # a remark
        if key in self._held:
            raise KeyError(key)
        self._held[key] = value


def main():
    store = Store()
    store.put("a", 1)
'''
JAVA = """\
package org.example;

import java.util.List;

public class Greeter {
    private final String name;

    public Greeter(String name) {
        this.name = name;
    }

    @Override
    public String greet(List<String> others)
            throws GreetException {
        if (others.isEmpty()) {
            throw new GreetException("nobody");
        }
        return "Hello " + others;
    }
}
"""
GO = """\
package main

import "fmt"

type Server struct {
	port int
}

func (s *Server) Run(args ...string) error {
	if err := s.listen(); err != nil {
		return err
	}
	return nil
}
"""
CPP = """\
#include <vector>

namespace app {

class Shape : public Base {
public:
    double Area() const override {
        return w_ * h_;
    }
private:
    double w_, h_;
};

double Shape::Perimeter(int scale)
{
    return 2 * scale * (w_ + h_);
}

}  // namespace app
"""
RUST = """\
use std::fmt;

pub struct Point {
    x: f64,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.x)
    }
}
"""
SCRIPT = """\
const add = (a, b) => {
  return a + b;
};

export class Cart {
  total(items) {
    return items.reduce(add, 0);
  }
}
"""
