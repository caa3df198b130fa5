package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/lab"
)

// serve runs an HTTPS server on loopback until the test ends; its address stands
// for a host with a certificate of ca.
func serve(t *testing.T, ca *lab.CA, handler http.Handler, names ...string) string {
	t.Helper()
	if len(names) == 0 {
		names = []string{"127.0.0.1"}
	}
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Leaf(t, names...).Certificate}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// bare is a system with nothing on it that could be read.
func bare(t *testing.T) System { return System{Root: t.TempDir()} }

func examined(t *testing.T, ca *lab.CA, o Options, targets ...string) *Report {
	t.Helper()
	var err error
	if o.Targets, err = ParseTargets(targets); err != nil {
		t.Fatal(err)
	}
	if o.System.Root == "" {
		o.System = bare(t)
	}
	if ca != nil {
		o.Roots = ca.Pool()
	}
	r := Run(t.Context(), o)
	if text, err := json.MarshalIndent(r, "", " "); err == nil {
		t.Logf("%s", text)
	}
	return r
}

func find(t *testing.T, r *Report, w wayName, step string) Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Way == w && s.Step == step {
			return s
		}
	}
	t.Fatalf("there is no step %s, %s", step, w)
	return Step{}
}

func fact(r *Report, name string) string {
	for _, f := range r.Facts {
		if f.Fact == name {
			return f.Sentence
		}
	}
	return ""
}

var answers = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })

func TestEveryWayThatTLSCanGoWrongIsToldApart(t *testing.T) {
	ca, other := lab.NewCA(t), lab.NewCA(t)
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	cutting := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	plain := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n") })
	for _, test := range []struct {
		name, address string
		want          Outcome
		code          Code
		words         string
	}{
		{"sound", serve(t, ca, answers), OK, Open, "by the lab's CA"},
		{"unknown authority", serve(t, other, answers), UnknownAuthority, Intercepted, "which this host does not know"},
		{"another name", serve(t, ca, answers, "other.example"), WrongName, Intercepted, "certificate is for other.example"},
		{"silent", silent, TimedOut, Blocked, "connected, then no answer"},
		{"cut off", cutting, Reset, Blocked, "cut off during the handshake"},
		{"no TLS", plain, NotTLS, Open, "answers, but not with TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := examined(t, ca, Options{Timeout: 2 * time.Second}, test.address)
			if s := find(t, r, Direct, stepTLS); s.Outcome != test.want || !strings.Contains(s.Sentence, test.words) {
				t.Errorf("%s: %s; want %s", s.Outcome, s.Sentence, test.want)
			}
			if r.Verdict.Code != test.code {
				t.Errorf("the verdict is %s, want %s", r.Verdict.Code, test.code)
			}
			if hint := fact(r, "mtu"); (hint != "") != (test.name == "silent") {
				t.Errorf("the hint at the MTU is %q", hint)
			}
		})
	}
}

func TestACertificateOfTheFutureIsTheClocksFault(t *testing.T) {
	c := &Certificate{Issuer: "Example CA", From: time.Now().Add(1000 * time.Hour), Until: time.Now().Add(2000 * time.Hour)}
	o, sentence := tlsTrouble(x509.CertificateInvalidError{Reason: x509.Expired}, c, 0)
	if o != NotYetValid {
		t.Errorf("%s: %s", o, sentence)
	}
	r := &Report{
		Hosts: []Host{{Host: "a.example:443", name: "a.example", Needed: true}},
		Steps: []Step{{Host: "a.example:443", Way: Direct, Step: stepTLS, Outcome: o, Sentence: sentence, Certificate: c}},
	}
	r.finish(new(settings))
	if r.Verdict.Code != ClockWrong || r.Verdict.Exit != 6 || !strings.Contains(fact(r, "clock"), "set the clock") {
		t.Errorf("%+v", r)
	}
	c.From, c.Until = time.Now().Add(-2000*time.Hour), time.Now().Add(-1000*time.Hour)
	if o, _ := tlsTrouble(x509.CertificateInvalidError{Reason: x509.Expired}, c, 0); o != Expired {
		t.Errorf("a certificate that ran out is %s", o)
	}
}

func TestAClockThatIsOffIsTold(t *testing.T) {
	ca := lab.NewCA(t)
	for off, want := range map[time.Duration]string{
		0:              "",
		-2 * time.Hour: "clock is 2h0m",
		3 * time.Hour:  "behind",
	} {
		address := serve(t, ca, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		}))
		r := examined(t, ca, Options{}, address)
		if got := fact(r, "clock"); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("a host %s ahead: %q, want %q", off, got, want)
		}
	}
}

