package front

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
)

// raw sends bytes as they are.
func (x *rig) raw(request string) answer {
	x.t.Helper()
	conn, err := net.Dial("tcp", x.server.Listener.Addr().String())
	if err != nil {
		x.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		x.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		x.t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	a := answer{Response: resp}
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

// What a proxy in front takes for a body must not be answered as a request of its own.
func TestARequestWithABodyIsTheLastOfItsConnection(t *testing.T) {
	x := newRig(t)
	const hidden = "0\r\n\r\nGET /v2/a/b/tags/list HTTP/1.1\r\nHost: mirror\r\nX: "
	for _, fields := range []string{
		fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(hidden)),
		"Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n",
	} {
		for _, target := range []string{"GET /v2/", "GET /v2/a/b/manifests/3", "PUT /v2/a/b/manifests/3", "GET /ca.crt"} {
			a := x.raw(target + " HTTP/1.1\r\nHost: mirror\r\n" + fields + "\r\n" + hidden)
			if !a.Close {
				t.Errorf("%s with %q: %s, and the connection stays", target, fields, a.Status)
			}
		}
	}
	if a := x.raw("GET /v2/ HTTP/1.1\r\nHost: mirror\r\nContent-Length: 0\r\n\r\n"); a.Close {
		t.Error("the connection is closed though there was no body")
	}
	for _, r := range x.hub.requests() {
		if strings.Contains(r, "tags") {
			t.Errorf("what was hidden is asked for: %s", r)
		}
	}
}

func TestPathsThatLeadElsewhereReachNothing(t *testing.T) {
	x := newRig(t)
	for _, target := range []string{
		"/v2/../../etc/passwd/manifests/latest", "/v2/a/../../b/manifests/latest", "/v2/a/%2e%2e/b/manifests/latest", "/v2/a%2f..%2fb/manifests/latest",
		"/v2/a//b/manifests/latest", "/v2/a/b/manifests/..", "/v2/a/b/manifests/../../c/manifests/x", "/v2/a/b/blobs/sha256:../../x", "/v2/a\\b/manifests/x",
		"/v2/a/b/manifests/x%00", "/v2/a/b/manifests/x%0d%0aSet-Cookie:%20a", "/v2/\xc3\xa9/manifests/x", "/v2/a/b/manifests/x/", "/v2/a/_tags/manifests/x",
		"http://other.example/v2/a/../b/manifests/x", "/v2/" + strings.Repeat("a/", 3000) + "manifests/x",
	} {
		a := x.raw("GET " + target + " HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n")
		if a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", target, a.Status)
		}
		for name, values := range a.Header {
			if strings.Contains(strings.Join(values, ""), "other.example") || name == "Set-Cookie" || name == "Location" {
				t.Errorf("%s: %s: %q", target, name, values)
			}
		}
	}
	if asked := append(x.hub.requests(), x.ghcr.requests()...); len(asked) > 0 {
		t.Errorf("the upstream was asked for %q", asked)
	}
}

func TestATargetMayBeAWholeURL(t *testing.T) {
	x := newRig(t)
	d, _ := x.hub.repo("a/b").image("3", []byte("layer"))
	x.want(x.rawFor("GET http://mirror/v2/a/b/manifests/3 HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n"), http.StatusOK, "Docker-Content-Digest", string(d))
	x.want(x.rawFor("GET http://mirror HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n"), http.StatusNotFound)
	x.want(x.rawFor("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nConnection: close\r\n\r\n"), http.StatusMethodNotAllowed, "Allow", "GET, HEAD")
}

// rawFor is raw for want, which names the request.
func (x *rig) rawFor(request string) answer {
	x.t.Helper()
	a := x.raw(request)
	a.Request, _ = http.NewRequest(http.MethodGet, "http://raw/", nil)
	return a
}

