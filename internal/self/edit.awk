# Puts the settings of the file WANT into the text of the file OLD, and prints it. What
# stands there beside them stays; where they stand already nothing changes. NAMES are
# those of the settings, LISTS of those among them that keep the entries which the file
# has already, FORMAT is assignments, dropin, ini or git. All come from the environment, in which awk sees no
# escapes. The end is 3, with a sentence, for a text that must not be touched.
function refuse(sentence) { print sentence > "/dev/stderr"; refused = 1; exit 3 }

# name returns the variable that a line assigns, in capitals, and keeps the rest of it.
function name(s) {
	sub(/^[ \t]+/, "", s)
	sub(/^export[ \t]+/, "", s)
	if (!match(s, /^[A-Za-z_][A-Za-z0-9_]*=/)) return ""
	value = substr(s, RLENGTH + 1)
	return toupper(substr(s, 1, RLENGTH - 1))
}

# scan reads assignments with their quotes, up to white space if there may be more
# than one. It keeps how many characters it has read, and tells whether a quote is open.
function scan(s, several,    i, c, quote) {
	quote = ""
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "\\" && (several || quote != "'")) i++
		else if (quote == "" && (c == "\"" || c == "'")) quote = c
		else if (c == quote) quote = ""
		else if (several && quote == "" && (c == " " || c == "\t")) break
	}
	scanned = i - 1
	return quote != ""
}

function trimmed(s) { gsub(/^[ \t\r]+|[ \t\r]+$/, "", s); return s }

# keep adds to a wanted list the entries of the old one, which stands on line i.
function keep(id, old, i,    e, j, k, m, parts) {
	id = toupper(id)
	if (!(id in lists)) return
	m = split(unquoted(old), parts, ",")
	for (k = 1; k <= m; k++) {
		e = trimmed(parts[k])
		if (e == "" || e == "*") continue
		for (j = 1; j <= w; j++) add(id, e, i, j)
	}
}

# add adds an entry to the list that wanted line j sets, if it is that of the name.
function add(id, e, i, j,    head, s, v, end) {
	s = want[j]
	if (s ~ /^Environment="/) { head = "Environment=\""; end = "\""; s = substr(s, 14, length(s) - 14) }
	else if (s ~ /^export /) { head = "export "; s = substr(s, 8) }
	if (toupper(trimmed(substr(s, 1, index(s, "=") - 1))) != id) return
	head = head substr(s, 1, index(s, "="))
	v = substr(s, index(s, "=") + 1)
	while (substr(v, 1, 1) == " ") { head = head " "; v = substr(v, 2) }
	v = unquoted(v)
	if (index("," v ",", "," e ",")) return
	if (e !~ "^[][A-Za-z0-9._:/*-]+$") refuse("line " i ": " id " has \"" e "\" in its list, which is no name and no address: take it out")
	v = v "," e
	if (ENVIRON["FORMAT"] == "assignments" && v !~ "^[A-Za-z0-9:/._,%@-]+$") v = "'" v "'"
	want[j] = head v end
}

# unquoted takes off the quotes around a value.
function unquoted(s,    c) {
	s = trimmed(s)
	c = substr(s, 1, 1)
	if (length(s) > 1 && (c == "\"" || c == "'") && substr(s, length(s)) == c) return substr(s, 2, length(s) - 2)
	return s
}

function assignments(    i, going) {
	for (i = 1; i <= n; i++) {
		body = line[i]
		id = name(body)
		if (!going && id != "" && id in mine) {
			if (body ~ /\\$/ || scan(value, 0)) refuse("line " i " sets " id " over more than one line: write it in one")
			keep(id, value, i)
			found[++f] = i
		}
		going = body ~ /\\$/
	}
	if (going) refuse("line " n ", the last, ends in a backslash: take it away")
	put(1, w, n)
}

