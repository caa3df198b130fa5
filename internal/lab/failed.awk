# Reads what "go test -v" printed and says which tests failed, each with the first lines
# of its reason and the last, and nothing else: for whoever sees only the end of a long log.

/^=== (RUN|CONT|NAME|PAUSE)/ { test = $3; next }
/^ *--- (PASS|SKIP): / { next }
/^ *--- FAIL: / { failed[++failures] = $3; next }

# What tests, the race detector, goleak and the runtime say when something is wrong.
/^ +[A-Za-z0-9_]+\.go:[0-9]+: / || /^(panic|fatal error|WARNING: DATA RACE|goleak|.*found unexpected goroutines)/ {
  line = "    " substr($0, 1, 200) "\n"
  if (lines[test]++ < 3) reason[test] = reason[test] line
  else last[test] = line
}

/^FAIL\t/ {
  print
  for (i = 1; i <= failures; i++) printf "  %s\n%s%s", failed[i], reason[failed[i]], last[failed[i]]
  if (!failures) printf "%s%s", reason[test], last[test]
}
/^(ok|FAIL|\?)[ \t]/ { failures = 0; test = ""; delete lines; delete reason; delete last }
