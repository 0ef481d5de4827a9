"""Executors: processes that take tasks, act in the outside world and report what came of it."""

from holdfast.streams.executor.config import ExecutorConfig, ModelEndpoint, ModelPrice
from holdfast.streams.executor.process import run_model_executor, run_tool_executor

__all__ = ["ExecutorConfig", "ModelEndpoint", "ModelPrice", "run_model_executor", "run_tool_executor"]
