"""Control as a process: settings, logging, one Uvicorn worker."""

import sys

import structlog
import uvicorn

from mirror_control import logs
from mirror_control.app import VERSION, create_app
from mirror_control.settings import LogLevel, Settings, SettingsError
from mirror_control.token import TokenError

# Below compose's ten seconds before SIGKILL.
_GRACE = 5


def serve() -> None:
    """Serve until SIGTERM; with a wrong environment, say all that is wrong and exit with 2."""
    try:
        settings = Settings.load()
        settings.token_file.make()
        settings.token_file.current()
    except (SettingsError, TokenError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    logs.configure(level=settings.log_level, form=settings.log_format)
    host, port = settings.control_listen
    structlog.get_logger(__name__).info(
        "control starts", version=VERSION, listen=str(settings.control_listen), syncer=settings.syncer_url
    )
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=None,
        access_log=settings.log_level is LogLevel.DEBUG,  # nginx logs what people ask
        proxy_headers=False,  # nobody's word for an address is taken: nothing hangs on it
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