// What the client sends comes back in no header, and in no body that a browser would
// take for a page.
func TestNothingThatAClientSendsComesBackInAHeader(t *testing.T) {
	x := newRig(t)
	x.hub.repo("a/b").image("3", []byte("layer"))
	const mark = "zzmarkzz"
	for _, path := range []string{
		"/v2/" + mark + "/x/manifests/3", "/v2/a/b/manifests/" + mark, "/v2/a/b/tags/list?n=" + mark, "/v2/a/b/tags/list?last=" + mark, "/" + mark,
		"/v2/a/b/manifests/3?" + mark + "=1", "/v2/a/b/manifests/3?ns=" + mark + "%20", "/v2/a/b/blobs/" + string(noDigest) + "?x=" + mark, "/setup/" + mark + ".sh",
		"/v2/" + strings.ToUpper(mark) + "/manifests/<script>",
	} {
		a := x.get(path, "User-Agent", mark, "X-Request-Id", mark, "Range", mark, "If-Range", mark, "If-None-Match", mark, "Accept", mark, "Authorization", "Bearer "+mark)
		for name, values := range a.Header {
			if strings.Contains(strings.ToLower(strings.Join(values, "")), mark) {
				t.Errorf("%s: %s: %q", path, name, values)
			}
		}
		x.want(a, a.StatusCode, "X-Content-Type-Options", "nosniff", "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox",
			"Cross-Origin-Resource-Policy", "same-origin", "Access-Control-Allow-Origin", "")
		if strings.Contains(a.Header.Get("Content-Type"), "html") || bytes.Contains(a.body, []byte("<script>")) {
			t.Errorf("%s: %s: %q", path, a.Header.Get("Content-Type"), a.body)
		}
	}
}

// What a registry calls a page is none here.
func TestAManifestIsNeverAPage(t *testing.T) {
	x := newRig(t)
	for given, want := range map[string]string{
		"text/html": "application/json", "image/svg+xml": "application/json", "application/vnd.x+json; a=b": "application/vnd.x+json", "application/xhtml+xml": "application/json",
	} {
		x.hub.repo("a/b").manifest(given, "3", []byte(`{"a":"<script>`+strconv.Itoa(len(given))+`"}`))
		y := newRig(t)
		y.hub.repos = x.hub.repos
		for range 2 {
			a := y.get("/v2/a/b/manifests/3")
			if a.StatusCode == http.StatusOK {
				y.want(a, http.StatusOK, "Content-Type", want)
			}
		}
	}
}

// A client that was promised a length gets less and a broken connection, never a whole
// that is none.
func TestABodyThatCannotBeCompletedBreaksTheConnection(t *testing.T) {
	layer := noise(4 << 20)
	for name, send := range map[string]func(w http.ResponseWriter){
		"cut short":    func(w http.ResponseWriter) { w.Write(layer[:3<<20]); panic(http.ErrAbortHandler) },
		"other bytes":  func(w http.ResponseWriter) { w.Write(bytes.Repeat([]byte{7}, len(layer))) },
		"the last one": func(w http.ResponseWriter) { w.Write(layer[:len(layer)-1]); w.Write([]byte{layer[len(layer)-1] + 1}) },
	} {
		for protocol, secure := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
			t.Run(name+" by "+protocol, func(t *testing.T) {
				t.Parallel()
				x := newRig(t, func(s *setup) { s.secure = secure })
				_, d := x.hub.repo("a/b").image("3", layer)
				x.hub.failing(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
						return false
					}
					w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
					if r.Header.Get("Range") != "" {
						w.Header().Del("Content-Length")
						w.WriteHeader(http.StatusInternalServerError)
						return true
					}
					send(w)
					return true
				})
				a := x.try(http.MethodGet, "/v2/a/b/blobs/"+string(d))
				switch {
				case a.StatusCode == 0: // a failure that came ahead of the head's last byte
				case a.StatusCode == http.StatusOK && a.err == nil:
					t.Errorf("all %d bytes came", len(a.body))
				case a.StatusCode == http.StatusOK && len(a.body) >= len(layer):
					t.Errorf("%d bytes came, and then %v", len(a.body), a.err)
				case a.StatusCode != http.StatusOK && a.StatusCode/100 != 5:
					t.Errorf("status %d", a.StatusCode)
				}
				if r := x.last(1); r.Error == "" || r.Kind != record.Blob || r.Bytes < int64(len(a.body)) {
					t.Errorf("%d bytes, record %+v", len(a.body), r)
				}
				x.hub.failing(nil)
				if a := x.get("/v2/a/b/blobs/" + string(d)); a.StatusCode == http.StatusOK && !d.Matches(a.body) {
					t.Error("what was wrong was kept")
				}
			})
		}
	}
}

func TestAKeptBlobLeavesBySendfile(t *testing.T) {
	x := newRig(t)
	layer := noise(8 << 20)
	_, d := x.hub.repo("a/b").image("3", layer)
	path := "/v2/a/b/blobs/" + string(d)
	x.want(x.get(path), http.StatusOK)
	files, rest := x.spy.fromFiles.Load(), x.spy.written.Load()
	a := x.get(path)
	x.want(a, http.StatusOK)
	if !d.Matches(a.body) {
		t.Fatal("other content")
	}
	x.last(2)
	files, rest = x.spy.fromFiles.Load()-files, x.spy.written.Load()-rest
	if files < int64(len(layer))-4096 || rest > 4096 {
		t.Errorf("%d bytes from the file, %d by writes", files, rest)
	}
	if r := x.last(2); r.How != record.Hit && r.How != record.Joined || r.Bytes != int64(len(layer)) || r.Digest != string(d) || r.Status != http.StatusOK {
		t.Errorf("record %+v", r)
	}
	part := x.get(path, "Range", "bytes=1048576-")
	if x.want(part, http.StatusPartialContent); !bytes.Equal(part.body, layer[1<<20:]) {
		t.Error("another part")
	}
}

