import json

payload = b"gr\xc3\xbcn"
print(payload, "are", len(payload), "bytes")
print(payload.decode("utf-8"), "is a text of", len(payload.decode("utf-8")), "characters")
print(payload.decode("latin-1"), "is what comes of the wrong encoding")

payload = b'{"temperature": 21.5, "ok": true}'
value = json.loads(payload)
print(value["temperature"] + 1, value["ok"])
