package page_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/internal/admin/page"
	"sluice/internal/lab/browser"
)

func get(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	page.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestThePageAllowsNoMarkupFromOutsideAndNoFrameAroundIt(t *testing.T) {
	for path, w := range browser.Files(t, page.Handler()) {
		browser.CheckHeader(t, path, w.Header())
	}
	for _, path := range []string{"/page/icon.svg", "/nothing"} {
		browser.CheckHeader(t, path, get("GET", path).Header())
	}
}

func TestAllThatThePageNamesIsThere(t *testing.T) {
	files := browser.Files(t, page.Handler())
	for _, path := range []string{"/page/page.js", "/page/page.css", "/page/style.css"} {
		if files[path] == nil {
			t.Errorf("the page does not name %s", path)
		}
	}
}

func TestNothingOnThePageMovesByItself(t *testing.T) {
	browser.CheckStill(t, browser.Files(t, page.Handler()))
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
