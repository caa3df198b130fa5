package presets_test

import (
	"slices"
	"strings"
	"testing"

	"sluice/internal/presets"
)

func TestWhichPresetsHaveAHost(t *testing.T) {
	for host, want := range map[string]string{
		"registry-1.docker.io":              "docker-hub",
		"production.cloudflare.docker.com":  "docker-hub",
		"docker.io":                         "docker-hub-broad", // of ".docker.io"
		"new.docker.io":                     "docker-hub-broad",
		"westeurope.data.mcr.microsoft.com": "mcr",
		"data.mcr.microsoft.com":            "", // "*." is for names below it
		"de.archive.ubuntu.com":             "ubuntu",
		"ghcr.io":                           "ghcr github-broad",
		"storage.googleapis.com":            "gcr-broad golang-broad",
		"somebody.s3.amazonaws.com":         "docker-hub-broad k8s-broad",
		"github-cloud.s3.amazonaws.com":     "github docker-hub-broad k8s-broad",
		"us-west1-docker.pkg.dev":           "k8s gcr-broad",
		"example.com":                       "",
		"registry-1.docker.io.example.com":  "",
		"xdocker.io":                        "",
		"io":                                "",
		"":                                  "",
		"192.0.2.7":                         "",
		"2001:db8::1":                       "",
		".docker.io":                        "docker-hub-broad",
		strings.Repeat("a.", 120) + "amazonaws.com":     "docker-hub-broad k8s-broad",
		"d39mqg4b1dx9z1.cloudfront.net":                 "k8s docker-hub-broad",
		"production.cloudfront.docker.com":              "docker-hub",
		"prod-registry-k8s-io-x.s3.amazonaws.com.evil.": "",
	} {
		if got := strings.Join(presets.For(host), " "); got != want {
			t.Errorf("For(%q) is %q, want %q", host, got, want)
		}
	}
}

// What For says is what rules made of the presets let through.
func TestEveryHostIsFoundInItsPreset(t *testing.T) {
	for _, p := range presets.All() {
		for _, h := range p.Hosts {
			names := presets.For(sample(h.Name))
			narrow := strings.TrimSuffix(p.Name, "-broad")
			if !slices.Contains(names, p.Name) && !slices.Contains(names, narrow) {
				t.Errorf("For(%q) is %q without %s", sample(h.Name), names, p.Name)
			}
		}
	}
}

func TestOnlyARegistryRedirects(t *testing.T) {
	for host, want := range map[string]string{
		"registry-1.docker.io":             "docker-hub docker-hub-broad",
		"auth.docker.io":                   "",
		"production.cloudflare.docker.com": "",
		"mcr.microsoft.com":                "mcr",
		"example.com":                      "",
		"":                                 "",
	} {
		if got := strings.Join(presets.Redirecting(host), " "); got != want {
			t.Errorf("Redirecting(%q) is %q, want %q", host, got, want)
		}
	}
	for _, p := range presets.All() {
		for _, h := range p.Hosts {
			if h.Redirects && len(p.Hosts) == 1 {
				t.Errorf("@%s: %s redirects to nowhere in it", p.Name, h.Name)
			}
			if h.Redirects && h.Wildcard() {
				t.Errorf("@%s: %s is a wildcard and is said to redirect", p.Name, h.Name)
			}
		}
	}
}

func TestTheHintNamesThePresetThatHasTheHost(t *testing.T) {
	nowhere := func(string) string { return "" }
	registry := func(preset string) string {
		if preset == "docker-hub" || preset == "docker-hub-broad" {
			return "registry-1.docker.io"
		}
		return ""
	}
	const redirected = ", and registry-1.docker.io, which this client reached within the last minute, may have redirected it there"
	for _, c := range []struct {
		host    string
		port    uint16
		reached func(string) string
		want    string
	}{
		{"production.cloudflare.docker.com", 443, nil, "preset @docker-hub has it"},
		{"production.cloudflare.docker.com", 80, nowhere, "preset @docker-hub has it"},
		{"production.cloudflare.docker.com", 443, registry, "preset @docker-hub has it" + redirected},
		{"github.com", 22, nil, ""}, // the preset would not help
		{"example.com", 443, registry, ""},
		// Whoever asks for any bucket is not told how to get all of them,
		{"somebody.s3.amazonaws.com", 443, nil, ""},
		{"somebody.s3.amazonaws.com", 443, nowhere, ""},
		// unless it seems to be the registry that wants it there.
		{"somebody.s3.amazonaws.com", 443, registry, "broad preset @docker-hub-broad has it" + redirected},
		{"github-cloud.s3.amazonaws.com", 443, nil, "preset @github has it"},
	} {
		if got := presets.Hint(c.host, c.port, c.reached); got != c.want {
			t.Errorf("%s:%d\n got %q\nwant %q", c.host, c.port, got, c.want)
		}
	}
}

func TestALookUpAllocatesNothingForWhatIsNamedExactly(t *testing.T) {
	for _, host := range []string{"registry-1.docker.io", "example.com", "production.cloudflare.docker.com"} {
		if n := testing.AllocsPerRun(100, func() { presets.For(host); presets.Redirecting(host) }); n != 0 {
			t.Errorf("%s: %g allocations", host, n)
		}
	}
}

func BenchmarkRedirecting(b *testing.B) {
	for b.Loop() {
		presets.Redirecting("production.cloudflare.docker.com")
	}
}
