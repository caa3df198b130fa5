package strict

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// oddTexts are valid TOML that is hard to walk over.
func oddTexts() []string {
	return []string{
		"a.b.c = 1\na.b.d = 2\n",
		"[a.b]\nc = 1\n[a]\nd = 2\n",
		"[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a.e]]\nf = 4\n[[a.e]]\nf = 5\n[[a]]\n[[a.e]]\nf = 6\n",
		"[ a . \"b.c\" . 'd' ]\n\"\" = 1\n\"\\u00fc\\t\" = 2\n",
		"a = {b = 1, c.d = [1, {e = 2}], f = {}}\n",
		"a = [ # [\n  1, # ]\n  [2, 3], ['x,]', \"\"\"y\"]\"\"\"],\n]\n",
		"a = \"\"\"\\\n  x\"\"\"\"\"\nb = '''\n'''''\nc = \"\\\"\"\nd = '\\'\n",
		"a = 1979-05-27 07:32:00 # noon\nb = [1979-05-27, 07:32:00]\nc = -inf\nd = nan\ne = 0xdead_beef \n",
		"\n\t# only a comment [x]\r\na=1\r\n[b]#c\r\nd='e'#f",
		"a = {\n  b = 1, # c\n  d = 2,\n}\n",
		"[[a]]\n[[a]]\n[[a]]\n",
		"a = []\nb = [[], [[]]]\nc = [{}]\n",
	}
}

// What the library finds in a text, the scanner finds too, and where it finds a
// value there stands just this value.
func FuzzPositions(f *testing.F) {
	for _, text := range oddTexts() {
		f.Add(text)
	}
	files, _ := filepath.Glob("../testdata/*/*.toml")
	for _, path := range files {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(string(data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if scan(text, nil).deep >= 0 || strings.HasPrefix(text, "\ufeff") {
			return
		}
		var raw map[string]any
		if _, err := toml.Decode(text, &raw); err != nil {
			return
		}
		root := newSpot()
		wantAll(root, raw)
		scan(text, root)
		for key, v := range raw {
			checkSpot(t, text, key, root.child(key), v)
		}
	})
}

func TestOddTextsAreValid(t *testing.T) {
	for _, text := range oddTexts() {
		if _, err := toml.Decode(text, &map[string]any{}); err != nil {
			t.Errorf("%v in:\n%s", err, text)
		}
	}
}

func wantAll(w *spot, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, sub := range v {
			wantAll(w.want(key), sub)
		}
	case []map[string]any:
		for i, sub := range v {
			wantAll(w.want(i), sub)
		}
	case []any:
		for i, sub := range v {
			wantAll(w.want(i), sub)
		}
	}
}

func checkSpot(t *testing.T, text, path string, w *spot, v any) {
	t.Helper()
	if w.at < 0 {
		t.Fatalf("%s was not found in:\n%s", path, text)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, sub := range v {
			checkKey(t, text, path, key, w.child(key))
			checkSpot(t, text, path+"."+key, w.child(key), sub)
		}
	case []map[string]any:
		for i, sub := range v {
			checkSpot(t, text, fmt.Sprintf("%s[%d]", path, i), w.item(i), sub)
		}
	case []any:
		for i, sub := range v {
			checkSpot(t, text, fmt.Sprintf("%s[%d]", path, i), w.item(i), sub)
		}
	default:
		s := &scanner{text: text, pos: w.at, deep: -1}
		s.value(nil)
		var got struct{ V any }
		literal := text[w.at:s.pos]
		if _, err := toml.Decode("v = "+literal, &got); err != nil {
			t.Fatalf("%s is said to be %q, which is no value: %v, in:\n%s", path, literal, err, text)
		}
		if !sameValue(got.V, v) {
			t.Fatalf("%s is said to be %q, but is %v, in:\n%s", path, literal, v, text)
		}
	}
}

// checkKey holds the place of a key against its name. A table's place may be a
// header, or the key of something within it.
func checkKey(t *testing.T, text, path, key string, w *spot) {
	t.Helper()
	if w.key < 0 {
		t.Fatalf("key %q of %s was not found in:\n%s", key, path, text)
	}
	if text[w.key] == '[' {
		return
	}
	s := &scanner{text: text, pos: w.key, deep: -1}
	if got := s.name(); got != key {
		t.Fatalf("key %q of %s is said to be %q in:\n%s", key, path, got, text)
	}
}

func sameValue(a, b any) bool {
	x, isFloat := a.(float64)
	y, ok := b.(float64)
	if isFloat && ok && math.IsNaN(x) && math.IsNaN(y) {
		return true
	}
	return reflect.DeepEqual(a, b)
}

func TestColumnsCountCharacters(t *testing.T) {
	text := "a = \"ü\"\nbü = \"€€\" # x\n"
	offset := strings.Index(text, "#")
	got := positionsOf(text, []int{offset, 0, -1, len(text)})
	want := map[int]position{offset: {2, 11}, 0: {1, 1}, len(text): {3, 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheScannerEndsOnAnyText(t *testing.T) {
	for _, text := range append(oddTexts(), "[", "[[", "a", "a=", "a=[", "a={", "a=\"", "a=\"\"\"\\", "'", "\"\\", "=", ".", "a.", "[a", "[a.", "[[a]", "a=[1 2", "a={b=1 c=2}", "#") {
		for cut := range len(text) + 1 {
			root := newSpot()
			root.want("a").want(0).want("b")
			scan(text[:cut], root)
		}
	}
}
