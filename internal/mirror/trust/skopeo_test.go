package trust

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/lab/shell"
	"sluice/internal/mirror/authority"
)

// A program that was set up asks the mirror for what it calls by the registry's name, and
// trusts what it says there.
func TestSkopeoGetsAnImageByTheMirror(t *testing.T) {
	skopeo := shell.Need(t, "skopeo")
	shell.Need(t, "dash")
	a, err := authority.Open(t.TempDir(), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	asked := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			io.WriteString(w, manifest)
		}
	}))
	secure, err := a.TLSConfig([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	// Not StartTLS, which has a certificate of its own for clients that name no server.
	server.Listener = tls.NewListener(server.Listener, secure)
	server.Start()
	defer server.Close()
	m := aMirror(t)
	m.Host, m.CA = server.Listener.Addr().(*net.TCPAddr).String(), a.PEM()

	host := newMachine(t, []string{"dash"}, os.Getenv("PATH"))
	if out, ok := host.Run(script(t, "podman", m), "--place", "user"); !ok {
		t.Fatal(out)
	}
	cmd := exec.Command(skopeo, "inspect", "--raw", "docker://docker.io/library/story:latest")
	// Nothing but the mirror is reached: the registry itself is behind a proxy that is not there.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + host.Root + "/home", "XDG_RUNTIME_DIR=" + t.TempDir(), "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1"}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != manifest {
		t.Errorf("%v: %s", err, out)
	}
	close(asked)
	last := ""
	for last = range asked {
	}
	if last != "/v2/docker.io/library/story/manifests/latest" {
		t.Errorf("the mirror was asked for %q", last)
	}
}
