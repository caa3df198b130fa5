//go:build linux

package setup

import (
	"os"
	"strings"
	"testing"
)

func TestFilesWithAPasswordAreForTheirOwnerAlone(t *testing.T) {
	h := systemdHost(t, nil)
	h.program("docker", "echo http://xxxxx:xxxxx@relay:1")
	out, err := h.apply("docker", "", options(t, "http://u:secret@relay:1"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(h.path("/etc/systemd/system/docker.service.d/http-proxy.conf"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if strings.Contains(out, "secret") || !strings.Contains(out, "password") {
		t.Errorf("it printed\n%s", out)
	}
	if strings.Contains(h.get("/var/lib/sluice/setup/docker.json"), "secret") {
		t.Error("the record has the password")
	}
}

func TestNoDiffShowsAPassword(t *testing.T) {
	for _, text := range []string{
		"proxy_password = sec\"ret\n", "proxy_password=sec ret\n", "systemProp.http.proxyPassword=sec<ret\n", "password: x\npassword = sec ret\r\n",
		"//registry/:_authToken=secret\n", "//registry/:_password=secret\n", "<password>secret</password>\n", `{"auth": "secret"}` + "\n",
		"HTTP_PROXY=http://u:secret@relay:1\n", "HTTP_PROXY=http://u:sec'ret@relay:1\n", "HTTP_PROXY=http://u:p@sec/ret@relay:1\n",
	} {
		got := difference("/etc/x", []byte(text), "/etc/x", []byte("other=1\n"))
		if strings.Contains(got, "sec") || strings.Contains(got, "ret") || !strings.Contains(got, "xxxxx") {
			t.Errorf("%q is shown as\n%s", text, got)
		}
	}
}
