"""A program that uses the OpenTelemetry SDK for Python as applications do.

    python-client.py SERVICE grpc|http ENDPOINT gzip|none

The exporters take certificates and headers from their own environment variables (OTEL_EXPORTER_OTLP_...).

It logs, traces and measures with every type of value and every instrument through the unmodified
exporters, and prints what the SDK gave to them as canonical rows (canonical-values.ts).
"""

import json
import struct
import sys

import grpc
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

service, transport, endpoint, compression = sys.argv[1:]
if transport == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    packing = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
    target = {"endpoint": endpoint, "insecure": endpoint.startswith("http://"), "compression": packing}
    logs_to = spans_to = metrics_to = target
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    packing = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    logs_to, spans_to, metrics_to = (
        {"endpoint": f"{endpoint}/v1/{signal}", "compression": packing}
        for signal in ("logs", "traces", "metrics")
    )

resource = Resource({"service.name": service, "process.pid": 4711, "host.ip": ["10.0.0.1", "::1"]})
SCOPE = ("shop.checkout", "1.4.2")
EVERY_TYPE = {
    "type.string": 'déjà vu 🎉 "quoted"',
    "type.empty": "",
    "type.int": 2**63 - 1,
    "type.negative": -(2**63),
    "type.double": 0.1,
    "type.whole": 3.0,
    "type.bool": False,
    "type.strings": ["a", "", "b"],
    "type.ints": [1, 2, 3],
    "type.doubles": [0.5, -1.25],
    "type.bools": [True, False],
}


def value(held):
    if isinstance(held, str):
        return "s:" + held
    if isinstance(held, bool):
        return held
    if isinstance(held, int):
        return f"i:{held}"
    if isinstance(held, float):
        return "d:" + struct.pack(">d", held).hex()
    if isinstance(held, bytes):
        return "b:" + held.hex()
    return {"json": plain(held)}


def plain(held):
    if isinstance(held, (list, tuple)):
        return [plain(element) for element in held]
    if hasattr(held, "items"):
        return {key: plain(element) for key, element in held.items()}
    return held


def attributes(held):
    return {key: value(element) for key, element in (held or {}).items()}


def text(held):
    return "s:" + held if held else None


def number(held):
    return f"i:{held}" if held else None


def common(of_resource, scope, held):
    return {
        "resource": attributes(of_resource.attributes),
        "scope": text(scope.name),
        "scopeVersion": text(scope.version),
        "attributes": attributes(held),
    }


def hex_id(held, digits):
    return f"s:{held:0{digits}x}" if held else None


def send_logs():
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    provider.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(**logs_to), max_export_batch_size=100)
    )
    logger = provider.get_logger(*SCOPE)
    bodies = ["order placed", "", 42, 1.5, True, ["a", 1], {"map": {"of": "maps"}}]
    for index in range(300):
        record = LogRecord(
            timestamp=1_700_000_000_000_000_001 + index,
            observed_timestamp=1_700_000_001_000_000_999 + index,
            severity_number=SeverityNumber.INFO if index % 2 else SeverityNumber.FATAL4,
            severity_text="INFO" if index % 2 else "FATAL",
            body=bodies[index % len(bodies)],
            event_name="order.placed" if index % 5 == 0 else None,
            attributes={"order.id": index, **({**EVERY_TYPE, "bytes": b"\x00\xff"} if index % 7 == 0 else {})},
        )
        logger.emit(record)
    assert provider.force_flush()
    rows = []
    for log in kept.get_finished_logs():
        record = log.log_record
        body = record.body
        rows.append({
            **common(log.resource, log.instrumentation_scope, record.attributes),
            "time": str(record.timestamp),
            "observed": str(record.observed_timestamp),
            "severityNumber": number(record.severity_number.value),
            "severityText": text(record.severity_text),
            "body": "s:" + body if isinstance(body, str) else {"json": plain(body)},
            "traceId": hex_id(record.trace_id, 32),
            "spanId": hex_id(record.span_id, 16),
            "eventName": text(record.event_name),
        })
    provider.shutdown()
    return rows


def send_spans():
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**spans_to)))
    tracer = provider.get_tracer(*SCOPE)
    for index in range(40):
        with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER, attributes=EVERY_TYPE) as parent:
            links = [Link(parent.get_span_context(), {"why": "cause", "weight": 0.25})]
            with tracer.start_as_current_span("select", kind=SpanKind.CLIENT, links=links) as child:
                child.add_event("query", {**EVERY_TYPE, "rows": index})
                child.add_event("done")
                child.set_status(Status(StatusCode.ERROR, "no such order"))
            parent.set_status(Status(StatusCode.OK))
    assert provider.force_flush()
    rows = []
    for span in kept.get_finished_spans():
        rows.append({
            **common(span.resource, span.instrumentation_scope, span.attributes),
            "traceId": hex_id(span.context.trace_id, 32),
            "spanId": hex_id(span.context.span_id, 16),
            "parentSpanId": hex_id(span.parent.span_id, 16) if span.parent else None,
            "name": text(span.name),
            "kind": f"i:{span.kind.value + 1}",
            "start": str(span.start_time),
            "end": str(span.end_time),
            "statusCode": number(span.status.status_code.value),
            "statusMessage": text(span.status.description),
            "events": [
                {"time": str(event.timestamp), "name": text(event.name), "attributes": plain(event.attributes)}
                for event in span.events
            ],
            "links": [
                {
                    "traceId": hex_id(link.context.trace_id, 32),
                    "spanId": hex_id(link.context.span_id, 16),
                    "attributes": plain(link.attributes),
                }
                for link in span.links
            ],
        })
    provider.shutdown()
    return rows


