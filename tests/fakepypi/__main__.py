"""``python -m fakepypi``: the server with a small corpus."""

import argparse

from aiohttp import web

from fakepypi.control import Control
from fakepypi.corpus import fill, upload_ecosystem
from fakepypi.faults import Faults
from fakepypi.index import Index
from fakepypi.log import RequestLog
from fakepypi.server import create_app

_MIB = 1024 * 1024


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="fakepypi", description="A PyPI that misbehaves on demand.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal bytes, serials and times")
    parser.add_argument("--filler", type=int, default=0, metavar="N", help="so many small projects more")
    parser.add_argument(
        "--large", type=int, default=0, metavar="MIB", help="a project 'large' with a wheel of this size"
    )
    parser.add_argument("--file-origin", metavar="URL", help="name files there: http://host:port")
    options = parser.parse_args()
    index, faults, log = upload_ecosystem(Index(seed=options.seed)), Faults(), RequestLog()
    fill(index, options.filler)
    if options.large:
        index.project("large").upload("1.0", sdist=False, padding=options.large * _MIB)
    app = create_app(index, faults, log=log, file_origin=options.file_origin)
    Control(index=index, faults=faults, log=log).add_to(app)
    web.run_app(app, host=options.host, port=options.port, access_log=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
