//go:build linux

package readers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// output runs a program in the C locale and returns its standard output.
func output(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	if stdin != "" {
		f, err := os.Open(stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, errors.String())
	}
	return string(out)
}

// report is calamaris' plain report: the words of each row, by its section's title
// and its first words, up to the first number.
type report map[string][]string

func readReport(text string) report {
	r := report{}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "# "); ok {
			section = title
			continue
		}
		words := strings.Fields(line)
		for i, word := range words {
			if _, err := strconv.ParseFloat(word, 64); err == nil {
				r[section+": "+strings.Join(words[:i], " ")] = words[i:]
				break
			}
		}
	}
	return r
}

// expect compares the first number of a row, and the one behind two others.
func (r report) expect(t *testing.T, row string, requests int, bytes int64) {
	t.Helper()
	words := r[row]
	if len(words) == 0 {
		t.Errorf("there is no %q", row)
		return
	}
	if words[0] != fmt.Sprint(requests) {
		t.Errorf("%q has %s requests, not %d", row, words[0], requests)
	}
	if bytes >= 0 && (len(words) < 4 || words[3] != fmt.Sprint(bytes)) {
		t.Errorf("%q has %q, not %d bytes", row, words, bytes)
	}
}

func TestCalamarisReadsTheLog(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"calamaris"}})
	path, f := squidLog(t)
	r := readReport(output(t, path, "calamaris", "-a", "-u", "-F", "unformatted"))
	for row, want := range map[string]string{
		"Summary: lines parsed: lines":    fmt.Sprint(f.requests),
		"Summary: invalid lines: lines":   "0",
		"Summary: Total amount: requests": fmt.Sprint(f.requests),
		"Summary: Total Bandwidth: Byte":  fmt.Sprint(f.down),
	} {
		if got := r[row]; len(got) != 1 || got[0] != want {
			t.Errorf("%q is %q, not %s", row, got, want)
		}
	}
	for method, n := range f.method {
		r.expect(t, "Incoming requests by method: "+method, n, -1)
	}
	const status = "Incoming TCP-requests by status: "
	r.expect(t, status+"TCP_DENIED", f.denied, 0)
	r.expect(t, status+"TCP_MISS", f.method["GET"], -1)
	r.expect(t, status+"TCP_TUNNEL", f.method["CONNECT"]-f.denied, -1)
	r.expect(t, status+"Sum", f.requests, f.down)
	r.expect(t, "Outgoing requests by status: HIER_DIRECT", f.requests-f.denied, f.down)
	const host = "Incoming TCP-requests by host: "
	for _, client := range []string{guest, stranger, six} {
		r.expect(t, host+client, f.client[client], -1)
	}
	r.expect(t, host+"ann lee@"+staff, f.user["ann lee"], -1)
	r.expect(t, host+staff, f.client[staff]-f.user["ann lee"], -1)
}

// analysis is as much of goaccess' JSON as is compared.
type analysis struct {
	General struct {
		Total     int   `json:"total_requests"`
		Valid     int   `json:"valid_requests"`
		Failed    int   `json:"failed_requests"`
		Bandwidth int64 `json:"bandwidth"`
	}
	Hosts struct {
		Data []struct {
			Data string
			Hits struct{ Count int }
		}
	}
}

func TestGoaccessReadsTheLog(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"goaccess"}})
	path, f := squidLog(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// goaccess' own name for the format means lines as a syslog daemon files them.
	filed := filepath.Join(t.TempDir(), "syslog")
	lines := strings.ReplaceAll("\n"+strings.TrimSuffix(string(text), "\n"), "\n", "\nNov 22 12:21:00 relay sluice[123]: ")
	if err := os.WriteFile(filed, []byte(lines[1:]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{path, "--log-format=" + goaccessFormat(t), "--date-format=%s", "--time-format=%s"},
		{filed, "--log-format=SQUID"},
	} {
		out := filepath.Join(t.TempDir(), "report.json")
		output(t, "", "goaccess", append(args, "--no-global-config", "--no-progress", "--output="+out)...)
		f.compare(t, out)
	}
}

// goaccessFormat is what the reference tells a user to give goaccess.
func goaccessFormat(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.Root(t), "internal/config/REFERENCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "goaccess --log-format='")
	format, rest, _ := strings.Cut(rest, "'")
	if !strings.HasPrefix(rest, " --date-format=%s --time-format=%s") {
		t.Fatal("the reference does not say how goaccess reads the log")
	}
	return format
}

func (f *figures) compare(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var a analysis
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	if a.General.Total != f.requests || a.General.Valid != f.requests || a.General.Failed != 0 || a.General.Bandwidth != f.down {
		t.Errorf("%+v, not %d requests with %d bytes", a.General, f.requests, f.down)
	}
	hosts := map[string]int{}
	for _, h := range a.Hosts.Data {
		hosts[h.Data] = h.Hits.Count
	}
	if fmt.Sprint(hosts) != fmt.Sprint(f.client) {
		t.Errorf("requests by client %v, not %v", hosts, f.client)
	}
}
