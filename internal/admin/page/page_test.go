package page_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/admin/page"
)

func get(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	page.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestThePageAllowsNoMarkupFromOutsideAndNoFrameAroundIt(t *testing.T) {
	for _, path := range []string{"/", "/page/page.js", "/page/page.css", "/page/icon.svg", "/nothing"} {
		header := get("GET", path).Header()
		policy := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

// A file that the page names and the program lacks would show only in a browser.
func TestAllThatThePageNamesIsThere(t *testing.T) {
	pending := []string{"/"}
	seen := map[string]bool{}
	names := regexp.MustCompile(`(?:href|src)="(page/[^"]+)"|from "\./([^"]+)"`)
	for len(pending) > 0 {
		path := pending[0]
		pending = pending[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := get("GET", path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
		if kind := w.Header().Get("Content-Type"); kind == "" || strings.HasSuffix(path, ".js") && kind != "text/javascript; charset=utf-8" {
			t.Errorf("%s is of type %q", path, kind)
		}
		for _, m := range names.FindAllStringSubmatch(w.Body.String(), -1) {
			if m[1] != "" {
				pending = append(pending, "/"+m[1])
			} else {
				pending = append(pending, "/page/"+m[2])
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("the page has only %v", seen)
	}
}

// So there is nothing to take back for those who ask for reduced motion.
func TestNothingOnThePageMovesByItself(t *testing.T) {
	style := get("GET", "/page/style.css").Body.String() + get("GET", "/page/page.css").Body.String()
	for _, motion := range []string{"animation", "transition", "smooth", "@keyframes"} {
		if strings.Contains(style, motion) {
			t.Errorf("the style sheet has %s", motion)
		}
	}
}

func TestThePageCanOnlyBeRead(t *testing.T) {
	if w := get("HEAD", "/"); w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/", http.StatusMethodNotAllowed},
		{"DELETE", "/page/page.js", http.StatusMethodNotAllowed},
		{"GET", "/page/", http.StatusNotFound},
		{"GET", "/page/index.html", http.StatusNotFound},
		{"GET", "/page/../page.go", http.StatusNotFound},
		{"GET", "/page/page.go", http.StatusNotFound},
	} {
		w := get(c.method, c.path)
		var body struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); w.Code != c.status || err != nil || body.Error == "" {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		if c.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow %q", c.method, c.path, w.Header().Get("Allow"))
		}
	}
}
