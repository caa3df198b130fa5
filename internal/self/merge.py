import json, re, sys

# Puts the second object into the first. Lists, named by their paths, keep their entries.
lists = sys.argv[3].split()


def joined(name, had, has):
    have = has.split(",")
    for one in (e.strip() for e in had.split(",")):
        if one in ("", "*") or one in have:
            continue
        if not re.fullmatch(r"[A-Za-z0-9._:/*\[\]-]+", one):
            sys.exit('%s has "%s" in its list, which is no name and no address: take it out' % (name, one))
        have.append(one)
    return ",".join(have)


def merge(old, want, above):
    for name, value in want.items():
        had, path = old.get(name), above + name
        if isinstance(value, dict):
            if had is None:
                had = old[name] = {}
            if not isinstance(had, dict):
                sys.exit('"%s" is no object: take it out, or make it one' % name)
            merge(had, value, path + ".")
        elif path in lists and isinstance(had, str):
            old[name] = joined(name, had, value)
        elif isinstance(value, list) and had is not None:
            if not isinstance(had, list):
                sys.exit('"%s" is no list: take it out, or make it one' % path)
            old[name] = value + [e for e in had if e not in value]
        else:
            old[name] = value


try:
    old, want = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:3])
except (ValueError, UnicodeDecodeError):
    sys.exit("it is broken JSON: mend it first")
if not isinstance(old, dict):
    sys.exit("it is JSON, but no object in braces")
before = json.dumps(old)
merge(old, want, "")
if json.dumps(old) == before:
    sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
else:
    sys.stdout.buffer.write((json.dumps(old, indent=2, ensure_ascii=False) + "\n").encode())
