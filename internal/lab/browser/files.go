package browser

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

var fileNamed = regexp.MustCompile(`(?:href|src)="(page/[^"]+)"|from "\./([^"]+)"`)

// Files returns the answers for a page and all the files that it names, by path, and
// fails the test where one is not there or has no fitting type: that would show only in
// a browser.
func Files(t *testing.T, page http.Handler) map[string]*httptest.ResponseRecorder {
	t.Helper()
	files := make(map[string]*httptest.ResponseRecorder)
	pending := []string{"/"}
	for len(pending) > 0 {
		path := pending[0]
		pending = pending[1:]
		if files[path] != nil {
			continue
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		files[path] = w
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
		if kind := w.Header().Get("Content-Type"); kind == "" || strings.HasSuffix(path, ".js") && kind != "text/javascript; charset=utf-8" {
			t.Errorf("%s is of type %q", path, kind)
		}
		for _, m := range fileNamed.FindAllStringSubmatch(w.Body.String(), -1) {
			if m[1] != "" {
				pending = append(pending, "/"+m[1])
			} else {
				pending = append(pending, "/page/"+m[2])
			}
		}
	}
	if len(files) < 10 {
		t.Errorf("the page has only %v", files)
	}
	return files
}

// CheckHeader wants an answer's header to allow no markup from outside, and no frame
// around it.
func CheckHeader(t *testing.T, path string, header http.Header) {
	t.Helper()
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

// CheckStill wants nothing in a page's style sheets to move by itself: so there is nothing
// to take back for those who ask for reduced motion.
func CheckStill(t *testing.T, files map[string]*httptest.ResponseRecorder) {
	t.Helper()
	sheets := 0
	for path, w := range files {
		if !strings.HasSuffix(path, ".css") {
			continue
		}
		sheets++
		for _, motion := range []string{"animation", "transition", "smooth", "@keyframes"} {
			if strings.Contains(w.Body.String(), motion) {
				t.Errorf("%s has %s", path, motion)
			}
		}
	}
	if sheets == 0 {
		t.Error("the page has no style sheet")
	}
}
