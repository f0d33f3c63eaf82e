"""Turns the declaration of an option into its schema, its parser and the words of its mistakes."""

from flowrunner.options.computed import ExpressionKind, FieldValues, Names, TemplateKind, TopicTemplate, ValueKind
from flowrunner.options.declare import Option, main_option, option, options_of
from flowrunner.options.kind import Context, Dynamic, Kind, Place, describe, parts_of
from flowrunner.options.nested import Cases, OnError, StepLists, Steps
from flowrunner.options.numbers import FLAG, Bool, CountOrDuration, Duration, Frequency, Integer, Number, QoS, Rate, Size
from flowrunner.options.properties import MessageProperties, check_properties
from flowrunner.options.texts import (
    Choice,
    ConnectionName,
    FieldPath,
    FieldPaths,
    PatternKind,
    Text,
    TextFormat,
    TopicFilter,
)

__all__ = [
    "FLAG",
    "Bool",
    "Cases",
    "Choice",
    "ConnectionName",
    "Context",
    "CountOrDuration",
    "Duration",
    "Dynamic",
    "ExpressionKind",
    "FieldPath",
    "Frequency",
    "FieldPaths",
    "FieldValues",
    "Integer",
    "Kind",
    "MessageProperties",
    "Names",
    "Number",
    "OnError",
    "Option",
    "PatternKind",
    "Place",
    "QoS",
    "Rate",
    "Size",
    "StepLists",
    "Steps",
    "TemplateKind",
    "Text",
    "TextFormat",
    "TopicFilter",
    "TopicTemplate",
    "ValueKind",
    "check_properties",
    "describe",
    "main_option",
    "option",
    "options_of",
    "parts_of",
]
