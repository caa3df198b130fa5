//go:build linux

package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/internal/doctor"
	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// ward is the lab that the examinations take place in.
type ward struct {
	net     *lab.Net
	hub     *dockerhub.Hub
	relay   *lab.Host
	patient *lab.Host
}

func newWard(t *testing.T) *ward {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"docker-registry"}, Part: "the doctor's examinations of Docker Hub"})
	n := lab.New(t)
	w := &ward{net: n, hub: dockerhub.Start(t, n)}
	w.relay = n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15"))
	w.patient = n.Host(t, "patient", netip.MustParsePrefix("198.18.0.10/15"))
	w.hub.PushHello(t)
	return w
}

// block loses what the CDN answers to the patient.
func (w *ward) block(t *testing.T) { w.hub.CDN.Blackhole(t, w.patient.Prefix()) }

func (w *ward) sluice(t *testing.T, args ...string) *lab.Proxy {
	t.Helper()
	return lab.StartSluice(t, w.relay, append(args, "--allow-private", lab.Range)...)
}

// examine runs `sluice doctor --json` on the patient and returns its report; the
// exit status has to be the one that the report names.
func (w *ward) examine(t *testing.T, env []string, args ...string) *doctor.Report {
	t.Helper()
	out, status := w.run(t, env, append([]string{"--json"}, args...)...)
	var r doctor.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if status != r.Verdict.Exit {
		t.Errorf("exit status %d, and the report says %d", status, r.Verdict.Exit)
	}
	return &r
}

func (w *ward) run(t *testing.T, env []string, args ...string) (stdout []byte, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := w.patient.Command(ctx, lab.Sluice(t), append([]string{"doctor", "--timeout", "12s"}, args...)...)
	cmd.Env = append(append(cmd.Env, "SSL_CERT_FILE="+w.hub.CA.File()), env...)
	var out, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &progress
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("sluice doctor %s: %v\n%s%s", strings.Join(args, " "), err, progress.Bytes(), out.Bytes())
	return out.Bytes(), cmd.ProcessState.ExitCode()
}

func wantVerdict(t *testing.T, r *doctor.Report, code doctor.Code, words ...string) {
	t.Helper()
	if r.Verdict.Code != code {
		t.Errorf("the verdict is %s, want %s: %s", r.Verdict.Code, code, r.Verdict.Sentence)
	}
	said := r.Verdict.Sentence + "\n" + strings.Join(r.Verdict.Next, "\n")
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("the verdict has no %q:\n%s", word, said)
		}
	}
}

func wantStep(t *testing.T, r *doctor.Report, way, host, step string, want doctor.Outcome) doctor.Step {
	t.Helper()
	for _, s := range r.Steps {
		if string(s.Way) == way && s.Host == host && s.Step == step {
			if s.Outcome != want {
				t.Errorf("%s %s %s: %s (%s), want %s", way, host, step, s.Outcome, s.Sentence, want)
			}
			return s
		}
	}
	t.Errorf("there is no step %s of %s, %s", step, host, way)
	return doctor.Step{}
}

const (
	registry = dockerhub.RegistryName + ":443"
	auth     = dockerhub.AuthName + ":443"
	blobs    = dockerhub.BlobName + ":443"
)

func TestNothingIsWrongWhereAllIsReached(t *testing.T) {
	w := newWard(t)
	r := w.examine(t, nil)
	wantVerdict(t, r, doctor.Open, "not blocked")
	wantStep(t, r, "direct", blobs, "blob", doctor.OK)
}

