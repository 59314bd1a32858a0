"""The one thread on which package, journal and orders live."""

import asyncio
from concurrent.futures import ThreadPoolExecutor


class Worker:
    """Runs one thing after another."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mt5")

    async def do(self, work, *arguments):
        """`work(*arguments)` on the thread. Who hangs up does not stop it: what has begun is recorded."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments))

    def wait(self, work, *arguments):
        """The same, where there is no event loop yet."""
        return self._pool.submit(work, *arguments).result()

    def close(self) -> None:
        self._pool.shutdown(wait=True)
