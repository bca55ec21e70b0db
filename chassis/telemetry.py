"""Telemetry: spans that follow an event from POST to stream, metrics by name, logs as JSON lines without personal data."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.settings import ProcessSettings

tracer = trace.get_tracer("preau")
meter = metrics.get_meter("preau")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request being answered; every log line within it carries it."""

_propagator = TraceContextTextMapPropagator()
_gauges: dict[str, dict[tuple[tuple[str, str], ...], Callable[[], float]]] = {}
"""One instrument a name: the SDK lets a second of the same name go unread."""
_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "taskName"}


class FileSpanExporter(SpanExporter):
    """Appends spans to a file as JSON lines: for a laptop and for tests, where no collector runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch of spans in one append, so that processes may share the file."""
        lines = "".join(span.to_json(indent=None) + "\n" for span in spans)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(lines)
        return SpanExportResult.SUCCESS


def _exporter(target: str) -> SpanExporter:
    path = target.removeprefix("file:")
    if path != target:
        return FileSpanExporter(Path(path))
    # Slow to load, and most processes on a laptop send their spans nowhere.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter(endpoint=target)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request and trace ids, and the fields given by `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        if request_id.get():
            line["request"] = request_id.get()
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace"] = f"{context.trace_id:032x}"
        if record.exc_info:
            line["error"] = self._error(record)
        return json.dumps(line, ensure_ascii=False, default=str)

    def _error(self, record: logging.LogRecord) -> str:
        # An exception's own message may quote a row or a body, so only its type and place are kept.
        kind, _, walk = record.exc_info or (None, None, None)
        places = []
        while walk is not None:
            code = walk.tb_frame.f_code
            places.append(f"{Path(code.co_filename).name}:{walk.tb_lineno} {code.co_name}")
            walk = walk.tb_next
        return f"{kind.__name__ if kind else 'error'} at {' > '.join(places[-6:])}"


def setup(service: str, settings: ProcessSettings) -> None:
    """Set logging, tracing and metrics up, once a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    for chatty in ("uvicorn.error", "preau.faststream"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    resource = Resource.create({"service.name": f"preau-{service}"})
    if settings.traces:
        tracing = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.trace_ratio))
        tracing.add_span_processor(BatchSpanProcessor(_exporter(settings.traces), schedule_delay_millis=500))
        trace.set_tracer_provider(tracing)
    seconds = View(instrument_type=Histogram, aggregation=ExplicitBucketHistogramAggregation(_SECONDS))
    provider = MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()], views=[seconds])
    metrics.set_meter_provider(provider)


def flush() -> None:
    """Hand over the spans still held; called when the process stops."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush(2000)


def current_traceparent() -> str | None:
    """The W3C traceparent of the current span where it is sampled, else None: unsampled events carry no header."""
    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def span(
    name: str, traceparent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int
) -> AbstractContextManager[Span]:
    """A span under the given traceparent (of an event or a request) or under the current span."""
    # The library's way to a span that goes nowhere takes a tenth of what all else of a request's HTTP does.
    if traceparent is None and not isinstance(trace.get_tracer_provider(), TracerProvider):
        return _NONE
    return _span(name, traceparent, kind, attributes)


@contextmanager
def _span(name: str, traceparent: str | None, kind: SpanKind, attributes: Mapping[str, str | int]) -> Iterator[Span]:
    context = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    with tracer.start_as_current_span(name, context, kind=kind, attributes=attributes) as opened:
        yield opened


def event_span(name: str, traceparent: str | None) -> AbstractContextManager[Span]:
    """A span for one event of a sampled trace; free of cost for the many that are not sampled."""
    return _NONE if traceparent is None else span(name, traceparent, SpanKind.CONSUMER)


_NONE = nullcontext[Span](NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))


def gauge(name: str, description: str, read: Callable[[], float], **attributes: str) -> None:
    """A metric that is read when it is asked for; each set of attributes is a series of its own."""
    readers = _gauges.setdefault(name, {})
    if not readers:

        def observe(_: CallbackOptions) -> list[Observation]:
            return [Observation(value(), dict(labels)) for labels, value in list(readers.items())]

        meter.create_observable_gauge(name, [observe], description=description)
    readers[tuple(sorted(attributes.items()))] = read