func TestAClientThatLeavesLeavesARecord(t *testing.T) {
	x := newRig(t)
	_, d := x.hub.repo("a/b").image("3", noise(1<<20))
	asked, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	x.hub.failing(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			close(asked)
			<-release
		}
		return false
	})
	conn, err := net.Dial("tcp", x.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /v2/a/b/blobs/"+string(d)+" HTTP/1.1\r\nHost: mirror\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	conn.Close()
	if r := x.last(1); !strings.HasPrefix(r.Error, "the client left") || r.Status != 0 || r.Digest != "" && r.Bytes != 0 {
		t.Errorf("record %+v", r)
	}
}

// The server's time for reading a request is not for answering it.
func TestAnAnswerMayTakeLongerThanTheRequest(t *testing.T) {
	t.Parallel()
	for protocol, secure := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			x := newRig(t, func(s *setup) { s.readTimeout, s.secure = 300*time.Millisecond, secure })
			_, d := x.hub.repo("a/b").image("3", noise(100))
			x.hub.failing(func(http.ResponseWriter, *http.Request) bool {
				time.Sleep(500 * time.Millisecond)
				return false
			})
			for range 2 { // by one connection
				if a := x.get("/v2/a/b/blobs/" + string(d)); !d.Matches(a.body) {
					t.Errorf("%d, %v: %q", a.StatusCode, a.err, a.body)
				}
				time.Sleep(500 * time.Millisecond)
			}
			if r := x.last(1); r.Error != "" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestEachRequestLeavesOneRecord(t *testing.T) {
	x := newRig(t)
	m, b := x.hub.repo("a/b").image("3", []byte("layer"))
	x.want(x.get("/v2/"), http.StatusOK)
	x.want(x.get("/v2/a/b/manifests/3", "User-Agent", "docker/29"), http.StatusOK)
	x.want(x.head("/v2/docker.io/a/b/manifests/3"), http.StatusOK)
	x.want(x.get("/v2/a/b/blobs/"+string(b)), http.StatusOK)
	x.want(x.get("/v2/a/b/tags/list"), http.StatusOK)
	x.wantError(x.get("/v2/A/tags/list"), http.StatusBadRequest, oci.NameInvalid)
	x.want(x.get("/nothing"), http.StatusNotFound)
	want := []record.Record{
		{Kind: record.Ping, Status: 200, Path: "/v2/"},
		{Kind: record.Manifest, Status: 200, How: record.Miss, Reference: "3", Digest: string(m), Agent: "docker/29"},
		{Kind: record.Manifest, Status: 200, How: record.Hit, Reference: "3", Digest: string(m)},
		{Kind: record.Blob, Status: 200, How: record.Miss, Reference: string(b), Digest: string(b)},
		{Kind: record.Tags, Status: 200, How: record.Passed},
		{Kind: record.Tags, Status: 400, Code: "NAME_INVALID"},
		{Kind: record.Other, Status: 404, Code: "UNSUPPORTED", Path: "/nothing"},
	}
	for i, r := range x.allRecords(len(want)) {
		w := want[i]
		if r.Kind != w.Kind || r.Status != w.Status || r.How != w.How || r.Reference != w.Reference || r.Digest != w.Digest || r.Code != w.Code || r.Path != w.Path ||
			w.Agent != "" && r.Agent != w.Agent || r.Listener != "test" || r.ID == 0 || r.Start.IsZero() || (r.Code == "") != (r.Error == "") {
			t.Errorf("record %d: %+v", i, r)
		}
		if i > 0 && i < 5 && (r.Registry != "docker.io" || r.Repository != "a/b" || r.Rule != "everybody") {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}

func TestAPanicLeavesARecord(t *testing.T) {
	var records []record.Record
	h := &Handler{Policy: func() *access.Policy { panic("no policy") }, Record: func(r *record.Record) { records = append(records, *r) }}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is kept from who called")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v2/", nil))
	}()
	if len(records) != 1 || records[0].Error == "" {
		t.Errorf("records %+v", records)
	}
}
