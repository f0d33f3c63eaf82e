"""Holds the functions that a script may need, as they stand in it, each with what it imports."""

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True, slots=True)
class Helper:
    """A function of a script: its source, the modules that it imports, and other helpers that it calls."""

    source: str
    imports: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _helper(source: str, *imports: str, needs: tuple[str, ...] = ()) -> Helper:
    return Helper(dedent(source).strip("\n"), imports, needs)


HELPERS: dict[str, Helper] = {
    "to_bytes": _helper(
        '''
        def to_bytes(value):
            """What is sent: bytes as they are, text as UTF-8, nothing for None, everything else as JSON."""
            if isinstance(value, bytes):
                return value
            if isinstance(value, str):
                return value.encode()
            if value is None:
                return b""
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        ''',
        "json",
    ),
    "text": _helper(
        '''
        def text(value):
            """A value inside a text: bytes as UTF-8; True, None, lists and dicts as in JSON."""
            if isinstance(value, bytes):
                return value.decode()
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        ''',
        "json",
    ),
    "attempt": _helper(
        '''
        def attempt(steps, client, topic, *values):
            """Run steps on a message. If one fails, say so: a bad message must not end the script."""
            try:
                return steps(client, topic, *values)
            except Exception as error:
                print(f"dropped a message on {topic}: {type(error).__name__}: {error}", file=sys.stderr)
        ''',
        "sys",
    ),
    "get_field": _helper(
        '''
        def get_field(value, *path):
            """A field inside of dicts; KeyError or TypeError if it is not there."""
            for name in path:
                value = value[name]
            return value
        '''
    ),
    "find_field": _helper(
        '''
        def find_field(value, *path):
            """The same, but None if it is not there."""
            for name in path:
                if not isinstance(value, dict) or name not in value:
                    return None
                value = value[name]
            return value
        '''
    ),
    "has_field": _helper(
        '''
        def has_field(value, *path):
            """Whether there is a field inside of dicts."""
            for name in path:
                if not isinstance(value, dict) or name not in value:
                    return False
                value = value[name]
            return True
        '''
    ),
    "set_field": _helper(
        '''
        def set_field(payload, path, value):
            """A new dict with a field set; dicts on the way to it are made."""
            name, *rest = path
            if rest:
                inner = payload.get(name)
                value = set_field({} if inner is None else inner, rest, value)
            return {**payload, name: value}
        '''
    ),
    "remove_field": _helper(
        '''
        def remove_field(payload, path):
            """A new dict without a field."""
            name, *rest = path
            if not isinstance(payload, dict) or name not in payload:
                return payload
            if rest:
                return {**payload, name: remove_field(payload[name], rest)}
            return {key: value for key, value in payload.items() if key != name}
        '''
    ),
    "pick_fields": _helper(
        '''
        def pick_fields(payload, *paths):
            """A new dict with these fields only, as far as they are there."""
            payload, picked = {**payload}, {}
            for path in paths:
                if has_field(payload, *path):
                    picked = set_field(picked, path, get_field(payload, *path))
            return picked
        ''',
        needs=("has_field", "get_field", "set_field"),
    ),
    "rename_fields": _helper(
        '''
        def rename_fields(payload, names):
            """A new dict with fields under other names."""
            payload = {**payload}
            found = [(new, get_field(payload, *old)) for old, new in names if has_field(payload, *old)]
            for old, new in names:
                payload = remove_field(payload, old)
            for new, value in found:
                payload = set_field(payload, new, value)
            return payload
        ''',
        needs=("has_field", "get_field", "set_field", "remove_field"),
    ),
    "number": _helper(
        '''
        def number(value):
            """A number out of a text, or the number that it is already."""
            if not isinstance(value, str):
                return value
            try:
                return int(value.strip())
            except ValueError:
                return float(value.strip())
        '''
    ),
    "to_int": _helper(
        '''
        def to_int(value):
            """A whole number; a fraction is an error, so that nothing is lost unseen."""
            value = number(value)
            if value != int(value):
                raise ValueError(f"{value!r} is no whole number")
            return int(value)
        ''',
        needs=("number",),
    ),
    "to_float": _helper(
        '''
        def to_float(value):
            """A finite number."""
            value = float(number(value))
            if not math.isfinite(value):
                raise ValueError(f"{value!r} is no finite number")
            return value
        ''',
        "math",
        needs=("number",),
    ),
    "to_bool": _helper(
        '''
        def to_bool(value):
            """True for `true`, `on`, `yes` and 1 in any case, False for their opposites."""
            word = str(value).strip().lower()
            if word in ("true", "on", "yes", "1", "1.0"):
                return True
            if word in ("false", "off", "no", "0", "0.0"):
                return False
            raise ValueError(f"{value!r} is neither true nor false")
        '''
    ),
    "scale": _helper(
        '''
        def scale(value, low, high, new_low, new_high):
            """A number on another scale: `low` becomes `new_low`, `high` becomes `new_high`."""
            if isinstance(value, bool) or not math.isfinite(value):
                raise ValueError(f"{value!r} cannot be scaled")
            return (value - low) * (new_high - new_low) / (high - low) + new_low
        ''',
        "math",
    ),
    "table_key": _helper(
        '''
        def table_key(key):
            """A key as it stands in a table: numbers as text."""
            return str(key).lower() if isinstance(key, bool) else str(key)
        '''
    ),
    "extract": _helper(
        '''
        def extract(pattern, value):
            """The named groups of a regular expression; the whole text must match."""
            found = re.fullmatch(pattern, value)
            if found is None:
                raise ValueError(f"{value!r} does not match")
            return found.groupdict()
        ''',
        "re",
    ),
    "list_items": _helper(
        '''
        def list_items(value):
            """The items of a list, or the values of a dict."""
            if isinstance(value, dict):
                return list(value.values())
            if not isinstance(value, list):
                raise TypeError("only a list can be split")
            return value
        '''
    ),
    "as_key": _helper(
        '''
        def as_key(value):
            """A value as the key of a dict."""
            return value if isinstance(value, (str, int, float)) else json.dumps(value, sort_keys=True)
        ''',
        "json",
    ),
    "differs": _helper(
        '''
        def differs(old, new, deadband):
            """Whether a value has changed: a number by more than the deadband, everything else at all."""
            numbers = [one for one in (old, new) if isinstance(one, (int, float)) and not isinstance(one, bool)]
            if len(numbers) == 2:
                return abs(new - old) > deadband * (1 + 1e-9)
            return type(old) is not type(new) or old != new
        '''
    ),
    "unique": _helper(
        '''
        def unique(values):
            """The items without those that were there before."""
            kept = []
            for value in values:
                if value not in kept:
                    kept.append(value)
            return kept
        '''
    ),
    "iso": _helper(
        '''
        def iso(seconds):
            """Seconds since 1970 as a date and time in UTC."""
            moment = datetime.fromtimestamp(round(seconds, 3), timezone.utc)
            return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
        ''',
        "from datetime import datetime, timezone",
    ),
    "digest": _helper(
        '''
        def digest(value):
            """16 hexadecimal digits that stand for a value."""
            if not isinstance(value, bytes):
                value = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
            return hashlib.sha256(value).hexdigest()[:16]
        ''',
        "json",
        "hashlib",
    ),
    "properties_of": _helper(
        '''
        def properties_of(message):
            """The MQTT 5 properties of a message as a plain dict."""
            names = {"ContentType": "content_type", "ResponseTopic": "response_topic",
                     "CorrelationData": "correlation_data", "MessageExpiryInterval": "message_expiry"}
            given = vars(message.properties)
            found = {plain: given[name] for name, plain in names.items() if name in given}
            if "UserProperty" in given:
                found["user"] = dict(given["UserProperty"])
            return found
        '''
    ),
    "make_properties": _helper(
        '''
        def make_properties(
            content_type=None, response_topic=None, correlation_data=None, message_expiry=None, user=None
        ):
            """MQTT 5 properties for a message that is published."""
            made = Properties(PacketTypes.PUBLISH)
            if content_type is not None:
                made.ContentType = content_type
            if response_topic is not None:
                made.ResponseTopic = response_topic
            if correlation_data is not None:
                made.CorrelationData = to_bytes(correlation_data)
            if message_expiry is not None:
                made.MessageExpiryInterval = int(message_expiry)
            if user is not None:
                made.UserProperty = [(str(name), str(value)) for name, value in user.items()]
            return made
        ''',
        "from paho.mqtt.packettypes import PacketTypes",
        "from paho.mqtt.properties import Properties",
        needs=("to_bytes",),
    ),
    "append_line": _helper(
        '''
        def append_line(path, value):
            """Append a value to a file as a line of JSON."""
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\\n")
        ''',
        "json",
    ),
    "path_part": _helper(
        '''
        def path_part(name):
            """A part of a path that came with a message: it must not lead to another folder."""
            if not name or name in (".", "..") or "/" in name or "\\\\" in name or "\\0" in name:
                raise ValueError(f"{name!r} cannot be part of a path")
            return name
        '''
    ),
    "check_argument": _helper(
        '''
        def check_argument(argument):
            """An argument that came with a message: a program must not take it for an option."""
            if argument.startswith("-"):
                raise ValueError(f"an argument must not begin with `-`: {argument!r}")
            return argument
        '''
    ),
    "csv_rows": _helper(
        '''
        def csv_rows(data):
            """The lines of a table as dicts; the names stand in the first one."""
            return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig") if isinstance(data, bytes) else data)))
        ''',
        "csv",
        "io",
    ),
}
