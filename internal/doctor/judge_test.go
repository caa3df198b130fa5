package doctor

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata anew")

const (
	registryHost = "registry-1.docker.io"
	cdnHost      = "production.cloudflare.docker.com"
	spareHost    = "production.cloudfront.docker.com"
)

// seen is what came of a host on both ways.
type seen struct {
	host            string
	needed          bool
	direct, through Outcome
}

const relayURL = "http://192.0.2.1:3128"

// reported is the report of an examination that saw these hosts; without a proxy
// nothing is seen through it.
func reported(t *testing.T, proxy string, reachable bool, set *settings, hosts ...seen) *Report {
	t.Helper()
	r := new(Report)
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		r.Proxy = &Proxy{URL: Redacted(u), Source: "--proxy", Reachable: reachable, Client: "192.0.2.7", address: proxyAddress(u), url: u}
		outcome, sentence := OK, "192.0.2.1, 1.2 ms"
		if !reachable {
			outcome, sentence = Refused, "192.0.2.1: refuses the connection"
		}
		r.Steps = append(r.Steps, Step{Host: r.Proxy.address, Way: Through, Step: stepTCP, Outcome: outcome, Sentence: sentence, Milliseconds: 1.2})
	}
	for _, h := range hosts {
		to := Target{Host: h.host, Port: 443}
		r.Hosts = append(r.Hosts, Host{Host: to.String(), Why: "@docker-hub", Needed: h.needed, name: h.host, target: to})
		r.Steps = append(r.Steps, Step{Host: to.String(), Way: Direct, Step: stepTCP, Outcome: h.direct, Sentence: said(h.direct, "192.0.2.9, 12 ms")})
		if proxy == "" || !reachable {
			continue
		}
		s := Step{Host: to.String(), Way: Through, Step: stepTunnel, Outcome: h.through, Sentence: said(h.through, "opens, 41 ms"), Milliseconds: 41}
		if h.through == Denied || h.through == ProxyFailed {
			s.Refusal = &Refusal{Status: 403, Sentence: "sluice: no rule lets 192.0.2.7 reach " + to.String()}
			s.Sentence = "refused: " + s.Refusal.Error()
		}
		r.Steps = append(r.Steps, s)
	}
	r.Steps = append(r.Steps, Step{
		Host: registryHost + ":443", Way: Direct, Step: stepRedirect, Outcome: OK, Sentence: "to " + cdnHost,
		Registry: registryHost + ":443", Location: cdnHost + ":443",
	})
	r.finish(set)
	return r
}

func said(o Outcome, well string) string {
	if o == OK {
		return well
	}
	return words[o]
}

// inPlace are settings that send everything but what is exempted through the relay.
func inPlace(exempt string) *settings {
	return &settings{own: proxySettings{https: relayURL, exempt: exempt}}
}

