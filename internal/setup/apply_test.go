//go:build linux

package setup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestASecondTimeNothingIsDone(t *testing.T) {
	h := systemdHost(t, nil)
	if _, err := h.apply("docker", "", options(t, relay)); err != nil {
		t.Fatal(err)
	}
	h.called()
	before := h.tree()
	out, err := h.apply("docker", "", options(t, relay))
	if err != nil || !strings.Contains(out, "nothing to do") {
		t.Errorf("%v\n%s", err, out)
	}
	if d := cmp.Diff(before, h.tree()); d != "" || h.called() != "" {
		t.Errorf("something was done:\n%s", d)
	}
}

func TestUndoingLeadsBackBehindEveryChange(t *testing.T) {
	h := systemdHost(t, map[string]string{"/etc/systemd/system/docker.service.d/http-proxy.conf": "[Service]\r\nEnvironment=A=b http_proxy=http://old:1"})
	before := h.tree()
	for _, proxy := range []string{relay, "http://other:1", "socks5://third:2"} {
		if out, err := h.apply("docker", "", options(t, proxy)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if _, err := h.undo("docker", false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, h.tree()); d != "" {
		t.Error(d)
	}
	if _, err := h.undo("docker", false); !errors.Is(err, ErrNothing) {
		t.Errorf("undoing again says %v", err)
	}
}

func TestWhatSomebodyElseChangedSinceIsNotLost(t *testing.T) {
	h := newHost(t, map[string]string{"~/.docker/config.json": `{"auths":{}}`})
	before := h.tree()
	if _, err := h.apply("compose", "", options(t, relay)); err != nil {
		t.Fatal(err)
	}
	written := h.get("~/.docker/config.json")
	h.put("~/.docker/config.json", strings.Replace(written, `"auths": {}`, `"auths": {"x": {"auth": "c2VjcmV0"}}`, 1))
	changed := h.tree()
	_, err := h.undo("compose", false)
	var refusal *ChangedError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Diff, `+  "auths": {"x"`) || strings.Contains(refusal.Diff, "c2VjcmV0") {
		t.Errorf("got %v, and the difference\n%v", err, refusal)
	}
	if d := cmp.Diff(changed, h.tree()); d != "" {
		t.Errorf("refused, but something was done:\n%s", d)
	}
	// Another change of ours in between does not hide that one.
	if _, err := h.apply("compose", "", options(t, "http://other:1")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.undo("compose", false); !errors.As(err, &refusal) {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := h.undo("compose", true); err != nil {
		t.Fatal(err)
	}
	after := h.tree()
	for _, dir := range []string{"/.local", "/.local/state", "/.local/state/sluice"} {
		delete(after, h.Home+dir)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Error(d)
	}
}

func TestWhereNothingCanBeDoneNothingIs(t *testing.T) {
	for _, c := range []struct {
		name, client, place string
		proxy               string
		files               map[string]string
		prepare             func(h *host)
		want                string
	}{
		{name: "broken JSON", client: "compose", files: map[string]string{"~/.docker/config.json": "{\n  \"auths\": {},\n}\n"}, want: "config.json cannot be changed: it is broken JSON, at line 3"},
		{name: "daemon.json on an old engine", client: "docker", place: "daemon.json", want: "needs Docker Engine 23"},
		{name: "no docker at all", client: "docker", want: "sluice setup docker prints"},
		{name: "no such place", client: "docker", place: "nowhere", want: "there are sysconfig, systemd"},
		{name: "SOCKS5 where it cannot be used", client: "maven", proxy: "socks5://relay:1080", want: "take http://"},
		{name: "a password in a file for everybody", client: "git", place: "system", proxy: "http://u:p@relay:1", want: "--place user"},
		{name: "a file that is a directory", client: "npm", files: map[string]string{"~/.npmrc/x": ""}, want: "is no file, but a directory"},
		{name: "a link that leads nowhere", client: "npm", prepare: func(h *host) { _ = os.Symlink("nowhere", h.path("~/.npmrc")) }, want: "a link that leads to nothing"},
		{name: "a copy that nobody knows of", client: "npm", files: map[string]string{"~/.npmrc": "a=b\n", "~/.npmrc.sluice-backup-npm": "c=d\n"}, want: "move it away"},
		{name: "a drop-in that would win", client: "docker", files: map[string]string{
			"/run/systemd/system/x": "", "/lib/systemd/system/docker.service": unit,
			"/etc/systemd/system/docker.service.d/proxy.conf": "[Service]\nEnvironment=HTTPS_PROXY=http://old:1\n"}, want: "take the line out there first"},
		{name: "a daemon that does not start", client: "docker", files: map[string]string{"/run/systemd/system/x": "", "/lib/systemd/system/docker.service": unit},
			prepare: func(h *host) { h.program("systemctl", "echo 'Job for docker.service failed.' >&2; exit 1") }, want: `"systemctl daemon-reload" failed`},
		{name: "a daemon that reads something else", client: "docker", files: map[string]string{"/run/systemd/system/x": "", "/lib/systemd/system/docker.service": unit},
			prepare: func(h *host) { h.program("docker", "echo http://other:1") }, want: "does not take the proxy from there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, c.files)
			if c.prepare != nil {
				c.prepare(h)
			}
			h.put("/var/lib/keep", "")
			h.put("~/.local/state/keep", "")
			before := h.tree()
			proxy := c.proxy
			if proxy == "" {
				proxy = relay
			}
			out, err := h.apply(c.client, c.place, options(t, proxy))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one sentence with %q; it printed\n%s", err, c.want, out)
			}
			after := h.tree()
			delete(after, h.Home+"/.local/state/sluice")
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("something was left behind:\n%s", d)
			}
		})
	}
}