// TestTheCDNIsBlockedAndAnswersThroughTheRelay is the story that Sluice is for.
func TestTheCDNIsBlockedAndAnswersThroughTheRelay(t *testing.T) {
	w := newWard(t)
	w.block(t)
	p := w.sluice(t, "--allow", w.patient.Prefix().String(), "--to", "@docker-hub")
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			url := p.URL(scheme)
			r := w.examine(t, nil, "--proxy", url)
			wantVerdict(t, r, doctor.ProxyHelps, "production.cloudflare.docker.com times out directly", "answers through the proxy in",
				"sluice setup docker --proxy "+url+" --apply")
			wantStep(t, r, "direct", registry, "manifest", doctor.OK)
			wantStep(t, r, "direct", registry, "redirect", doctor.OK)
			wantStep(t, r, "direct", blobs, "tcp", doctor.TimedOut)
			wantStep(t, r, "direct", blobs, "blob", doctor.TimedOut)
			wantStep(t, r, "proxy", auth, "token", doctor.OK)
			if s := wantStep(t, r, "proxy", blobs, "blob", doctor.OK); s.Bytes == 0 || s.Speed == 0 {
				t.Errorf("nothing was read of the blob: %+v", s)
			}
			if r.Proxy.InPlace || r.Proxy.Client != w.patient.Addr().String() {
				t.Errorf("the proxy is said to be %+v", r.Proxy)
			}
		})
	}
	t.Run("for a reader", func(t *testing.T) {
		text, _ := w.run(t, nil, "--proxy", p.URL("http"))
		for line := range strings.Lines(string(text)) {
			if len(strings.TrimRight(line, "\n")) > 80 {
				t.Errorf("longer than 80 columns: %s", line)
			}
		}
	})
	t.Run("without a proxy", func(t *testing.T) {
		r := w.examine(t, nil)
		wantVerdict(t, r, doctor.Blocked, "production.cloudflare.docker.com times out directly", "sluice doctor --proxy http://THAT-MACHINE:3128")
	})
	t.Run("with the proxy in place", func(t *testing.T) {
		r := w.examine(t, []string{"HTTPS_PROXY=" + p.URL("http")})
		wantVerdict(t, r, doctor.WorksThroughProxy, "which is in place")
	})
	t.Run("with the proxy in place and a NO_PROXY that goes around it", func(t *testing.T) {
		r := w.examine(t, []string{"HTTPS_PROXY=" + p.URL("http"), "NO_PROXY=10.0.0.0/8,.cloudflare.docker.com"})
		wantVerdict(t, r, doctor.ProxyBypassed, "goes around the proxy", "out of NO_PROXY")
	})
}

func TestADockerHubWhoseRegistryIsBlockedTooNamesItsBlobs(t *testing.T) {
	w := newWard(t)
	w.block(t)
	w.patient.Prohibit(t, w.hub.Registry.Prefix())
	p := w.sluice(t, "--allow", w.patient.Prefix().String())
	r := w.examine(t, nil, "--proxy", p.URL("http"), dockerhub.RegistryName)
	// Found through the proxy alone, and tried directly all the same.
	wantStep(t, r, "direct", blobs, "tcp", doctor.TimedOut)
	wantStep(t, r, "direct", registry, "tcp", doctor.Unreachable)
	wantVerdict(t, r, doctor.ProxyHelps, "production.cloudflare.docker.com times out directly")
}

func TestAProxyThatRefusesTheRedirectsHostIsToldWhichPresetHasIt(t *testing.T) {
	w := newWard(t)
	w.block(t)
	p := w.sluice(t, "--allow", w.patient.Prefix().String(), "--to", dockerhub.RegistryName, "--to", dockerhub.AuthName)
	r := w.examine(t, nil, "--proxy", p.URL("http"), dockerhub.RegistryName)
	wantVerdict(t, r, doctor.ProxyRefusesHost, "which the registry redirects to", "no rule lets 198.18.0.10 reach production.cloudflare.docker.com:443", `to = ["@docker-hub"]`)
	if s := wantStep(t, r, "proxy", blobs, "tunnel", doctor.Denied); s.Refusal == nil || s.Refusal.ProxyStatus != "http_request_denied" || s.Refusal.Status != 403 {
		t.Errorf("the refusal is told as %+v", s.Refusal)
	}
}

