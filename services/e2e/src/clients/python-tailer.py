"""Tails a log file into OTLP with the SDK for Python: follows it through rotation, ends at END.

python-tailer.py PATH GRPC_ENDPOINT

Appends a byte to PATH.opened for each file that it opened: who rotates twice before loses lines.
"""

import os
import sys
import time

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

path, endpoint = sys.argv[1:]


def lines():
    """Whole lines in order; a file that was renamed is read to its end before the new one."""
    while True:
        with open(path, encoding="utf-8") as file, open(path + ".opened", "a") as opened:
            opened.write("+")
            opened.flush()
            part = ""
            while True:
                part += file.readline()
                if part.endswith("\n"):
                    yield part[:-1]
                    part = ""
                elif is_rotated(file) and not (rest := file.readline()):
                    break
                elif is_rotated(file):
                    part += rest
                else:
                    time.sleep(0.01)


def is_rotated(file):
    try:
        return os.stat(path).st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


provider = LoggerProvider(resource=Resource({"service.name": "tailer"}), shutdown_on_exit=False)
exporter = OTLPLogExporter(endpoint=endpoint, insecure=True)
provider.add_log_record_processor(
    BatchLogRecordProcessor(exporter, schedule_delay_millis=50, max_export_batch_size=64)
)
logger = provider.get_logger("tail")
while not os.path.exists(path):
    time.sleep(0.01)
for line in lines():
    if line == "END":
        break
    attributes = {"log.file.path": path}
    logger.emit(LogRecord(observed_timestamp=time.time_ns(), body=line, attributes=attributes))
assert provider.force_flush()
provider.shutdown()
