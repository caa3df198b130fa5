//go:build linux

package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/internal/lab"
	"sluice/internal/metrics"
	mirrormetrics "sluice/internal/mirror/metrics"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
	"sluice/internal/track"
)

// Names of the examples that use metrics.
const (
	alertsFile    = "prometheus-alerts.yaml"
	dashboardFile = "grafana-dashboard.json"
)

// ruleFile is as much of a file of Prometheus's rules as the example uses.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Record      string `yaml:",omitempty"`
	Alert       string `yaml:",omitempty"`
	Expr        string
	For         string            `yaml:",omitempty"`
	Labels      map[string]string `yaml:",omitempty"`
	Annotations map[string]string `yaml:",omitempty"`
}

func alerts(t *testing.T, path string) []rule {
	t.Helper()
	var file ruleFile
	decoder := yaml.NewDecoder(strings.NewReader(read(t, path)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

func testAlerts(t *testing.T, path string) {
	for _, r := range alerts(t, path) {
		known(t, r.Alert, r.Expr)
		if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
			t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
		}
		for _, text := range []string{"summary", "description"} {
			if r.Annotations[text] == "" {
				t.Errorf("%s has no %s", r.Alert, text)
			}
		}
	}
	lab.Need(t, lab.Needs{Programs: []string{"promtool"}})
	run(t, "promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
}

func testAlertTests(t *testing.T, path string) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				AlertName string           `yaml:"alertname"`
				Expected  []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, path)), &file); err != nil {
		t.Fatal(err)
	}
	fires := make(map[string]map[bool]bool)
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			if fires[a.AlertName] == nil {
				fires[a.AlertName] = make(map[bool]bool)
			}
			fires[a.AlertName][len(a.Expected) > 0] = true
		}
	}
	for _, r := range alerts(t, strings.Replace(path, ".test.", ".", 1)) {
		if f := fires[r.Alert]; !f[true] || !f[false] {
			t.Errorf("%s does not test both when %s fires and when it does not", path, r.Alert)
		}
	}
	lab.Need(t, lab.Needs{Programs: []string{"promtool"}})
	run(t, "promtool", "test", "rules", path)
}

// types are the metrics that there are, by name.
func types(t *testing.T) map[string]string {
	t.Helper()
	m := metrics.New(metrics.Options{})
	m.Count(&track.Record{Protocol: track.Connect, Outcome: "ok", Decision: "observe"}, 1, 1)
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	mirrorMetrics(t).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	found := map[string]string{"up": "gauge"} // Prometheus's own
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(w.Body.String(), -1) {
		found[line[1]] = line[2]
	}
	return found
}

// mirrorMetrics returns those of a mirror that has done something.
func mirrorMetrics(t *testing.T) http.Handler {
	t.Helper()
	m := mirrormetrics.New(mirrormetrics.Options{
		Store: func() store.Stats { return store.Stats{} },
		Upstreams: func() []mirrormetrics.UpstreamState {
			return []mirrormetrics.UpstreamState{{Name: "docker.io", Limits: upstream.Limits{Limit: 100, Seen: time.Now()}}}
		},
	})
	m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "blob", Status: 200})
	m.Count(&record.Record{Kind: record.Blob, How: record.Hit, Status: 200})
	return m
}

var (
	quoted     = regexp.MustCompile(`"[^"]*"`)
	metricName = regexp.MustCompile(`\b(sluice|go|process)_\w+|\bup\b`)
)

// known holds the metrics of an expression against those that there are.
func known(t *testing.T, what, expr string) {
	t.Helper()
	types := types(t)
	names := metricName.FindAllString(quoted.ReplaceAllString(expr, `""`), -1)
	if len(names) == 0 {
		t.Errorf("%s asks for no metric: %s", what, expr)
	}
	for _, name := range names {
		base := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if b := strings.TrimSuffix(name, suffix); types[b] == "histogram" || types[b] == "summary" {
				base = b
			}
		}
		if types[base] == "" {
			t.Errorf("%s asks for %s, which is no metric", what, name)
		}
	}
}

