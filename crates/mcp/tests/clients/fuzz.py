"""mcp-fuzzer, which else reads lines of 64 KiB at most: a page of containers is longer."""

import asyncio
import functools
import sys

asyncio.create_subprocess_exec = functools.partial(asyncio.create_subprocess_exec, limit=1 << 22)

from mcp_fuzzer.__main__ import run  # noqa: E402  it keeps what it imports

sys.exit(run())
