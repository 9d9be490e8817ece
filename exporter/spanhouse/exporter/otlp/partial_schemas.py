"""Partial schemas: four changed schemas of an OTLP trace request, with which protobuf's own parser checks it fast.

``Frame`` stops at the spans, so that their number, sizes and ids are known without a Python object for each.

``Flat`` is the whole request, except that a nested value (a map, or an array or map inside an array) has the type ``repeated bool``, unpacked.
A parser accepts the packed form for that type too, and the bytes of a nested value look packed to it; a writer never writes the packed form.
So a request that ``Flat`` reads and writes again byte for byte holds no nested value. Neither does it hold a field that is given twice, a second
value in a oneof, an overlong number, or anything else that a reader other than protobuf might read otherwise.

``Loose`` accepts any bytes as text. protobuf refuses a request with a text that is not UTF-8, and does not name the text.

``Outline`` stops at attributes. Read, stripped of unknown fields and written again, it is a request as protobuf writes it. A field with a known
number and a wrong type is unknown to protobuf, but the engine would read a span in it. Inside attributes such fields are not looked for, since that
would cost more than all the rest. No library writes them. The engine reads a value in them or refuses the request; then the writer removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

_REQUEST: Final = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest"
_COMMON: Final = ".opentelemetry.proto.common.v1."
_FILES: Final = (common_pb2, resource_pb2, trace_pb2, trace_service_pb2)


def _flat(file: FileDescriptorProto) -> None:
    """Forbid maps, and arrays or maps as elements of arrays."""
    messages = {message.name: message for message in file.message_type}
    if "AnyValue" in messages:
        element = file.message_type.add()
        element.CopyFrom(messages["AnyValue"])
        element.name = "Element"
        messages["ArrayValue"].field[0].type_name = f"{_COMMON}Element"
        _forbid(messages["AnyValue"], "kvlist_value")
        _forbid(element, "kvlist_value")
        _forbid(element, "array_value")


def _forbid(message: DescriptorProto, name: str) -> None:
    (field,) = (field for field in message.field if field.name == name)
    field.ClearField("oneof_index")
    field.ClearField("type_name")
    field.label, field.type = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.TYPE_BOOL
    field.options.packed = False


def _frame(file: FileDescriptorProto) -> None:
    _opaque(file, "resource", "scope", "spans")


def _outline(file: FileDescriptorProto) -> None:
    _opaque(file, "attributes")


def _loose(file: FileDescriptorProto) -> None:
    for field in (field for message in _messages(file) for field in message.field if field.type == FieldDescriptorProto.TYPE_STRING):
        field.type = FieldDescriptorProto.TYPE_BYTES


def _messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    for message in file.message_type:
        yield message
        yield from message.nested_type


def _opaque(file: FileDescriptorProto, *fields: str) -> None:
    """Read message fields of these names as bytes, whatever they hold."""
    for field in (field for message in _messages(file) for field in message.field if field.name in fields):
        field.ClearField("type_name")
        field.type = FieldDescriptorProto.TYPE_BYTES


def _request_class(change: Callable[[FileDescriptorProto], None]) -> Any:
    """Make the class of ``ExportTraceServiceRequest`` in a changed schema."""
    pool = descriptor_pool.DescriptorPool()
    for module in _FILES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        change(file)
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(_REQUEST))


Flat: Final = _request_class(_flat)
"""``ExportTraceServiceRequest`` without nested values."""
Frame: Final = _request_class(_frame)
"""``ExportTraceServiceRequest`` with resource, scope and spans as bytes."""
Loose: Final = _request_class(_loose)
"""``ExportTraceServiceRequest`` with all texts as bytes."""
Outline: Final = _request_class(_outline)
"""``ExportTraceServiceRequest`` with all attributes as bytes."""
