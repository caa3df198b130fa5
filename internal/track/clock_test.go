package track

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// wallClock are methods of time.Time, and functions, that leave the monotonic
// clock behind: a difference or a deadline made of what they return jumps with the
// wall clock.
var wallClock = map[string]bool{
	"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true,
	"Truncate": true, "ParseInLocation": true, "AddDate": true,
}

// mayUse says where they only make text, or a constant.
var mayUse = map[string]string{
	"internal/accesslog/squid.go":     "the format begins with seconds since 1970",
	"internal/suggest/squid.go":       "what it reads was written so",
	"internal/doctor/ask.go":          "a deadline that has passed",
	"internal/doctor/doctor.go":       "text",
	"internal/doctor/proxy.go":        "a deadline that has passed",
	"internal/presets/probe/probe.go": "the dates of sources are days of the calendar",
	"internal/egress/resolve.go":      "a deadline that has passed",
	"forward/watch.go":                "a deadline that has passed",
	"socks/watch.go":                  "a deadline that has passed",
}

// A clock that jumps, by NTP, by hand, or after a machine was suspended, must end
// no tunnel, fill no budget and hold up no timer. No test may set the clock of the
// machine that it runs on, so this one reads the code: times are compared as
// time.Now made them, with the monotonic clock in them.
func TestNothingIsMeasuredByTheWallClock(t *testing.T) {
	const root = "../.."
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "internal/lab" || name == "internal/bench" || name == "internal/mirror" || name == "internal/soak" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || mayUse[name] != "":
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			zero := len(call.Args) == 1 && isZero(call.Args[0])
			if wallClock[sel.Sel.Name] || sel.Sel.Name == "Round" && zero {
				t.Errorf("%s: %s leaves the monotonic clock behind", set.Position(call.Pos()), sel.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 50 {
		t.Errorf("read %d files, %v", files, err)
	}
}

func isZero(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == "0"
}
