package presets_test

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/presets"
)

func TestEveryPresetSaysWhatItIsForHowOldItIsAndWhereItComesFrom(t *testing.T) {
	for _, p := range presets.All() {
		t.Run(p.Name, func(t *testing.T) {
			if p.Purpose == "" {
				t.Error("no purpose")
			}
			date, err := time.Parse(time.DateOnly, p.Date)
			if err != nil {
				t.Errorf("date: %v", err)
			}
			if date.Before(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("date %s is older than any list here can be", p.Date)
			}
			if u, err := url.Parse(p.Source); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("source %q is no https address", p.Source)
			}
			if len(p.Hosts) == 0 {
				t.Error("no hosts")
			}
			seen := map[string]bool{}
			for _, h := range p.Hosts {
				if seen[h.Name] {
					t.Errorf("%s is listed twice", h.Name)
				}
				seen[h.Name] = true
				if h.Purpose == "" {
					t.Errorf("%s: no purpose", h.Name)
				}
			}
		})
	}
}

func TestThePresetsThatTheManualPromisesAreThere(t *testing.T) {
	promised := []string{
		"docker-hub", "docker-hub-broad", "ghcr", "quay", "gcr", "k8s", "mcr",
		"debian", "ubuntu", "alpine", "pypi", "npm", "golang", "github",
	}
	names := presets.Names()
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %v", names)
	}
	for _, name := range promised {
		if !slices.Contains(names, name) {
			t.Errorf("no preset %s", name)
		}
	}
}

// Everything at or below these names is rented out to whoever pays: a
// pattern over one of them lets a client send data to a bucket of its own.
var sharedStorage = []string{
	"amazonaws.com", "appspot.com", "azureedge.net", "azurefd.net",
	"backblazeb2.com", "blob.core.windows.net", "cloudflarestorage.com",
	"cloudfront.net", "digitaloceanspaces.com", "fastly.net", "fastlylb.net",
	"githubusercontent.com", "googleapis.com", "googleusercontent.com",
	"pkg.dev", "r2.dev", "windows.net", "workers.dev",
}

// These exact names are shared storage all the same: the bucket is in the path.
var sharedHosts = []string{"storage.googleapis.com", "s3.amazonaws.com"}

func TestOnlyPresetsMarkedBroadReachSharedStorage(t *testing.T) {
	for _, p := range presets.All() {
		shared := 0
		for _, h := range p.Hosts {
			if isShared(h.Name) {
				shared++
				if !p.Broad {
					t.Errorf("@%s is not broad, yet %s is shared storage", p.Name, h.Name)
				}
			}
		}
		if p.Broad && shared == 0 {
			t.Errorf("@%s is marked broad without need", p.Name)
		}
		if p.Broad != strings.HasSuffix(p.Name, "-broad") {
			t.Errorf("@%s: broad is %v, its name says otherwise", p.Name, p.Broad)
		}
	}
}

func isShared(pattern string) bool {
	if slices.Contains(sharedHosts, pattern) {
		return true
	}
	under, wildcard := strings.CutPrefix(strings.TrimPrefix(pattern, "*"), ".")
	if !wildcard {
		return false
	}
	return slices.ContainsFunc(sharedStorage, func(s string) bool {
		// The pattern covers s, or lies below it: *.com and *.s3.amazonaws.com
		// are as open as *.amazonaws.com.
		return under == s || strings.HasSuffix(s, "."+under) || strings.HasSuffix(under, "."+s)
	})
}

func TestABroadPresetHasAllThatTheNarrowOneHas(t *testing.T) {
	for _, broad := range presets.All() {
		narrow, ok := presets.Lookup(strings.TrimSuffix(broad.Name, "-broad"))
		if !broad.Broad {
			continue
		}
		if !ok {
			t.Errorf("@%s has no narrow form", broad.Name)
		}
		for _, h := range narrow.Hosts {
			if !slices.Contains(broad.Hosts, h) {
				t.Errorf("@%s lacks %s of @%s", broad.Name, h.Name, narrow.Name)
			}
		}
	}
}

func TestARuleMadeOfAPresetLetsThroughWhatThePresetNames(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.7")
	for _, p := range presets.All() {
		policy, err := acl.New([]acl.Rule{{
			Name:    "r",
			Action:  acl.Allow,
			Clients: []string{client.String()},
			To:      []string{"@" + p.Name},
		}}, presets.Patterns)
		if err != nil {
			t.Errorf("@%s: %v", p.Name, err)
			continue
		}
		for _, h := range p.Hosts {
			if got := decide(t, policy, client, sample(h.Name)); got != acl.Allow {
				t.Errorf("@%s does not let %s through", p.Name, sample(h.Name))
			}
		}
		if got := decide(t, policy, client, "example.net"); got != acl.Deny {
			t.Errorf("@%s lets example.net through", p.Name)
		}
	}
}

// sample is a host that the pattern is meant to match.
func sample(pattern string) string {
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return "a.b" + rest
	}
	return strings.TrimPrefix(pattern, ".")
}

func decide(t *testing.T, p *acl.Policy, client netip.Addr, host string) acl.Action {
	t.Helper()
	h, err := acl.ParseHost(host)
	if err != nil {
		t.Fatalf("%q is no host: %v", host, err)
	}
	return p.Decide(acl.Request{Client: client, Host: h, Port: 443}).Action
}

func TestAnUnknownNameIsNotFound(t *testing.T) {
	for _, name := range []string{"", "docker", "@docker-hub", "Docker-Hub"} {
		if p, ok := presets.Lookup(name); ok {
			t.Errorf("Lookup(%q) found %q", name, p.Name)
		}
		if _, ok := presets.Patterns(name); ok {
			t.Errorf("Patterns(%q) found something", name)
		}
	}
}

func TestACallerCannotChangeThePresetsOfOthers(t *testing.T) {
	mine, _ := presets.Lookup("docker-hub")
	mine.Hosts[0].Name = "attacker.example"
	presets.All()[0].Hosts[0].Name = "attacker.example"
	for _, p := range presets.All() {
		for _, h := range p.Hosts {
			if h.Name == "attacker.example" {
				t.Fatalf("@%s was changed from outside", p.Name)
			}
		}
	}
}