// hub is a registry with one image, whose blob is elsewhere.
type hub struct {
	registry, blobs string
	limited         bool
	large           []byte
	realm           string
	mu              sync.Mutex
	bearers         []string
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func newHub(t *testing.T, ca *lab.CA) *hub {
	t.Helper()
	h := &hub{large: make([]byte, 3*maxBody)}
	h.blobs = serve(t, ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the registry's token is shown to the blob's host")
		}
		_, _ = w.Write(h.large)
	}))
	h.registry = serve(t, ca, http.HandlerFunc(h.serve))
	h.realm = "https://" + h.registry + "/token"
	return h
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.bearers = append(h.bearers, r.Header.Get("Authorization"))
	h.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/v2/":
		w.Header().Set("Www-Authenticate", fmt.Sprintf("Bearer realm=%q,service=\"hub\"", h.realm))
		w.WriteHeader(http.StatusUnauthorized)
	case path == "/token":
		fmt.Fprintf(w, `{"token":"for %s"}`, r.URL.Query().Get("scope"))
	case r.Header.Get("Authorization") != "Bearer for repository:library/hello-world:pull":
		w.WriteHeader(http.StatusUnauthorized)
	case h.limited:
		w.WriteHeader(http.StatusTooManyRequests)
	case path == "/v2/library/hello-world/manifests/latest":
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Ratelimit-Limit", "100;w=21600")
		w.Header().Set("Ratelimit-Remaining", "97;w=21600")
		fmt.Fprintf(w, `{"manifests":[{"digest":"sha256:%s","platform":{"architecture":"none","os":"linux"}}]}`, strings.Repeat("f", 64))
	case path == "/v2/library/hello-world/manifests/sha256:"+strings.Repeat("f", 64):
		fmt.Fprintf(w, `{"layers":[{"digest":%q}]}`, digest)
	case path == "/v2/library/hello-world/blobs/"+digest:
		http.Redirect(w, r, "https://"+h.blobs+"/data?signature=x", http.StatusTemporaryRedirect)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestARegistryIsPulledFromInPart(t *testing.T) {
	ca := lab.NewCA(t)
	h := newHub(t, ca)
	r := examined(t, ca, Options{}, h.registry)
	if r.Verdict.Code != Open {
		t.Errorf("%+v", r.Verdict)
	}
	if s := find(t, r, Direct, stepManifest); s.Digest != digest || !strings.Contains(s.Sentence, "97 of 100 pulls left") {
		t.Errorf("%+v", s)
	}
	if s := find(t, r, Direct, stepRedirect); s.Location != h.blobs {
		t.Errorf("%+v", s)
	}
	if s := find(t, r, Direct, stepBlob); s.Outcome != OK || s.Bytes != maxBody || s.Speed <= 0 {
		t.Errorf("%+v", s)
	}
	if last := r.Hosts[len(r.Hosts)-1]; last.Host != h.blobs || last.Why != whyRedirect || last.Direct != string(OK) {
		t.Errorf("the redirect's host is not examined by itself: %+v", last)
	}
}

// TestARegistryBehindARegistryIsNotFollowed has a blob's host that is a registry, too,
// and would lead on to others for ever.
func TestARegistryBehindARegistryIsNotFollowed(t *testing.T) {
	ca := lab.NewCA(t)
	behind, h := newHub(t, ca), newHub(t, ca)
	h.blobs = behind.registry
	r := examined(t, ca, Options{}, h.registry)
	for _, s := range r.Steps {
		if s.Registry == behind.registry {
			t.Errorf("it is pulled from: %+v", s)
		}
	}
	if s := find(t, r, Direct, stepBlob); s.Outcome != BadStatus || s.Host != behind.registry {
		t.Errorf("%+v", s)
	}
}

func TestABlobThatStopsIsToldAndASlowOneIsNot(t *testing.T) {
	ca := lab.NewCA(t)
	for first, want := range map[int]Outcome{100: TimedOut, worthTiming: OK} {
		h := newHub(t, ca)
		h.blobs = serve(t, ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10000000")
			_, _ = w.Write(make([]byte, first))
			_ = http.NewResponseController(w).Flush()
			if r.URL.Path != "/v2/" {
				<-r.Context().Done()
			}
		}))
		r := examined(t, ca, Options{Timeout: 4 * time.Second}, h.registry)
		if s := find(t, r, Direct, stepBlob); s.Outcome != want || s.Bytes != int64(first) {
			t.Errorf("after %d bytes: %+v", first, s)
		}
	}
}

