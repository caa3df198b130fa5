package strict

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// parse turns TOML into maps. Its error has no file name.
func parse(text string) (map[string]any, *Error) {
	at := func(offset int, problem, fix string) *Error {
		offset = max(0, min(offset, len(text)))
		p := positionsOf(text, []int{offset})[offset]
		return &Error{Line: p.line, Column: p.column, Problem: problem, Fix: fix}
	}
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return nil, &Error{Problem: "the file is in UTF-16", Fix: "save it as UTF-8"}
	}
	if n := invalidUTF8(text); n >= 0 {
		return nil, at(n, fmt.Sprintf("byte 0x%02x is not UTF-8", text[n]), "save the file as UTF-8")
	}
	if s := scan(text, nil); s.deep >= 0 {
		return nil, at(s.deep, fmt.Sprintf("nested more than %d levels deep", maxDepth), "")
	}
	var raw map[string]any
	_, err := toml.Decode(text, &raw)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		problem := strings.TrimSuffix(syntax.Message, ".")
		if r := []rune(problem); len(r) > 1 && 'A' <= r[0] && r[0] <= 'Z' && 'a' <= r[1] && r[1] <= 'z' {
			problem = strings.ToLower(problem[:1]) + problem[1:]
		}
		offset := max(0, min(syntax.Position.Start, len(text)))
		line := lineAround(text, offset)
		if strings.HasPrefix(line, "password") {
			problem = "the password is not text in quotes" // the library's sentence may repeat it
		}
		return nil, at(offset, problem, syntaxFix(problem, line))
	case err != nil:
		return nil, &Error{Problem: err.Error()}
	}
	return raw, nil
}

func invalidUTF8(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

func lineAround(text string, offset int) string {
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return strings.TrimSpace(line)
}

// syntaxFix adds what the library's sentences leave to the reader.
func syntaxFix(problem, line string) string {
	_, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	switch {
	case strings.Contains(problem, "already been defined"):
		return "write each key and each [table] once"
	case strings.Contains(problem, "already created"):
		return "write [table] if there is one, [[table]] if there may be several"
	case strings.Contains(problem, "cannot contain newlines"):
		return "close the quotes on the same line"
	case strings.Contains(problem, "invalid escape"):
		return `write "\\" for a backslash, or the text in single quotes`
	case strings.HasPrefix(problem, "unexpected EOF"):
		return "close the quotes or brackets that are open, or write the value"
	case strings.HasPrefix(problem, "expected '.' or '='"):
		return "write key = value"
	case value != "" && !strings.ContainsRune("\"'[{+-0123456789", rune(value[0])):
		return `put text in quotes, as in level = "info"`
	}
	return ""
}
