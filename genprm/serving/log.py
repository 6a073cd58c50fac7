"""The log: one JSON object a line on standard error, without the text of problems unless that is asked for."""

import json
import logging
import sys
import time
from typing import Any

NAME = "genprm.serving"


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start_log(level: int = logging.INFO) -> None:
    """Log to standard error, the server's own messages among it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in (NAME, "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


def say(event: str, /, **fields: Any) -> None:
    logging.getLogger(NAME).info(event, extra={"fields": fields})


def say_error(event: str, error: BaseException, /, **fields: Any) -> None:
    logging.getLogger(NAME).error(event, exc_info=error, extra={"fields": fields})
