"""JSON schemas of our protos, as gateway/http/messages.py reads and writes them."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.http.messages import INTEGERS, NUMBERS, STRUCT, words

Components = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its body has it: without the field that the path names already, empty for none."""

    message: Descriptor
    named: str = ""


def asked_schema(asked: Asked, components: Components) -> dict[str, str]:
    """A reference to the request's JSON schema, put into `components` with those that it needs. No field has to be
    there, and null is the same as none.
    """
    return _message(asked.message, components, reply=False, named=asked.named)


def reply_schema(message: Descriptor, components: Components) -> dict[str, str]:
    """The same of a reply. Every field is there; null is one that may be unset and is."""
    return _message(message, components, reply=True)


def _message(message: Descriptor, components: Components, *, reply: bool, named: str = "") -> dict[str, str]:
    name = f"siftline.{message.name}" + ("" if reply or message.name.endswith("Request") else "Input")
    if name not in components:
        fields = [field for field in message.fields if field.name != named]
        components[name] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {field.name: _field(field, components, reply=reply) for field in fields},
        }
        if reply:
            components[name]["required"] = [field.name for field in fields]
    return {"$ref": f"#/components/schemas/{name}"}


def _field(field: FieldDescriptor, components: Components, *, reply: bool) -> dict[str, Any]:
    one = _one(field, components, reply=reply)
    all_of_it = {"type": "array", "items": one} if field.is_repeated else one
    may_be_null = not reply or (field.has_presence and not _is_struct(field))
    return {"anyOf": [all_of_it, {"type": "null"}]} if may_be_null else all_of_it


def _one(field: FieldDescriptor, components: Components, *, reply: bool) -> dict[str, Any]:
    if field.enum_type is not None:
        return {"type": "string", "enum": list(words(field.enum_type))}
    if _is_struct(field):
        return {"type": "object"}
    if field.message_type is not None:
        return dict(_message(field.message_type, components, reply=reply))
    if field.cpp_type in INTEGERS:
        low, high = INTEGERS[field.cpp_type]
        return {"type": "integer", "minimum": low, "maximum": high}
    if field.cpp_type in NUMBERS:
        return {"type": "number"}
    return {"type": "boolean" if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else "string"}


def _is_struct(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == STRUCT
