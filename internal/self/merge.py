import json, sys

def merge(old, want):
    for name, value in want.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            merge(old[name], value)
        elif isinstance(value, dict) and old.get(name) is not None:
            sys.exit(1)
        else:
            old[name] = value

old, want = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
if not isinstance(old, dict):
    sys.exit(1)
before = json.dumps(old)
merge(old, want)
if json.dumps(old) == before:
    sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
else:
    text = json.dumps(old, indent=2, ensure_ascii=False) + "\n"
    sys.stdout.buffer.write(text.encode())
