//go:build linux

package mirror

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
)

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes one request to the mirror from a host, as a client would that is up to
// something. header is pairs of name and value.
func (s *site) ask(t *testing.T, h *lab.Host, method, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+mirrorName+":5000"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	transport := &http.Transport{DialContext: h.DialContext, DisableCompression: true, ResponseHeaderTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// token is what Docker Hub gives to a user, for a client that has another way to it.
func (s *site) token(t *testing.T, user, password, repository string) string {
	t.Helper()
	url := "https://" + dockerhub.AuthName + "/token?service=registry.docker.io&scope=repository:" + repository + ":pull"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	transport := &http.Transport{DialContext: s.mirror.DialContext, TLSClientConfig: &tls.Config{RootCAs: s.hub.CA.Pool()}}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return said.Token
}