func TestARegistryThatHasHadEnoughIsToldAsThat(t *testing.T) {
	ca := lab.NewCA(t)
	h := newHub(t, ca)
	h.limited = true
	r := examined(t, ca, Options{}, h.registry)
	if r.Verdict.Code != LimitReached || r.Verdict.Exit != 1 || r.Verdict.Next[0] != "docker login" {
		t.Errorf("%+v", r.Verdict)
	}
}

func TestARegistryWithoutTheImageIsStillReached(t *testing.T) {
	ca := lab.NewCA(t)
	h := newHub(t, ca)
	image, err := ParseImage(h.registry + "/other/image:1")
	if err != nil {
		t.Fatal(err)
	}
	r := examined(t, ca, Options{Image: image}, h.registry)
	if s := find(t, r, Direct, stepManifest); s.Outcome != NoImage || r.Verdict.Code != Open {
		t.Errorf("%+v %+v", s, r.Verdict)
	}
}

func TestATokensPlaceThatIsNotHTTPSIsNotAsked(t *testing.T) {
	ca := lab.NewCA(t)
	h := newHub(t, ca)
	asked := listen(t, func(net.Conn) { t.Error("it is asked") })
	h.realm = "http://" + asked + "/latest/meta-data"
	r := examined(t, ca, Options{}, h.registry)
	if s := find(t, r, Direct, stepToken); s.Outcome != Failed || !strings.Contains(s.Sentence, "not https") {
		t.Errorf("%+v", s)
	}
}

func TestAnOrdinaryHTTPProxyIsAskedForPort80InPlain(t *testing.T) {
	address := listen(t, func(c net.Conn) {
		head := make([]byte, 4096)
		n, _ := c.Read(head)
		if !strings.HasPrefix(string(head[:n]), "GET http://192.0.2.1/v2/ HTTP/1.1\r\n") {
			t.Errorf("asked with %q", head[:n])
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	u, err := ParseProxy("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{URL: u}
	r := &run{proxy: p, budget: 10 * time.Second, report: new(Report)}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r.walk(ctx, way{Through, p.dial}, Target{Host: "192.0.2.1", Port: 80})
	if s := r.report.Steps[0]; s.Outcome != OK || s.Step != stepHTTP {
		t.Errorf("%+v", s)
	}
}

func TestAProxyUnderTLSIsHeldToItsCertificate(t *testing.T) {
	ca := lab.NewCA(t)
	address := serve(t, ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") == "" {
			t.Errorf("asked with %s, %v", r.Method, r.Header)
		}
		w.Header().Set("Proxy-Status", "relay; error=http_request_denied")
		w.WriteHeader(http.StatusForbidden)
	}))
	u, err := ParseProxy("https://user:hush@" + address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&proxy{URL: u, roots: ca.Pool()}).dial(t.Context(), "tcp", "cdn.example:443")
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.ProxyStatus != "http_request_denied" {
		t.Errorf("%v", err)
	}
	_, err = (&proxy{URL: u, roots: lab.NewCA(t).Pool()}).dial(t.Context(), "tcp", "cdn.example:443")
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
}

// TestAnAnswerWithoutEndIsCutOff has a host that would fill the memory.
func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	flood := func(c net.Conn) {
		line := []byte("X-More: " + strings.Repeat("x", 8000) + "\r\n")
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for sent := 0; err == nil; sent += len(line) {
			if _, err = c.Write(line); sent > 64*maxHead {
				t.Error("it is read on and on")
				return
			}
		}
	}
	if _, err := through(t, "http://"+listen(t, flood)); err == nil {
		t.Error("an answer without end is taken")
	}
	c, err := net.Dial("tcp", listen(t, flood))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "a.example", Path: "/"}, Header: http.Header{}}
	if _, err := exchange(t.Context(), c, req, req.Write); err == nil {
		t.Error("an answer without end is taken")
	}
}

func TestProgressHasABeginningAndAnEndOfEachStep(t *testing.T) {
	ca := lab.NewCA(t)
	begun, over := 0, 0
	r := examined(t, ca, Options{Progress: func(_ Step, done bool) {
		if done {
			over++
		} else {
			begun++
		}
	}}, serve(t, ca, answers))
	if begun != len(r.Steps) || over != begun {
		t.Errorf("%d steps, %d begun, %d over", len(r.Steps), begun, over)
	}
}
