package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const ruleOfWarnTest = "[[rule]]\nname = \"first\"\naction = \"allow\"\nclients = [\"192.0.2.0/24\"]\n"

func TestWhatIsHardlyMeantIsAWarning(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", ruleOfWarnTest, nil},
		{"a rule behind a broader one", ruleOfWarnTest + "[[rule]]\nname = \"second\"\naction = \"deny\"\nclients = [\"192.0.2.9\"]\nto = [\"docker.io\"]\n",
			[]string{`mirror.toml:5:1: rule "second" can never decide: rule "first" before it is for all the same requests, and more or as many; take it out, or put it before that one`}},
		{"a rule behind one for another registry", "[[upstream]]\nname = \"ghcr.io\"\n[[upstream]]\nname = \"quay.io\"\n" + ruleOfWarnTest + "to = [\"ghcr.io\"]\n[[rule]]\nname = \"second\"\naction = \"deny\"\nclients = [\"192.0.2.9\"]\nto = [\"quay.io\"]\n", nil},
		{"one that has something private to give", "[[upstream]]\nname = \"ghcr.io\"\nhelper = \"h\"\n" + ruleOfWarnTest + "[[rule]]\nname = \"second\"\naction = \"allow\"\nclients = [\"192.0.2.9\"]\nprivate = [\"ghcr.io/acme/app\"]\n", nil},
		{"something private without credentials", "[[upstream]]\nname = \"ghcr.io\"\n" + ruleOfWarnTest + "private = [\"ghcr.io/acme/app\"]\n",
			[]string{`mirror.toml:7:12: the upstream "ghcr.io" has no credentials, so that what is private of ghcr.io/acme/app cannot be fetched with them; write username, and password_file, password_env or helper in its [[upstream]]`}},
		{"the whole Internet, as the file wants it", "open = true\n" + strings.Replace(ruleOfWarnTest, "192.0.2.0/24", "0.0.0.0/0", 1),
			[]string{`mirror.toml:5:12: the clients of rule "first" (0.0.0.0/0) take in the whole Internet: whoever finds this mirror can use it`}},
		{"an admin address for everybody", ruleOfWarnTest + "[admin]\naddress = \":5001\"\n",
			[]string{`mirror.toml:6:11: the admin address ":5001" can be reached from other machines, and asks for no password; write "127.0.0.1:5001" or "unix:/run/sluice-mirror/admin.sock", or let a firewall guard it`}},
		{"a password over plain HTTP", ruleOfWarnTest + "[[upstream]]\nname = \"reg.example\"\nurl = \"http://reg.example\"\nusername = \"alice\"\npassword_env = \"P\"\n",
			[]string{`mirror.toml:7:7: the credentials for "reg.example" pass over plain HTTP; write https:// if the registry has it`}},
		{"a password over plain HTTP on this machine", ruleOfWarnTest + "[[upstream]]\nname = \"reg.example\"\nurl = \"http://127.0.0.1:6000\"\nusername = \"alice\"\npassword_env = \"P\"\n", nil},
		{"private ranges that reach this machine", ruleOfWarnTest + "[egress]\nallow_private = [\"127.0.0.0/8\"]\n",
			[]string{`mirror.toml:6:18: 127.0.0.0/8 lets upstreams reach services of this machine that listen on loopback`}},
		{"a tunnel to what is never dialled", ruleOfWarnTest + "[transparent]\naddress = \"127.0.0.1:5002\"\n[[transparent.rule]]\nname = \"lan\"\naction = \"allow\"\nclients = [\"192.0.2.1\"]\nto = [\"10.0.0.1\"]\n",
			[]string{`mirror.toml:11:7: 10.0.0.1 is not public (private use) and will be refused all the same; add "10.0.0.1" to allow_private in [egress] if it is meant to be reached`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := warnings(mustParse(t, test.text, Flags{})); !slices.Equal(got, test.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// In a file that is read by others there is no secret any more.
func TestFilesThatAreNotThereOrReadByAllAreWarnings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	const hash = "$2y$10$SPbKe4aYo1FERvwJUsknUu9rTC8PWpwomxKFxaBbuA6FIAh8pC4LO"
	text := strings.NewReplacer(
		"PASSWORD", write("password", "x", 0o644), "SAFE", write("safe", "x", 0o640), "NONE", filepath.Join(dir, "none"),
		"CERTIFICATE", write("certificate", "x", 0o644), "KEY", write("key", "x", 0o604), "USERS", write("users", "bob:"+hash+"\n", 0o600),
	).Replace(`
[[listener]]
address = ":5443"
tls = "files"
certificate = "CERTIFICATE"
key = "KEY"
login = true
[[upstream]]
name = "a.example"
username = "a"
password_file = "PASSWORD"
[[upstream]]
name = "b.example"
username = "b"
password_file = "SAFE"
ca = "NONE"
[[upstream]]
name = "c.example"
ca = "CERTIFICATE"
[users]
file = "USERS"
[[rule]]
name = "r"
action = "allow"
users = ["bob", "alice"]
`)
	want := []string{
		"mirror.toml:5:15: DIR/certificate with DIR/key is of no use: tls: failed to find any PEM data in certificate input",
		"mirror.toml:6:7: DIR/key can be read by every user of this machine; chmod o-rwx DIR/key",
		"mirror.toml:11:17: DIR/password can be read by every user of this machine; chmod o-rwx DIR/password",
		"mirror.toml:16:6: DIR/none cannot be read: no such file or directory",
		"mirror.toml:19:6: DIR/certificate has no certificate in it",
		`mirror.toml:25:17: there is no user "alice" in DIR/users; add the user by htpasswd -B`,
	}
	got := warnings(mustParse(t, text, Flags{}))
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], dir, "DIR")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFileOfUsersThatCannotBeUsedIsAWarning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("bob:hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := warnings(mustParse(t, ruleOfWarnTest+"[users]\nfile = \""+path+"\"\n", Flags{}))
	if len(got) != 1 || !strings.Contains(got[0], path+":1: ") || strings.Contains(got[0], "hunter2") {
		t.Errorf("got %q", got)
	}
}

// Whoever looks at one would wait for somebody who writes to it.
func TestAPipeIsToldWhateverItIsNamedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := warnings(mustParse(t, strings.ReplaceAll(`[[listener]]
address = ":5443"
tls = "files"
certificate = "PIPE"
key = "PIPE"
[[upstream]]
name = "a.example"
username = "a"
password_file = "PIPE"
ca = "PIPE"
[users]
file = "PIPE"
`, "PIPE", pipe)+ruleOfWarnTest, Flags{}))
	var want []string
	for _, at := range []string{"4:15", "5:7", "9:17", "10:6", "12:8"} {
		want = append(want, "mirror.toml:"+at+": "+pipe+" is not a file")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