func TestOddFilesKeepTheirModeOwnerAndLink(t *testing.T) {
	h := newHost(t, map[string]string{"~/dotfiles/npmrc": strings.Repeat("key=value of some length\n", 40_000)})
	if err := os.Symlink("dotfiles/npmrc", h.path("~/.npmrc")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.path("~/dotfiles/npmrc"), 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(h.path("~/dotfiles/npmrc"), 4, 4); err != nil {
			t.Fatal(err)
		}
	}
	h.program("npm", "echo "+relay)
	before := h.tree()
	if out, err := h.apply("npm", "", options(t, relay)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	after := h.tree()
	if link := h.Home + "/.npmrc"; after[link] != before[link] {
		t.Errorf("the link became %q", after[link])
	}
	file := h.Home + "/dotfiles/npmrc"
	if mode, _, _ := strings.Cut(after[file], " key"); mode+" key=value of some length" != before[file][:len(mode)+len(" key=value of some length")] {
		t.Errorf("mode and owner became %q", mode)
	}
	if !strings.Contains(after[file], "https-proxy="+relay) {
		t.Error("the setting is not in the file that the link leads to")
	}
	if _, err := h.undo("npm", false); err != nil {
		t.Fatal(err)
	}
	after = h.tree()
	for _, dir := range []string{"/.local", "/.local/state", "/.local/state/sluice"} {
		delete(after, h.Home+dir)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Error("undone, it is not as it was")
	}
}

func TestExceptionsThatStoodThereStay(t *testing.T) {
	h := newHost(t, map[string]string{"/etc/init.d/docker": "#!/bin/sh\n", "/etc/default/docker": "export NO_PROXY=\"registry.corp.example,*\"\n", "~/.docker/config.json": `{"proxies":{"default":{"noProxy":"git.corp.example"}}}`})
	for _, client := range []string{"docker", "compose"} {
		if out, err := h.apply(client, "", options(t, relay)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if text := h.get("/etc/default/docker"); !strings.Contains(text, ",.example.internal,registry.corp.example\n") {
		t.Errorf("got\n%s", text)
	}
	if text := h.get("~/.docker/config.json"); !strings.Contains(text, `,.example.internal,git.corp.example"`) {
		t.Errorf("got\n%s", text)
	}
}

func TestARunThatWasKilledIsGoneOnWith(t *testing.T) {
	const old = "registry=https://registry.example.internal/\n"
	for _, c := range []struct {
		name string
		left func(h *host)
	}{
		{"behind the copy", func(h *host) { _ = os.Remove(h.path("~/.local/state/sluice/setup/npm.json")) }},
		{"behind the record", func(*host) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, map[string]string{"~/.npmrc": old})
			h.program("npm", "echo "+relay)
			if _, err := h.apply("npm", "", options(t, relay)); err != nil {
				t.Fatal(err)
			}
			h.put("~/.npmrc", old) // had not been renamed into its place yet
			c.left(h)
			if out, err := h.apply("npm", "", options(t, relay)); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := h.undo("npm", false); err != nil || h.get("~/.npmrc") != old {
				t.Errorf("%v; undone, it says\n%s", err, h.get("~/.npmrc"))
			}
			if _, err := os.Stat(h.path("~/.npmrc.sluice-backup-npm")); err == nil {
				t.Error("the copy is still there")
			}
		})
	}
}

func TestTwoAtATimeDoNotMix(t *testing.T) {
	h := systemdHost(t, nil)
	_, unlock, err := h.open(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.apply("docker", "", options(t, relay)); err == nil || !strings.Contains(err.Error(), "another sluice setup") {
		t.Errorf("while another is at work: %v", err)
	}
	unlock()
	if _, err := h.apply("docker", "", options(t, relay)); err != nil {
		t.Error(err)
	}
}

func TestTheDiffIsWhatIsWritten(t *testing.T) {
	h := newHost(t, map[string]string{"/etc/init.d/docker": "#!/bin/sh\n", "/etc/default/docker": "A=1\nHTTP_PROXY=http://u:secret@old:1\n"})
	c, _ := Lookup("docker")
	before := h.tree()
	plan, err := h.Plan(context.Background(), c, "", options(t, relay))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	plan.Write(&out)
	for _, want := range []string{"--- " + h.path("/etc/default/docker"), " A=1\n", "-HTTP_PROXY=http://u:xxxxx@old:1\n", "+export HTTP_PROXY=" + relay + "\n", "service docker restart", "live-restore"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if d := cmp.Diff(before, h.tree()); d != "" || h.called() != "" {
		t.Errorf("planning changed something:\n%s", d)
	}
}