func TestVerdicts(t *testing.T) {
	registry := seen{registryHost, true, OK, OK}
	for _, test := range []struct {
		name      string
		proxy     string
		unreached bool
		set       *settings
		cdn       seen
		spare     *seen
		want      Code
		sentence  string
		next      string
	}{
		{name: "everything answers", cdn: seen{cdnHost, true, OK, ""}, want: Open, sentence: "not blocked: all 2 hosts answer directly"},
		{name: "blocked and no proxy", cdn: seen{cdnHost, true, TimedOut, ""}, want: Blocked,
			sentence: "blocked: production.cloudflare.docker.com times out directly; no proxy was tried",
			next:     "on a machine that reaches it: sluice serve --allow ADDRESS-OF-THIS-HOST/32 --to @docker-hub"},
		{name: "blocked and the proxy helps", proxy: relayURL, cdn: seen{cdnHost, true, TimedOut, OK}, want: ProxyHelps,
			sentence: "blocked: production.cloudflare.docker.com times out directly and answers through the proxy in 41 ms",
			next:     "sluice setup docker --proxy " + relayURL + " --apply"},
		{name: "a preset's other host that is alive is blocked", proxy: relayURL, cdn: seen{cdnHost, true, OK, OK},
			spare: &seen{spareHost, false, Refused, OK}, want: ProxyHelps, sentence: "blocked: production.cloudfront.docker.com refuses the connection directly"},
		{name: "two are blocked", proxy: relayURL, cdn: seen{cdnHost, true, TimedOut, OK}, spare: &seen{spareHost, false, Refused, OK}, want: ProxyHelps,
			sentence: "production.cloudflare.docker.com times out directly (production.cloudfront.docker.com is blocked, too) and answers"},
		{name: "a preset's other host that is dead does not count", proxy: relayURL, cdn: seen{cdnHost, true, OK, OK},
			spare: &seen{spareHost, false, NoName, ProxyFailed}, want: Open, sentence: "all 2 hosts answer directly; through the proxy they do, too"},
		{name: "in place", proxy: relayURL, set: inPlace(""), cdn: seen{cdnHost, true, TimedOut, OK}, want: WorksThroughProxy,
			sentence: "it answers through the proxy, which is in place"},
		{name: "in place and not needed", proxy: relayURL, set: inPlace(""), cdn: seen{cdnHost, true, OK, OK}, want: WorksThroughProxy,
			sentence: "it all answers directly, too"},
		{name: "in place and in the way", proxy: relayURL, set: inPlace(""), cdn: seen{cdnHost, true, OK, ProxyFailed}, want: Broken,
			sentence: "broken: production.cloudflare.docker.com fails through the proxy", next: "on the proxy's machine: sluice doctor production.cloudflare.docker.com:443"},
		{name: "in place and gone around", proxy: relayURL, set: inPlace(".docker.com"), cdn: seen{cdnHost, true, TimedOut, OK}, want: ProxyBypassed,
			sentence: "this shell goes around the proxy for it", next: "out of NO_PROXY"},
		{name: "the proxy refuses the host", proxy: relayURL, cdn: seen{cdnHost, true, TimedOut, Denied}, want: ProxyRefusesHost,
			sentence: "which the registry redirects to: 403 sluice: no rule lets 192.0.2.7 reach", next: `to = ["@docker-hub"]`},
		{name: "the proxy refuses what answers directly", proxy: relayURL, cdn: seen{cdnHost, true, OK, Denied}, want: Open,
			sentence: "through the proxy, which is not in place, production.cloudflare.docker.com does not: refused: 403"},
		{name: "nothing helps", proxy: relayURL, cdn: seen{cdnHost, true, TimedOut, ProxyFailed}, want: Broken,
			sentence: "and it times out directly"},
		{name: "the proxy is not there", proxy: relayURL, unreached: true, cdn: seen{cdnHost, true, TimedOut, ""}, want: ProxyUnreachable,
			sentence: "cannot be reached: 192.0.2.1: refuses the connection; without it, production.cloudflare.docker.com is blocked",
			next:     "let TCP port 3128 in from this host"},
		{name: "a password in the proxy's address", proxy: "http://user:hush@192.0.2.1:3128", cdn: seen{cdnHost, true, TimedOut, OK}, want: ProxyHelps,
			next: "--proxy http://USER:PASSWORD@192.0.2.1:3128 --apply"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hosts := []seen{registry, test.cdn}
			if test.spare != nil {
				hosts = append(hosts, *test.spare)
			}
			set := test.set
			if set == nil {
				set = new(settings)
			}
			v := reported(t, test.proxy, !test.unreached, set, hosts...).Verdict
			if v.Code != test.want || v.Exit != ExitStatus(test.want) || !strings.Contains(v.Sentence, test.sentence) || !strings.Contains(strings.Join(v.Next, "\n"), test.next) {
				t.Errorf("%+v\nwant %s: %s\n%s", v, test.want, test.sentence, test.next)
			}
		})
	}
}

func TestAProxyThatRefusesEverythingRefusesThisClient(t *testing.T) {
	r := reported(t, relayURL, true, new(settings), seen{registryHost, true, OK, Denied}, seen{cdnHost, true, TimedOut, Denied})
	if v := r.Verdict; v.Code != ProxyRefuses || v.Exit != 5 || v.Next[0] != "on the proxy's machine: sluice serve --allow 192.0.2.7/32 --to @docker-hub" {
		t.Errorf("%+v", v)
	}
}

func TestWhatAProxyRefusesOfAPresetIsToldEvenIfTheVerdictIsFine(t *testing.T) {
	r := reported(t, relayURL, true, inPlace(""), seen{registryHost, true, OK, OK}, seen{cdnHost, true, TimedOut, OK}, seen{spareHost, false, TimedOut, Denied})
	for _, f := range r.Facts {
		if f.Fact == "preset" && strings.Contains(f.Sentence, spareHost) && strings.Contains(f.Sentence, `to = ["@docker-hub"]`) && r.Verdict.Exit == 0 {
			return
		}
	}
	t.Errorf("%+v, %+v", r.Facts, r.Verdict)
}

// TestReports holds what is printed against testdata, which people have looked at.
func TestReports(t *testing.T) {
	cdn := seen{cdnHost, true, TimedOut, OK}
	for name, r := range map[string]*Report{
		"story":   reported(t, relayURL, true, new(settings), seen{registryHost, true, OK, OK}, cdn, seen{spareHost, false, NoName, ProxyFailed}),
		"direct":  reported(t, "", false, inPlace("10.0.0.0/8,*"), seen{registryHost, true, OK, ""}, cdn),
		"refused": reported(t, relayURL, true, inPlace(""), seen{registryHost, true, OK, OK}, seen{cdnHost, true, TimedOut, Denied}, seen{strings.Repeat("long.", 30) + "docker.com", true, OK, OK}),
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
			report, _, _ := strings.Cut(b.String(), r.Verdict.Sentence[:8])
			for line := range strings.Lines(report) {
				if n := displaywidth.String(strings.TrimRight(line, "\n")); n > width {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}
