"""What everything is measured on."""

import os
import platform


def machine() -> dict[str, str]:
    """Return what a reader must know of the machine, and of how busy it was before."""
    return {
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "Linux": platform.release(),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "commit": os.environ.get("BENCH_COMMIT", "unknown"),
    }
