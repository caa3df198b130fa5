package self

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab/shell"
	"sluice/internal/setup"
)

// alone is a client with one of its places, which every host has, and with nothing
// that asks the machine.
func alone(c setup.Client, p setup.Place) setup.Client {
	p.Test, p.Asked = "", false
	c.Places, c.Verify = []setup.Place{p}, setup.Check{}
	return c
}

// before are texts that a file may have before a script comes. Where the Go code finds
// fault with one, so must the script.
var before = map[setup.Format][]string{
	setup.Environment: {
		"", "# a comment\nOTHER=x\n", "OTHER=x", "HTTP_PROXY=http://old:1\n", "A=1\r\nHTTP_PROXY=x\r\nB=2\r\n",
		"a=1\nhttps_proxy=\"x y\"\nb=2\nHTTP_PROXY=z\n", "export HTTP_PROXY='x'\n", "X=\"a\\\n HTTP_PROXY=x\"\n",
		"HTTP_PROXY=\"a\nb\"\n", "HTTP_PROXY=a\\\nb\n", "X=1 \\", "\xef\xbb\xbfHTTP_PROXY=x\nY=1\n", "HTTP_PROXY=x\x00\n",
		"\n\n", "NO_PROXY=a\nno_proxy=b\n#HTTP_PROXY=c\nHTTP_PROXYX=d\n", "NO_PROXY=\"*.example.com, localhost,*,[::1]\"\n", "NO_PROXY=$(reboot)\n", "  HTTP_PROXY=x", "X='it is'\\''so'\nY=\"$(reboot)`reboot`\"\n",
	},
	setup.DropIn: {
		"", "[Service]\nLimitNOFILE=1\n", "[Service]\nEnvironment=\"HTTP_PROXY=x\"\n", "[Service]\nEnvironment=\"NO_PROXY=mine.example,10.0.0.0/8\" no_proxy='*.b'\n", "[Service]\nEnvironment=NO_PROXY=$x\n", "[Service]\nEnvironment=HTTP_PROXY=x \"A=b c\" NO_PROXY=y\nExecReload=z\n",
		"[Unit]\nAfter=x\n\n[Service]\nEnvironment=A=b\n\n[Install]\nWantedBy=y\n", "[Unit]\nAfter=x\n", "[Service]",
		"[Service]\n; Environment=HTTP_PROXY=x\nEnvironment=A=b \\\n  C=d\n", "[Service]\nEnvironment=HTTP_PROXY=x \\\n  A=b\n",
		"[Service]\nEnvironment=\"HTTP_PROXY=x\n", "[Service]\r\nA=b\r\n", "[Service]\nEnvironment='HTTPS_PROXY=x' 'D=\\'e f'\n[X]\nEnvironment=HTTP_PROXY=stays\n",
	},
	setup.Own:  {"", "something else\n"},
	setup.JSON: {"", " \n", "{}", `{"a":1,"proxies":{"default":{"x":"y"}}}`, "{\n  \"log-driver\": \"journald\"\n}\n", `{"proxies":{"http-proxy":"old"}}`, "{broken", "[1]", `{"proxies":3}`, `{"proxies":{"no-proxy":"mine.example, localhost,*","default":{"noProxy":"mine.example"}}}`, `{"proxies":{"no-proxy":"$(x)","default":{"noProxy":"$(x)"}}}`},
	setup.INI: {
		"", "[main]\ngpgcheck=1\n\n[other]\nproxy=stays\n", "[main]\nproxy = http://old:1\n", "[other]\nx=y", "# a comment\n[http]\n\tproxy = x\n\tsslVerify = true\n",
		"registry=https://example.com/\nnoproxy = mine.example,localhost\n", "proxy=x\nproxy=y\n", "[global]\r\ntimeout = 3\r\n", "[main]\n;proxy=x\n#proxy=y\nproxy_username=z\n", "[main]\nproxy = a,\n  b\n  c\nx: y\n [odd]\nPROXY: z\n", "[main\n", "[ main ]\n# end\n\n[global]\n\n[x]\n",
	},
}