# dropin is the same for Environment= below [Service], where one line may set more.
function dropin(    i, rest, own, open, id, part, others, inside, going, last) {
	for (i = 1; i <= n; i++) {
		body = trimmed(line[i])
		if (going) {
			going = body ~ /\\$/
			if (inside) last = i
			continue
		}
		going = body ~ /\\$/ && body !~ /^[#;]/
		if (body ~ /^\[/) inside = body == "[Service]"
		if (!inside) continue
		if (body != "") last = i
		if (body !~ /^Environment[ \t]*=/) continue
		rest = substr(body, index(body, "=") + 1)
		sub(/^[ \t]+/, "", rest)
		own = open = 0; others = ""
		while (rest != "") {
			if (scan(rest, 1)) open = 1
			part = substr(rest, 1, scanned)
			rest = substr(rest, scanned + 1)
			sub(/^[ \t]+/, "", rest)
			id = unquoted(part)
			gsub(/^["']+/, "", id)
			value = index(id, "=") ? substr(id, index(id, "=") + 1) : ""
			id = toupper(index(id, "=") ? substr(id, 1, index(id, "=") - 1) : id)
			if (id in mine) { own = 1; keep(id, value, i) }
			else others = others (others == "" ? "" : " ") part
		}
		if (!own) continue
		if (open) refuse("line " i ": a quote is not closed")
		if (going) refuse("line " i " sets a proxy over more than one line: write it in one")
		if (others != "") line[i] = "Environment=" others
		else found[++f] = i
	}
	if (last) put(2, w, last)
	else put(1, w, n)
}

# ini sets names below one heading, or above all. An indented line goes on with the value
# of the line before.
function ini(    i, section, body, id, indented, inside, has, own, last) {
	if (want[1] ~ /^\[/) section = trimmed(substr(want[1], 2, index(want[1], "]") - 2))
	inside = has = section == ""
	for (i = 1; i <= n; i++) {
		body = trimmed(line[i])
		indented = section != "" && line[i] ~ /^[ \t]/
		if (body == "" || body ~ /^[#;]/) {
			if (inside && body != "") last = i
			continue
		}
		if (body ~ /^\[/ && !indented) {
			if (!index(body, "]")) refuse("line " i " has a heading without a closing bracket")
			inside = section != "" && trimmed(substr(body, 2, index(body, "]") - 2)) == section
			own = 0
			if (inside && !has) { has = 1; last = i }
			continue
		}
		if (!inside) continue
		if (!indented) {
			id = body
			sub(/[=:].*$/, "", id)
			own = toupper(trimmed(id)) in mine
			if (own) keep(trimmed(id), substr(body, length(id) + 2), i)
		}
		if (own) found[++f] = i
		last = i
	}
	settle(section == "", has, last)
}

# git is the same by git's rules: no case, no indents, lines joined by a backslash.
function git(    i, section, body, id, rest, joined, going, inside, has, last) {
	section = toupper(trimmed(substr(want[1], 2, index(want[1], "]") - 2)))
	for (i = 1; i <= n; i++) {
		body = trimmed(line[i])
		joined = going
		going = body ~ /\\$/ && body !~ /\\\\$/
		if (!joined && body ~ /^\[/) {
			inside = 0
			if (body ~ /^\[[ \t]*[A-Za-z0-9.-]+[ \t]*\]/) {
				inside = toupper(trimmed(substr(body, 2, index(body, "]") - 2))) == section
				rest = trimmed(substr(body, index(body, "]") + 1))
				if (inside && rest != "" && rest !~ /^[#;]/) refuse("line " i " has a value behind its heading: put it on a line of its own")
			}
		} else if (inside && !joined && body != "") {
			id = body
			sub(/=.*$/, "", id)
			if (toupper(trimmed(id)) in mine) {
				if (going) refuse("line " i " sets " trimmed(id) " over more than one line: write it in one")
				found[++f] = i
			}
		}
		if (inside && body != "") { has = 1; last = i }
	}
	settle(0, has, last)
}

# settle puts the settings into their section, or the section behind everything.
function settle(bare, has, last) {
	if (bare) put(1, w, last)
	else if (has) put(2, w, last)
	else put(1, w, n)
}

# put has the wanted lines stand where the first of those found is, or behind line at.
function put(from, to, at,    i, k, m, out, returns, skip, same) {
	same = f == to - from + 1
	for (i = 1; same && i <= f; i++) same = line[found[i]] == want[from + i - 1]
	if (same) return
	for (i = 1; i <= f; i++) skip[found[i]] = 1
	at = f ? found[1] - 1 : at + 0
	m = 0
	for (i = 0; i <= n; i++) {
		if (i > 0 && !(i in skip)) { out[++m] = line[i]; returns[m] = cr[i]; whole = i < n || ended }
		if (i == at) for (k = from; k <= to; k++) { out[++m] = want[k]; returns[m] = crlf; whole = 1 }
	}
	ended = whole
	n = m
	for (i = 1; i <= n; i++) { line[i] = out[i]; cr[i] = returns[i] }
}

BEGIN {
	while ((getline s < ENVIRON["WANT"]) > 0) want[++w] = s
	n = f = count = 0
	while ((getline s < ENVIRON["OLD"]) > 0) {
		n++
		count += cr[n] = sub(/\r$/, "", s)
		line[n] = s
	}
	ended = ENVIRON["ENDED"] + 0
	split(toupper(ENVIRON["NAMES"]), names, " ")
	for (i in names) mine[names[i]] = 1
	for (i in names) delete names[i]
	split(toupper(ENVIRON["LISTS"]), names, " ")
	for (i in names) lists[names[i]] = 1
	crlf = 2 * count > n - !ended
	if (sub(/^\357\273\277/, "", line[1])) mark = "\357\273\277"
	if (ENVIRON["FORMAT"] == "assignments") assignments()
	else if (ENVIRON["FORMAT"] == "dropin") dropin()
	else if (ENVIRON["FORMAT"] == "git") git()
	else ini()
	printf "%s", mark
	for (i = 1; i <= n; i++) printf "%s%s%s", line[i], (cr[i] ? "\r" : ""), (i < n || ended ? "\n" : "")
	exit 0
}
