package intercept

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/mirror/record"
)

func TestABlobIsPassedOnWithWhatTheClientSaidAndNothingElse(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		f := newFixture(t)
		var got *http.Request
		f.stored = func(w http.ResponseWriter, r *http.Request) {
			got = r
			w.Header().Set("Content-Range", "bytes 3-6/10")
			w.Header().Set("Etag", `"abc"`)
			w.Header().Set("Connection", "close")
			w.Header().Set("Alt-Svc", `h3=":443"`)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "blob")
		}
		req, _ := http.NewRequest("GET", "https://"+blobs+"/registry-v2/a%2Fb/data?verify=1-2%3D&x", nil)
		req.Header.Set("Range", "bytes=3-6")
		req.Header.Set("Cookie", "session=1")
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		resp, err := f.client(http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 206 || string(body) != "blob" || resp.Header.Get("Etag") != `"abc"` || resp.Header.Get("Alt-Svc") != "" || resp.ContentLength != 4 {
			t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
		if got.Host != blobs || got.RequestURI != "/registry-v2/a%2Fb/data?verify=1-2%3D&x" || got.Header.Get("Range") != "bytes=3-6" {
			t.Errorf("it was asked %s %s %v", got.Host, got.RequestURI, got.Header)
		}
		for _, name := range []string{"Authorization", "Cookie", "X-Forwarded-For", "Via"} {
			if v := got.Header.Get(name); v != "" {
				t.Errorf("it was told %s: %s", name, v)
			}
		}
		r := f.pass()
		if r.Status != 206 || r.How != record.Passed || r.Bytes != 4 || r.Registry != "docker.io" || r.Kind != record.Blob ||
			r.Listener != "transparent" || !r.Client.IsValid() || strings.Contains(r.Path, "verify") {
			t.Errorf("record %+v", r)
		}
		if len(f.requests()) != 0 {
			t.Errorf("registries were asked %v", f.requests())
		}
	}
}

func TestARedirectOfAHostOfBlobsIsTheClientsToFollow(t *testing.T) {
	f := newFixture(t)
	asked := 0
	f.stored = func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "https://169.254.169.254/latest/meta-data", http.StatusFound)
	}
	resp, err := f.client(false).Get("https://" + blobs + "/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 302 || resp.Header.Get("Location") != "https://169.254.169.254/latest/meta-data" || asked != 1 {
		t.Errorf("%d to %s after %d requests", resp.StatusCode, resp.Header.Get("Location"), asked)
	}
}

func TestBlobsAreOnlyRead(t *testing.T) {
	f := newFixture(t)
	f.stored = func(http.ResponseWriter, *http.Request) { t.Error("the host of blobs was asked") }
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		req, _ := http.NewRequest(method, "https://"+blobs+"/x", strings.NewReader("x"))
		resp, err := f.client(true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 405 || f.pass().Status != 405 {
			t.Errorf("%s is answered %d", method, resp.StatusCode)
		}
	}
}

// What is cut short must not look whole.
func TestABlobThatEndsEarlyIsAFailureForTheClient(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		f := newFixture(t)
		f.stored = func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			io.WriteString(w, "half a bl")
			w.(http.Flusher).Flush() // chunked: no length tells the client
			panic(http.ErrAbortHandler)
		}
		resp, err := f.client(http2).Get("https://" + blobs + "/x")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("HTTP/2 %v: it looks whole", http2)
		}
		if r := f.pass(); r.Error == "" || r.Bytes != 9 {
			t.Errorf("record %+v", r)
		}
	}
}

func TestAHostOfBlobsThatIsAwayIsABadGateway(t *testing.T) {
	f := newFixture(t)
	f.store.Close()
	status, body := f.get(f.client(false), "https://"+blobs+"/x")
	if status != 502 || !strings.Contains(body, blobs+" does not answer") {
		t.Errorf("%d %s", status, body)
	}
	if r := f.pass(); r.Status != 502 || !strings.Contains(r.Error, "refused") {
		t.Errorf("record %+v", r)
	}
}