func textsBefore(f setup.Format) []string {
	switch f {
	case setup.Exports:
		f = setup.Environment // written alike
	case setup.Git:
		return append(before[setup.INI], "[HTTP]\n\tProxy = x \\\n y\n", "[http] proxy = x\n", "[ http ]\n\tsslVerify = a\\\\\n[http \"https://x/\"]\n\tproxy = stays\n[http] # more\n proxy = y\n")
	}
	return before[f]
}

// canonical is JSON without white space.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return b.String()
}

// TestTheScriptsWriteWhatTheCommandWrites holds the scripts' programs against package
// setup's own edits, for each file of each client and each text that it may have had.
func TestTheScriptsWriteWhatTheCommandWrites(t *testing.T) {
	o := defaults(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		seen := map[setup.Format]bool{}
		for _, c := range setup.Clients() {
			if !scripted(c) {
				continue
			}
			for _, p := range c.Places {
				for i, f := range p.Files {
					only := p
					only.Files = []setup.File{f}
					texts := textsBefore(f.Format)
					if seen[f.Format] && f.Format != setup.INI {
						texts = texts[1:2] // one of each format has them all
					}
					seen[f.Format] = true
					for j, old := range texts {
						t.Run(fmt.Sprintf("%s %s %d, text %d", c.Name, p.Name, i, j), func(t *testing.T) {
							t.Parallel()
							sameAsSetup(t, newMachine(t, sh, path), alone(c, only), f, old, o)
						})
					}
				}
			}
		}
	})
}

func sameAsSetup(t *testing.T, m *shell.Host, c setup.Client, f setup.File, old string, o setup.Options) {
	m.Write(f.Path, old)
	start := m.Tree()
	want, wrong := f.Edit([]byte(old), o)
	out, ok := m.Run(scriptOf(c, o))
	got := m.Tree()[strings.TrimPrefix(m.File(f.Path), m.Root)]
	if f.Format == setup.JSON && strings.Contains(out, "python3 or jq") {
		return // and it has told what to do by hand
	}
	if ok != (wrong == nil) {
		t.Fatalf("with %q: setup says %v, the script %q", old, wrong, out)
	}
	if wrong != nil {
		if !maps.Equal(start, m.Tree()) {
			t.Errorf("the script says %q and changes something: %v", out, m.Tree())
		}
		return
	}
	if f.Format == setup.JSON {
		got, want = canonical(t, got), []byte(canonical(t, string(want))) // white space may differ
	}
	if got != string(want) {
		t.Errorf("with %q\nthe script writes %q\nsetup writes      %q", old, got, want)
	}
	if len(old)%3 > 0 {
		return // some will do for what follows, which is the same for all
	}
	if out, ok := m.Run(scriptOf(c, o)); !ok || !strings.Contains(out, "already") {
		t.Errorf("a second time it says %q", out)
	}
	if out, ok := m.Run(scriptOf(c, o), "--undo"); !ok || !maps.Equal(start, m.Tree()) {
		t.Errorf("undone with %q, %q has become %q", out, old, m.Tree())
	}
}

func TestWhereThereIsNoPythonJQMergesJSON(t *testing.T) {
	jq := shell.Need(t, "jq")
	o := defaults(t)
	c, _ := setup.Lookup("compose")
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		if filepath.Base(sh[0]) != "ash" {
			return // its system has python3
		}
		for _, old := range before[setup.JSON] {
			m := newMachine(t, sh, path)
			m.Link(jq)
			f := c.Places[0].Files[0]
			want, wrong := f.Edit([]byte(old), o)
			m.Write(f.Path, old)
			out, ok := m.Run(scriptOf(alone(c, c.Places[0]), o))
			got := m.Tree()[strings.TrimPrefix(m.File(f.Path), m.Root)]
			if ok != (wrong == nil) {
				t.Errorf("with %q: setup says %v, the script %q", old, wrong, out)
			} else if ok && canonical(t, got) != canonical(t, string(want)) {
				t.Errorf("with %q\nthe script writes %q\nsetup writes      %q", old, got, want)
			} else if !ok && got != old {
				t.Errorf("%q has become %q", old, got)
			}
		}
	})
}
