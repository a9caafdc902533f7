"""Our protos as JSON: names as in the proto, enums as the lower-case end of their names, 64-bit numbers as numbers."""

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from serving.errors import InvalidArgument

M = TypeVar("M", bound=Message)

STRUCT = struct_pb2.Struct.DESCRIPTOR.full_name
INTEGERS = {
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
}
NUMBERS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def from_plain(values: object, message: M, where: str = "") -> M:
    """Fills the message. Raises InvalidArgument naming the field that is unknown or of another type; null is unset."""
    if not isinstance(values, Mapping):
        raise InvalidArgument(where or "body", f"is {_kind(values)}, not an object")
    known = message.DESCRIPTOR.fields_by_name
    for name, value in values.items():
        path = f"{where}.{name}" if where else str(name)
        if name not in known:
            raise InvalidArgument(f"{path:.80}", f"is not known; these are: {', '.join(known)}")
        if value is not None:
            _set(message, known[name], value, path)
    return message


def _set(message: Message, field: FieldDescriptor, value: object, path: str) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise InvalidArgument(path, f"is {_kind(value)}, not a list")
        items = getattr(message, field.name)
        for place, item in enumerate(value):
            if field.message_type:
                from_plain(item, items.add(), f"{path}[{place}]")
            else:
                items.append(_scalar(field, item, f"{path}[{place}]"))
    elif field.message_type is None:
        setattr(message, field.name, _scalar(field, value, path))
    elif field.message_type.full_name == STRUCT:
        _set_struct(getattr(message, field.name), value, path)
    else:
        part = getattr(message, field.name)
        part.SetInParent()
        from_plain(value, part, path)


def _set_struct(struct: struct_pb2.Struct, value: object, path: str) -> None:
    if not isinstance(value, Mapping):
        raise InvalidArgument(path, f"is {_kind(value)}, not an object")
    try:
        json_format.ParseDict(value, struct)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise InvalidArgument(path, f"cannot be stored: {error!s:.200}") from error


def _scalar(field: FieldDescriptor, value: object, path: str) -> Any:
    if field.enum_type is not None:
        return _number_of(field.enum_type, value, path)
    kind = field.cpp_type
    if kind in NUMBERS:
        return _number(value, path)
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidArgument(path, f"{value!r:.40} is not a whole number from {low} to {high}")
        return value
    wanted = bool if kind == FieldDescriptor.CPPTYPE_BOOL else str
    if not isinstance(value, wanted):
        raise InvalidArgument(path, f"is {_kind(value)}, not a {'true or false' if wanted is bool else 'string'}")
    return value


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(path, f"is {_kind(value)}, not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidArgument(path, "is too large a number") from error


def _number_of(enum: EnumDescriptor, value: object, path: str) -> int:
    names = words(enum)
    if not isinstance(value, str) or value not in names:
        raise InvalidArgument(path, f"{value!r:.40} is not one of {', '.join(names)}")
    return names[value]


def words(enum: EnumDescriptor) -> dict[str, int]:
    """RERANK_MODE_OFF of RerankMode is "off"; unspecified has no word: it is said by saying nothing."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def to_plain(message: Message) -> dict[str, Any]:
    """Every field, also those at their default; a field that may be unset is null then."""
    return {field.name: _plain(message, field) for field in message.DESCRIPTOR.fields}


def _plain(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_plain_one(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return {} if field.message_type and field.message_type.full_name == STRUCT else None
    return _plain_one(field, value)


def _plain_one(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        return field.enum_type.values_by_number[value].name.removeprefix(prefix).lower()
    if field.message_type is None:
        return value
    if field.message_type.full_name == STRUCT:
        return json_format.MessageToDict(value)
    return to_plain(value)


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
