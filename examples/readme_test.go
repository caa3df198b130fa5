//go:build linux

package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

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
		if file == "" {
			path = readme
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
			continue
		}
		if heading != "" && !slices.Contains(anchors(read(t, path)), heading) {
			t.Errorf("%s has no heading for #%s", path, heading)
		}
	}
}

// anchors are what links call the headings of a text by: words in lower case with hyphens
// between them, without other signs.
func anchors(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		words := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(words, " ", "-"))
	}
	return all
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

func TestEveryCommandOfTheMirrorExists(t *testing.T) {
	help := run(t, lab.SluiceMirror(t), "help")
	for _, m := range regexp.MustCompile("sluice-mirror ([a-z]+)( |`|\n)").FindAllStringSubmatch(block(t, "CGO_ENABLED=0 go build -o sluice-mirror "), -1) {
		if !strings.Contains(help, "  sluice-mirror "+m[1]) {
			t.Errorf("there is no sluice-mirror %s", m[1])
		}
	}
}

// With them, Docker and containerd pull in the lab.
func TestTheReadmeHasOneMirrorForDockerAndContainerd(t *testing.T) {
	var daemon struct {
		Mirrors []string `json:"registry-mirrors"`
	}
	if err := json.Unmarshal([]byte(block(t, `{"registry-mirrors"`)), &daemon); err != nil {
		t.Fatal(err)
	}
	var hosts struct {
		Server string
		Host   map[string]struct{ Capabilities []string }
	}
	if _, err := toml.Decode(block(t, `server = "`), &hosts); err != nil {
		t.Fatal(err)
	}
	if _, same := hosts.Host[daemon.Mirrors[0]]; !same || len(hosts.Host) != 1 || hosts.Server != "https://ghcr.io" {
		t.Errorf("Docker has %v, containerd %+v", daemon.Mirrors, hosts)
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

// block is [lab.ReadmeBlock].
func block(t *testing.T, begin string) string {
	t.Helper()
	return lab.ReadmeBlock(t, begin)
}