// dashboard is as much of a dashboard of Grafana's as matters here.
type dashboard struct {
	UID        string
	Templating struct{ List []struct{ Name, Type string } }
	Panels     []struct {
		ID          int
		Title, Type string
		Datasource  struct{ UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
}

func readDashboard(t *testing.T, path string) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, path)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func testDashboard(t *testing.T, path string) {
	d := readDashboard(t, path)
	variables := []string{"$__rate_interval", "$__range"} // Grafana's own
	for _, v := range d.Templating.List {
		variables = append(variables, "$"+v.Name, "${"+v.Name+"}")
	}
	ids := make(map[int]string)
	taken := make(map[[2]int]string)
	var rules []rule
	for _, p := range d.Panels {
		if other, twice := ids[p.ID]; twice || p.ID == 0 {
			t.Errorf("%s has number %d, as %q has", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 {
					t.Errorf("%s is where %q is, or beside the page", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			known(t, p.Title, target.Expr)
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("%s is not of the instances that are chosen: %s", p.Title, target.Expr)
			}
			for _, v := range regexp.MustCompile(`\$\w+|\$\{\w+\}`).FindAllString(target.Expr+target.Datasource.UID, -1) {
				if !slices.Contains(variables, v) {
					t.Errorf("%s uses %s, which is no variable", p.Title, v)
				}
			}
			rules = append(rules, rule{Record: fmt.Sprintf("panel:%d", len(rules)), Expr: filledIn(target.Expr)})
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
	}
	lab.Need(t, lab.Needs{Programs: []string{"promtool"}})
	file := filepath.Join(t.TempDir(), "rules.yaml")
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "promtool", "check", "rules", "--lint=none", file)
}

// filledIn is an expression as Grafana sends it, for all instances.
func filledIn(expr string) string {
	return strings.NewReplacer("$__rate_interval", "10s", "$__range", "1m", "$instance", ".*").Replace(expr)
}

// Prometheus itself scrapes a relay with clients and asks all that the dashboard asks.
func TestEveryPanelOfTheDashboardShowsSomething(t *testing.T) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"prometheus", "promtool", "curl"}})
	n := lab.New(t)
	host := func(name, addr string) *lab.Host { return n.Host(t, name, netip.MustParsePrefix(addr)) }
	client, relay, far := host("client", "198.18.0.3/15"), host("relay", "198.18.0.2/15"), host("far", "198.18.0.4/15")
	n.Name(t, "far.example", far.Addr())
	lab.ServeHTTP(t, far, ":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
	}))
	dir := t.TempDir()
	configuration := filepath.Join(dir, "sluice.toml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, `
[[listener]]
address = ":3128"
[[rule]]
name = "not-there"
action = "deny"
mode = "observe"
clients = [%[1]q]
to = ["far.example"]
[[rule]]
name = "lab"
action = "allow"
clients = [%[1]q]
[egress]
allow_private = [%[2]q]
`, client.Addr(), lab.Range), 0o644); err != nil {
		t.Fatal(err)
	}
	proxy := lab.StartSluice(t, relay, "--config", configuration)
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: sluice, static_configs: [{targets: ["127.0.0.1:9128"]}]}]
`, rules), 0o644); err != nil {
		t.Fatal(err)
	}
	const asked = "127.0.0.1:9090"
	prometheus := relay.Start(t, "prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", asked)
	prometheus.WaitListen(t, 9090)

	ask := func(expr string) string {
		return relay.Output(t, "promtool", "query", "instant", "http://"+asked, filledIn(expr))
	}
	silent := make(map[string]string)
	for _, p := range readDashboard(t, dashboardFile).Panels {
		for _, target := range p.Targets {
			silent[target.Expr] = p.Title
		}
	}
	total := len(silent)
	for deadline := time.Now().Add(time.Minute); len(silent) > 0 && time.Now().Before(deadline); {
		for _, curl := range [][]string{{"--proxytunnel", "http://far.example/"}, {"http://far.example/"}, {"http://far.example:81/"}} {
			args := append([]string{"-sS", "-o", "/dev/null", "-x", proxy.URL("http")}, curl...)
			_ = client.Command(t.Context(), "curl", args...).Run()
		}
		for expr := range silent {
			if ask(expr) != "" {
				delete(silent, expr)
			}
		}
	}
	for expr, title := range silent {
		t.Errorf("%s shows nothing: %s", title, expr)
	}
	if total < 20 {
		t.Errorf("the dashboard asks %d questions only", total)
	}
	if firing := ask(`ALERTS`); firing != "" {
		t.Errorf("a relay in good health raises alerts: %s", firing)
	}
	if up := ask(`up{job="sluice"} == 1`); up == "" {
		t.Error("Prometheus does not find the relay")
	}
}
