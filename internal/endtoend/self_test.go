//go:build linux

package endtoend

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/lab"
)

const toSelf = `
[[rule]]
name = "docker-hosts"
action = "allow"
clients = ["127.0.0.1"]
to = ["registry-1.docker.io"]
`

// fetch runs a program of the machine without a proxy and returns its standard output.
func fetch(t *testing.T, program string, args ...string) string {
	t.Helper()
	lab.Need(t, lab.Needs{Programs: []string{program}})
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + t.TempDir()}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func TestAClientAsksTheRelayItself(t *testing.T) {
	s := serve(t, toSelf)
	relay := "http://localhost:" + s.addr.String()[strings.LastIndex(s.addr.String(), ":")+1:]
	for _, x := range []struct {
		name    string
		program string
		args    []string
		says    []string
	}{
		{"the page by curl", "curl", []string{"-4", "-fsS", relay}, []string{"It sees you as 127.0.0.1.", "registry-1.docker.io, ports 80, 443 (rule docker-hosts)", "curl -fsS " + relay + "/setup/docker | sudo sh"}},
		{"the page by wget", "wget", []string{"-4", "-qO-", relay}, []string{"It sees you as 127.0.0.1."}},
		{"as a browser asks", "curl", []string{"-4", "-fsS", "-H", "Accept: text/html,*/*;q=0.8", relay}, []string{"<!DOCTYPE html>", "It sees you as <code>127.0.0.1</code>"}},
		{"the list", "curl", []string{"-4", "-fsS", relay + "/setup"}, []string{relay + "/setup/docker | sudo sh"}},
		{"a script by curl", "curl", []string{"-4", "-fsS", relay + "/setup/docker"}, []string{"#!/bin/sh", "HTTPS_PROXY=" + relay}},
		{"a script by wget", "wget", []string{"-4", "-qO-", relay + "/setup/docker?no-proxy=.example.com"}, []string{"HTTPS_PROXY=" + relay, ",.example.com"}},
		{"the PAC file", "curl", []string{"-4", "-fsS", relay + "/proxy.pac"}, []string{"PROXY " + strings.TrimPrefix(relay, "http://"), "registry-1.docker.io"}},
		{"its head", "curl", []string{"-4", "-fsSI", relay + "/proxy.pac"}, []string{"HTTP/1.1 200 OK", "Content-Type: application/x-ns-proxy-autoconfig", "Connection: close"}},
		{"another Host", "curl", []string{"-4", "-fsS", "-H", "Host: [2001:db8::1]:1", relay}, []string{"http://[2001:db8::1]:1/setup/docker"}},
		{"a Host that is none", "curl", []string{"-4", "-fsS", "-H", "Host: a..b", relay}, []string{"http://" + s.addr.String() + "/setup/docker"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := fetch(t, x.program, x.args...)
			for _, want := range x.says {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%.2000s", want, got)
				}
			}
			r := s.record()
			if r.text("outcome") != "ok" || r.text("status") != "200" || r.text("decision") != "allow" || r.text("rule") != "docker-hosts" || r.text("host") != "" || r.text("protocol") != "http" {
				t.Errorf("record %v", r)
			}
			s.noRecord()
		})
	}
}

func TestAScriptOfTheRelayIsOneForAShell(t *testing.T) {
	s := serve(t, toSelf)
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(fetch(t, "curl", "-fsS", "http://"+s.addr.String()+"/setup/docker"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A relay asked for itself through itself is a loop, as ever.
func TestTheRelayIsNotAskedThroughItself(t *testing.T) {
	s := serve(t, "[[rule]]\nname = \"all\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\nports = [\"1-65535\"]\n")
	c := s.dial()
	io.WriteString(c, "GET http://"+s.addr.String()+"/ HTTP/1.1\r\nHost: "+s.addr.String()+"\r\n\r\n")
	c.CloseWrite()
	got, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(got), "HTTP/1.1 403 ") || !strings.Contains(string(got), "proxy_loop_detected") {
		t.Errorf("answered %q", got)
	}
	if r := s.record(); r.text("outcome") != "loop" {
		t.Errorf("record %v", r)
	}
}

func TestAStrangerGetsTheSame403WhateverItAsks(t *testing.T) {
	s := serve(t, strings.ReplaceAll(toSelf, "127.0.0.1", "192.0.2.7"))
	answers := map[string]bool{}
	for _, path := range []string{"/", "/setup/docker", "/proxy.pac", "/nothing"} {
		c := s.dial()
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: relay.example.internal\r\n\r\n")
		c.CloseWrite()
		got, err := io.ReadAll(c)
		head, _, _ := strings.Cut(string(got), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 403 sluice: no rule admits 127.0.0.1\r\n") || strings.Contains(string(got), "docker") {
			t.Errorf("%s: answered %q, %v", path, got, err)
		}
		answers[head] = true
		if r := s.record(); r.text("outcome") != "rule_denied" || r.text("decision") != "deny" || r.text("status") != "403" {
			t.Errorf("%s: record %v", path, r)
		}
	}
	if len(answers) != 1 {
		t.Errorf("the answers can be told apart: %v", answers)
	}
}

// A listener for SOCKS5 alone answers nothing by HTTP.
func TestAListenerForSOCKSAloneHasNoPage(t *testing.T) {
	s := serve(t, "protocol = \"socks5\"\n"+toSelf)
	c := s.dial()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("answered %q", got)
	}
}

func TestTheLogHasTheLineToTypeOnAClient(t *testing.T) {
	for clients, want := range map[string]bool{`"127.0.0.1", "192.0.2.7"`: true, `"127.0.0.1"`: false} {
		s := serveAt(t, "0.0.0.0:0", strings.ReplaceAll(toSelf, `"127.0.0.1"`, clients))
		said := s.log.other.String()
		port := s.addr.String()[strings.LastIndex(s.addr.String(), ":"):]
		if got := strings.Contains(said, port+"/setup/docker | sudo sh"); got != want {
			t.Errorf("for clients %s: said %v in\n%s", clients, got, said)
		}
	}
}