func TestAProxyThatRefusesThisClientSaysSo(t *testing.T) {
	w := newWard(t)
	w.block(t)
	p := w.sluice(t, "--allow", "198.18.0.99/32")
	r := w.examine(t, nil, "--proxy", p.URL("http"))
	wantVerdict(t, r, doctor.ProxyRefuses, "no rule lets 198.18.0.10", "--allow 198.18.0.10/32 --to @docker-hub")
	r = w.examine(t, nil, "--proxy", p.URL("socks5"))
	wantVerdict(t, r, doctor.ProxyRefuses, "SOCKS reply 2")
}

func TestAProxyThatIsNotThereIsTold(t *testing.T) {
	w := newWard(t)
	r := w.examine(t, nil, "--proxy", "http://user:hush@198.18.0.2:3128")
	wantVerdict(t, r, doctor.ProxyUnreachable, "refuses the connection", "without it everything answers")
	if text, _ := w.run(t, nil, "--proxy", "http://user:hush@198.18.0.2:3128"); bytes.Contains(text, []byte("hush")) {
		t.Error("the password is printed")
	}
}

func TestAManInTheMiddleIsNamed(t *testing.T) {
	w := newWard(t)
	mallory := w.net.Host(t, "mallory", netip.MustParsePrefix("198.18.3.1/15"))
	lab.ServeHTTPS(t, mallory, ":443", lab.NewCA(t), []string{dockerhub.BlobName}, nil)
	hosts := w.net.Dir() + "/hosts-of-the-patient"
	text := "127.0.0.1 localhost\n198.18.1.1 registry-1.docker.io\n198.18.1.2 auth.docker.io\n198.18.3.1 production.cloudflare.docker.com\n"
	if err := os.WriteFile(hosts, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.patient.Bind(hosts, "/etc/hosts")
	r := w.examine(t, nil, dockerhub.RegistryName)
	wantVerdict(t, r, doctor.Intercepted, "certificate by the lab's CA (Sluice's lab)")
	p := w.sluice(t, "--allow", w.patient.Prefix().String())
	r = w.examine(t, nil, "--proxy", p.URL("http"), dockerhub.RegistryName)
	wantVerdict(t, r, doctor.ProxyHelps, "intercepted directly, with a certificate by the lab's CA")
	wantStep(t, r, "direct", blobs, "tls", doctor.UnknownAuthority)
}

func TestANameThatOnlyTheRelayResolvesIsReachedThroughIt(t *testing.T) {
	w := newWard(t)
	hosts := w.net.Dir() + "/hosts-of-the-patient"
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost\n198.18.1.1 registry-1.docker.io\n198.18.1.2 auth.docker.io\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dns := w.net.ServeDNS(t, w.net.Host(t, "dns", netip.MustParsePrefix("198.18.4.1/15")))
	w.patient.Bind(hosts, "/etc/hosts")
	p := w.sluice(t, "--allow", w.patient.Prefix().String())
	r := w.examine(t, nil, "--proxy", p.URL("http"))
	wantVerdict(t, r, doctor.ProxyHelps, "production.cloudflare.docker.com does not resolve here", "answers through the proxy in")
	s := wantStep(t, r, "direct", blobs, "dns", doctor.NoName)
	if len(s.Resolvers) != 1 || s.Resolvers[0].Resolver != "198.18.4.1" || s.Resolvers[0].Outcome != doctor.NoName {
		t.Errorf("the resolvers are told as %+v", s.Resolvers)
	}
	dns.Name(dockerhub.BlobName, w.hub.CDN.Addr())
	r = w.examine(t, nil, "--proxy", p.URL("http"))
	if s := wantStep(t, r, "direct", blobs, "dns", doctor.OK); len(s.Resolvers) != 1 || s.Resolvers[0].Outcome != doctor.OK {
		t.Errorf("the resolvers are told as %+v", s.Resolvers)
	}
}

// TestAnExaminationOfSilentHostsEndsInTime has more hosts than are walked to at once,
// none of which answers.
func TestAnExaminationOfSilentHostsEndsInTime(t *testing.T) {
	w := newWard(t)
	w.block(t)
	args := []string{"--timeout", "2s"}
	for port := range 60 {
		args = append(args, netip.AddrPortFrom(w.hub.CDN.Addr(), uint16(1000+port)).String())
	}
	r := w.examine(t, nil, args...)
	wantVerdict(t, r, doctor.Blocked)
	if r.Milliseconds > 20_000 { // ten times what was given
		t.Errorf("the examination took %.0f ms", r.Milliseconds)
	}
}

func TestTinyproxyWillDo(t *testing.T) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"tinyproxy"}})
	w := newWard(t)
	w.block(t)
	config := w.net.Dir() + "/tinyproxy.conf"
	text := "Port 8888\nListen 198.18.0.2\nTimeout 60\nConnectPort 443\nBasicAuth user hush\nFilterDefaultDeny No\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.relay.Start(t, "tinyproxy", "-d", "-c", config).WaitListen(t, 8888)
	r := w.examine(t, nil, "--proxy", "http://user:hush@198.18.0.2:8888")
	wantVerdict(t, r, doctor.ProxyHelps, "production.cloudflare.docker.com", "http://USER:PASSWORD@198.18.0.2:8888")
	r = w.examine(t, nil, "--proxy", "http://198.18.0.2:8888")
	wantVerdict(t, r, doctor.ProxyRefuses, "407", "http://USER:PASSWORD@198.18.0.2:8888")
}

