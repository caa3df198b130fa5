//go:build linux

package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/egress"
	"sluice/internal/lab"
)

const readme = "../README.md"

func TestEveryLinkOfTheReadmeLeadsSomewhere(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(read(t, readme), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		file, heading, _ := strings.Cut(m[1], "#")
		path := filepath.Join("..", file)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
			continue
		}
		if heading == "" {
			continue
		}
		title := regexp.MustCompile(`(?im)^#+ ` + strings.ReplaceAll(regexp.QuoteMeta(heading), "-", "[ -]") + `$`)
		if !title.MatchString(read(t, path)) {
			t.Errorf("%s has no heading for #%s", file, heading)
		}
	}
}

func TestEveryCommandOfTheReadmeExists(t *testing.T) {
	help := run(t, lab.Sluice(t), "help")
	for _, m := range regexp.MustCompile("[`/ ]sluice ([a-z]+)( |`|\n)").FindAllStringSubmatch(read(t, readme), -1) {
		if strings.Contains(help, "  sluice "+m[1]) {
			continue
		}
		t.Errorf("there is no sluice %s", m[1])
	}
}

func TestTheReadmesConfigurationIsValid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(path, []byte(block(t, "[[rule]]")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, lab.Sluice(t), "check", "--config", path); !strings.Contains(out, " 0 warnings") {
		t.Error(out)
	}
}

func TestTheReadmeShowsWhatExplainPrints(t *testing.T) {
	shown := block(t, "$ sluice explain ")
	command, output, _ := strings.Cut(shown, "\n")
	args := strings.Fields(command)[2:] // without "$ sluice"
	for i, arg := range args {
		args[i] = strings.TrimPrefix(arg, "examples/")
	}
	// It ends with 1, for what it explains is a denial.
	got, err := exec.CommandContext(t.Context(), lab.Sluice(t), args...).CombinedOutput()
	if string(got) != output {
		t.Errorf("sluice explain (%v) prints\n%snot\n%s", err, got, output)
	}
}

func TestTheReadmesLinesForDockerAreThoseOfTheExample(t *testing.T) {
	example := read(t, "etc-sysconfig-docker")
	for line := range strings.Lines(block(t, "HTTP_PROXY=")) {
		if !strings.Contains(example, line) {
			t.Errorf("examples/etc-sysconfig-docker does not have %s", line)
		}
	}
}

func TestTheReadmeNamesEveryDependency(t *testing.T) {
	for line := range strings.Lines(read(t, "../go.mod")) {
		module, version, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "require ")), " ")
		if !strings.HasPrefix(version, "v") || strings.HasSuffix(version, "// indirect") {
			continue
		}
		if !strings.Contains(read(t, readme), "\n| "+module+" | ") {
			t.Errorf("%s is not among the dependencies", module)
		}
	}
}

// Each row of the table is "| words | HTTP | Proxy-Status | SOCKS5 |". Where the
// last has no number, SOCKS5 tells it in another way or not at all.
func TestTheReadmesTableOfDenialsIsTheOneInTheCode(t *testing.T) {
	replies := map[string]string{} // by HTTP status and Proxy-Status error
	for _, m := range regexp.MustCompile(`(?m)^\|[^|]+\| (\d+) \| (\w+) \| ?([^|]*?) ?\|$`).FindAllStringSubmatch(read(t, readme), -1) {
		replies[m[1]+" "+m[2]] = m[3]
	}
	for _, k := range egress.Kinds() {
		if k == egress.ClientGone { // there is nobody to tell
			continue
		}
		answer := fmt.Sprint(k.Status(), " ", k.ProxyError())
		reply, ok := replies[answer]
		if !ok {
			t.Errorf("no row has %s, the answer of %s", answer, k)
		}
		if want := fmt.Sprint(k.Reply()); len(reply) == 1 && reply != want {
			t.Errorf("the reply of %s is %s, not %s", k, want, reply)
		}
		delete(replies, answer)
	}
	for answer := range replies {
		t.Errorf("nothing is answered with %s", answer)
	}
}

// block returns the indented block of the README that begins with this text,
// without the indent.
func block(t *testing.T, begin string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, readme), "\n\n    "+begin)
	if !ok {
		t.Fatalf("no block of the README begins with %s", begin)
	}
	var text strings.Builder
	for line := range strings.Lines("    " + begin + rest) {
		unindented, ok := strings.CutPrefix(line, "    ")
		if !ok && line != "\n" {
			break
		}
		text.WriteString(unindented)
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}
