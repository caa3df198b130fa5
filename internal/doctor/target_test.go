package doctor

import (
	"slices"
	"strings"
	"testing"
)

func TestTargetsAreReadAsUsersWriteThem(t *testing.T) {
	for arg, want := range map[string]string{
		"example.com":        "example.com:443",
		"Example.COM.:8443":  "example.com:8443",
		"192.0.2.1":          "192.0.2.1:443",
		"[2001:db8::1]:5000": "[2001:db8::1]:5000",
		"2001:db8::1":        "[2001:db8::1]:443",
		"[2001:db8::1]":      "[2001:db8::1]:443",
	} {
		targets, err := ParseTargets([]string{arg})
		if err != nil || len(targets) != 1 || targets[0].String() != want || !targets[0].Needed {
			t.Errorf("%q: %v, %v, want %s", arg, targets, err, want)
		}
	}
	for _, arg := range []string{"", "https://example.com", "example.com:https", "example.com:65536", "exa mple", "user:hush@example.com", "@nothing", "-x"} {
		if targets, err := ParseTargets([]string{arg}); err == nil {
			t.Errorf("%q is taken for %v", arg, targets)
		}
	}
}

func TestAPresetsPatternsAreNoTargets(t *testing.T) {
	targets, err := ParseTargets([]string{"@docker-hub-broad"})
	if err != nil || len(targets) == 0 {
		t.Fatal(targets, err)
	}
	for _, target := range targets {
		if strings.ContainsAny(target.Host[:1], "*.") {
			t.Errorf("%s is a pattern", target)
		}
	}
	if !slices.ContainsFunc(DockerHub(), func(t Target) bool { return t.Host == hubRegistry && t.Needed }) {
		t.Errorf("the registry is not needed among %v", DockerHub())
	}
}

func TestImagesAreReadAsDockerReadsThem(t *testing.T) {
	for text, want := range map[string]Image{
		"hello-world":                      {"", "library/hello-world", "latest"},
		"alpine:3.20":                      {"", "library/alpine", "3.20"},
		"prom/prometheus":                  {"", "prom/prometheus", "latest"},
		"docker.io/library/alpine":         {"registry-1.docker.io:443", "library/alpine", "latest"},
		"ghcr.io/owner/image:v1":           {"ghcr.io:443", "owner/image", "v1"},
		"registry.example:5000/a/b/c":      {"registry.example:5000", "a/b/c", "latest"},
		"quay.io/a/b@sha256:0123456789abc": {"quay.io:443", "a/b", "sha256:0123456789abc"},
	} {
		if got, err := ParseImage(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "UPPER", "a/../b", "a?b", "a:b c", "ghcr.io:0/a"} {
		if got, err := ParseImage(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestTheNarrowestPresetIsNamedForARefusedHost(t *testing.T) {
	for host, want := range map[string]string{
		"production.cloudflare.docker.com": "@docker-hub",
		"elsewhere.docker.com":             "@docker-hub-broad",
		"example.com":                      "",
	} {
		if got := admittedBy(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
