// Sends one trace with the Node SDK, by the exporter and to the endpoint given: node send.mjs grpc|http/protobuf|http/json URL SERVICE
import { context, trace, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Protobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const [protocol, url, service] = process.argv.slice(2);
const Exporter = { grpc: Grpc, "http/protobuf": Protobuf, "http/json": Json }[protocol];
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": service, team: "search", hosts: ["a", "b"] }),
  spanProcessors: [new BatchSpanProcessor(new Exporter({ url }))],
});
const tracer = provider.getTracer("shop", "1.2.3");

const root = tracer.startSpan("checkout", { kind: SpanKind.SERVER });
root.setAttributes({ text: "é 😀", int: 42, big: 2 ** 40, float: 0.25, flag: true, list: ["a", "b"], numbers: [1, 2.5], empty: "" });
// setAttribute leaves maps out; the exporters send what is there.
root.attributes.map = { a: 1, b: [true, { c: "d" }] };
const child = tracer.startSpan("pay", { kind: SpanKind.CLIENT, links: [{ context: root.spanContext(), attributes: { why: "retry" } }] }, trace.setSpan(context.active(), root));
child.addEvent("refused", { code: 402, reasons: ["limit", "country"] });
child.recordException(new TypeError("no money"));
child.setStatus({ code: SpanStatusCode.ERROR, message: "no money" });
child.end();
root.end();
await provider.shutdown();
console.log(root.spanContext().traceId);
