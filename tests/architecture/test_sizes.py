"""Modules and functions stay small: one that grows past the bar is telling about a missing word."""

import ast

from .source import modules

MODULE_LINES = 400
FUNCTION_LINES = 60
EVERYWHERE = ("accounts", "personas", "contacts", "calls", "agent_worker", "chamada", "devtools", "tests", "bench")


def test_no_module_is_longer_than_400_lines() -> None:
    assert {module.where: len(module.lines) for module in modules(*EVERYWHERE) if len(module.lines) > MODULE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = {
        f"{module.where}:{node.name}": node.end_lineno - node.lineno + 1
        for module in modules(*EVERYWHERE)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= FUNCTION_LINES
    }
    assert long == {}