class Keeping(MetricExporter):
    """The exporter itself, with a note of each batch that the SDK gives to it."""

    def __init__(self, inner):
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self.inner, self.rows = inner, []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.rows += point_rows(metrics_data)
        return self.inner.export(metrics_data, timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, timeout_millis=10_000):
        return self.inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self.inner.shutdown(timeout_millis, **kwargs)


def point_rows(metrics_data):
    types = {"Sum": "sum", "Gauge": "gauge", "Histogram": "histogram", "ExponentialHistogram": "exponential_histogram"}
    for of_resource in metrics_data.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                kind = type(metric.data).__name__
                for point in metric.data.data_points:
                    yield {
                        **common(of_resource.resource, of_scope.scope, point.attributes),
                        "name": text(metric.name),
                        "type": "s:" + types[kind],
                        "unit": text(metric.unit),
                        "description": text(metric.description),
                        "temporality": None if kind == "Gauge" else number(metric.data.aggregation_temporality.value),
                        "isMonotonic": metric.data.is_monotonic if kind == "Sum" else None,
                        "start": str(point.start_time_unix_nano) if point.start_time_unix_nano else None,
                        "time": str(point.time_unix_nano),
                        "exemplars": [
                            {
                                "time": str(exemplar.time_unix_nano),
                                "value": value(exemplar.value),
                                "traceId": hex_id(exemplar.trace_id, 32),
                                "spanId": hex_id(exemplar.span_id, 16),
                                "attributes": plain(exemplar.filtered_attributes or {}),
                            }
                            for exemplar in point.exemplars or []
                        ],
                        **value_of(kind, point),
                    }


def value_of(kind, point):
    if kind in ("Sum", "Gauge"):
        return {"value": value(point.value)}
    row = {"count": f"i:{point.count}"}
    row.update({name: value(float(getattr(point, name))) for name in ("sum", "min", "max")})
    if kind == "Histogram":
        row["bounds"] = [value(float(bound)) for bound in point.explicit_bounds]
        row["buckets"] = [f"i:{count}" for count in point.bucket_counts]
        return row
    row.update({"scale": f"i:{point.scale}", "zeroCount": f"i:{point.zero_count}"})
    for side in ("positive", "negative"):
        buckets = getattr(point, side)
        row[side + "Offset"] = f"i:{buckets.offset}"
        row[side] = [f"i:{count}" for count in buckets.bucket_counts] or None
    return row


def send_metrics():
    exporter = Keeping(OTLPMetricExporter(**metrics_to))
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    exponential = View(
        instrument_name="latency.exponential", aggregation=ExponentialBucketHistogramAggregation()
    )
    provider = MeterProvider([reader], resource=resource, views=[exponential], shutdown_on_exit=False)
    meter = provider.get_meter(*SCOPE)
    orders = meter.create_counter("orders", unit="{order}", description="orders placed")
    opened = meter.create_up_down_counter("orders.open")
    temperature = meter.create_gauge("temperature", unit="Cel")
    latencies = [meter.create_histogram("latency", unit="ms"), meter.create_histogram("latency.exponential")]
    meter.create_observable_counter("cpu.time", [lambda _: [Observation(12.75, {"cpu": 0}), Observation(2**53 + 1, {"cpu": 1})]])
    meter.create_observable_gauge("queue.depth", [lambda _: [Observation(17, {"queue": "mail"})]])
    meter.create_observable_up_down_counter("connections", [lambda _: [Observation(-3.5)]])
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("exemplars")
    for number_of_round in (1, 2, 3):
        with tracer.start_as_current_span("measured"):
            for region in ("eu", "us"):
                orders.add(2**62 // 7, {"region": region, "is.new": True})
                opened.add(-5 if number_of_round == 2 else 3, {"region": region})
                temperature.set(21.5 * number_of_round, {"region": region})
                for step in range(40):
                    for latency in latencies:
                        latency.record(step * number_of_round * 0.37, {"region": region})
        assert provider.force_flush()
    provider.shutdown()
    return exporter.rows


print(json.dumps({"logs": send_logs(), "spans": send_spans(), "metrics": send_metrics()}))
