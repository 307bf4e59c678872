"""The machine that runs the benchmarks."""

import os
import platform


def machine() -> dict[str, str]:
    """Return a description of the machine, and its load before the run."""
    return {
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "Linux": platform.release(),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "commit": os.environ.get("BENCH_COMMIT", "unknown"),
    }
