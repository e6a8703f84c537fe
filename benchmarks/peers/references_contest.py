"""How a contestant of `benchmarks.references` is asked: it says that its imports are done, then is timed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def serve(write: Callable[[str, str], None]) -> None:
    """Write references of the URL to the file that a line of standard input names, and print the seconds."""
    print(json.dumps("ready"), flush=True)
    url, out = json.loads(sys.stdin.readline())
    began, cpu = time.perf_counter(), time.process_time()
    write(url, out)
    answer = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    print("\n" + json.dumps(answer), flush=True)
