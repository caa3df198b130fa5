package front

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestWhoIsAdmittedGetsTheAuthorityAndTheScripts(t *testing.T) {
	var asked []SetupRequest
	x := newRig(t, withLogin(t), func(s *setup) {
		s.CA = func() []byte { return []byte("-----BEGIN CERTIFICATE-----\n") }
		s.Setup = func(r SetupRequest) ([]byte, bool) {
			asked = append(asked, r)
			return fmt.Appendf(nil, "# %s %s\n", r.Client, r.Host), r.Client == "docker"
		}
	})
	a := x.get("/ca.crt")
	x.want(a, http.StatusOK, "Content-Type", "application/x-x509-ca-cert", "X-Content-Type-Options", "nosniff")
	if !strings.HasPrefix(string(a.body), "-----BEGIN") {
		t.Errorf("authority %q", a.body)
	}
	host := strings.TrimPrefix(x.server.URL, "http://")
	a = x.get("/setup/docker.sh?ca=1")
	x.want(a, http.StatusOK, "Content-Type", "text/plain; charset=utf-8")
	if want := "# docker " + host + "\n"; string(a.body) != want || asked[0].TLS || asked[0].Query.Get("ca") != "1" {
		t.Errorf("script %q, asked for by %+v", a.body, asked[0])
	}
	x.want(x.get("/setup/emacs.sh"), http.StatusNotFound)
	n := len(asked)
	for _, path := range []string{"/setup/", "/setup/docker", "/setup/../docker.sh", "/setup/%64ocker.sh", "/setup/Docker.sh", "/setup/a/b.sh", "/setup/.sh", "/", "/favicon.ico", "/v1/_ping", "//v2/"} {
		a := x.get(path)
		x.want(a, http.StatusNotFound, "Content-Type", "text/plain; charset=utf-8")
	}
	if len(asked) != n {
		t.Errorf("asked for %+v", asked[n:])
	}
}

// A script is run by root: what it says of where the mirror is comes from the request.
func TestAHostThatIsNoneStandsInNoScript(t *testing.T) {
	x := newRig(t, func(s *setup) {
		s.Setup = func(r SetupRequest) ([]byte, bool) { return []byte(r.Host), true }
	})
	for host, status := range map[string]int{
		"mirror.example:5000": http.StatusOK, "[::1]:5000": http.StatusOK, "192.0.2.1": http.StatusOK, "MIRROR": http.StatusOK,
		"$(reboot)": http.StatusBadRequest, "a;reboot": http.StatusBadRequest, "a'b": http.StatusBadRequest, "user@a": http.StatusBadRequest, "a:port": http.StatusBadRequest,
	} {
		a := x.raw("GET /setup/docker.sh HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		if a.StatusCode != status || status == http.StatusOK && string(a.body) != strings.ToLower(host) || status != http.StatusOK && strings.Contains(string(a.body), host) {
			t.Errorf("%s: %d, %q", host, a.StatusCode, a.body)
		}
	}
}

func TestWithoutAnAuthorityThereIsNone(t *testing.T) {
	for _, ca := range []func() []byte{nil, func() []byte { return nil }} {
		x := newRig(t, func(s *setup) { s.CA = ca })
		x.want(x.get("/ca.crt"), http.StatusNotFound)
		x.want(x.get("/setup/docker.sh"), http.StatusNotFound)
	}
}
