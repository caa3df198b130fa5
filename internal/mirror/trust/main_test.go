package trust

import (
	"testing"

	"sluice/internal/lab/shell"
	"sluice/internal/mirror/authority"
)

const at = "mirror.example.com:5000"

// aMirror is one with its own authority and a transparent way.
func aMirror(t testing.TB) Mirror {
	t.Helper()
	a, err := authority.Open(t.TempDir(), []string{"mirror.example.com", "ghcr.io"})
	if err != nil {
		t.Fatal(err)
	}
	return Mirror{
		Host: at, TLS: true, CA: a.PEM(), Registries: []string{"docker.io", "ghcr.io", "reg.example:5000"}, Default: "docker.io",
		Transparent: "mirror.example.com:3128",
	}
}

func script(t testing.TB, name string, m Mirror) string {
	t.Helper()
	text, ok := Script(name, m)
	if !ok {
		t.Fatalf("there is no script %s", name)
	}
	return text
}

// shells are those that a script has to run under. Merging a file of JSON needs one of
// two programs, of which busybox has none.
func shells(t *testing.T, try func(t *testing.T, sh []string, path string)) {
	t.Helper()
	shell.Need(t, "python3")
	shell.Each(t, try)
}

// newMachine is a host of systemd's with docker and containerd, where a client shows
// what its files say.
func newMachine(t *testing.T, sh []string, path string) *shell.Host {
	t.Helper()
	h := shell.NewHost(t, sh, path, "systemctl", "update-ca-certificates", "update-ca-trust")
	h.Write("/run/systemd/system/x", "")
	h.Write("/lib/systemd/system/docker.service", "[Service]\n")
	h.Write("/lib/systemd/system/containerd.service", "[Service]\n")
	h.Program("docker", `case $* in *HTTPSProxy*) echo mirror.example.com:3128 ;; *) tr -d ' \n' <"`+h.Root+`/etc/docker/daemon.json" | sed 's/\(:[0-9]*\)"/\1\/"/g' ;; esac`)
	h.Program("containerd", `echo 'config_path = "/etc/containerd/certs.d"'`)
	return h
}