// TestDockerdsOwnEnvironmentDecides runs a real dockerd on the patient: what it was
// started with counts, whatever this shell has.
func TestDockerdsOwnEnvironmentDecides(t *testing.T) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"dockerd", "docker", "containerd", "runc", "docker-registry"}})
	w := newWard(t)
	w.block(t)
	p := w.sluice(t, "--allow", w.patient.Prefix().String(), "--to", "@docker-hub")
	t.Run("with the proxy", func(t *testing.T) {
		dockerhub.StartDocker(t, w.net, w.patient, w.hub.CA, []string{"HTTPS_PROXY=" + p.URL("http")})
		r := w.examine(t, nil)
		wantVerdict(t, r, doctor.WorksThroughProxy, "which is in place")
		if r.Proxy == nil || r.Proxy.Source != "dockerd's environment" {
			t.Errorf("the proxy is %+v", r.Proxy)
		}
	})
	t.Run("without", func(t *testing.T) {
		dockerhub.StartDocker(t, w.net, w.patient, w.hub.CA, nil)
		r := w.examine(t, []string{"HTTPS_PROXY=" + p.URL("http")})
		wantVerdict(t, r, doctor.ProxyHelps, "sluice setup docker")
	})
}

func TestSquidsOwnReasonIsTold(t *testing.T) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"squid", "docker-registry"}})
	w := newWard(t)
	w.block(t)
	config := w.net.Dir() + "/squid.conf"
	text := "http_port 198.18.0.2:3129\nacl cdn dstdomain " + dockerhub.BlobName + "\nhttp_access deny cdn\nhttp_access allow all\n" +
		"pid_filename none\naccess_log none\ncache_log /dev/null\nnetdb_filename none\ncache deny all\nvisible_hostname relay\nshutdown_lifetime 0 seconds\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.relay.Start(t, "squid", "-N", "-f", config).WaitListen(t, 3129)
	r := w.examine(t, nil, "--proxy", "http://198.18.0.2:3129", dockerhub.RegistryName)
	wantVerdict(t, r, doctor.ProxyRefusesHost, "which the registry redirects to: 403 Forbidden (ERR_ACCESS_DENIED 0)")
}
