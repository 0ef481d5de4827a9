"""How the stand-in servers start and stop: loopback only, a free port if asked for, told through a file."""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

HOST = "127.0.0.1"
BODY_LIMIT_BYTES = 8 * 1024 * 1024


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every stand-in server has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    options.add_argument("--port-file", type=Path, help="file that gets the port once the server listens")
    options.add_argument("--journal", type=Path, required=True, help="file that keeps what happened")
    return options


def serve(make_app: Callable[[], web.Application], *, port: int, port_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT. The port file is complete whenever it exists."""
    asyncio.run(_serve(make_app, port, port_file))


async def _serve(make_app: Callable[[], web.Application], port: int, port_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, HOST, port)
    await site.start()
    if port_file is not None:
        _publish(port_file, runner.addresses[0][1])
    try:
        await stop.wait()
    finally:
        await runner.cleanup()


def _publish(path: Path, port: int) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(str(port))
    partial.replace(path)
