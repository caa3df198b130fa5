//go:build unix

package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func asset(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	newPage().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// A file that the page names and the program lacks would show only in a browser; and
// each has the policy that keeps text from becoming markup.
func TestAllThatThePageNamesIsThereAndAllowsNoMarkupFromOutside(t *testing.T) {
	pending, seen := []string{"/"}, map[string]bool{}
	named := regexp.MustCompile(`(?:href|src)="(page/[^"]+)"|from "\./([^"]+)"`)
	for len(pending) > 0 {
		path := pending[0]
		pending = pending[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := asset(path)
		policy := w.Header().Get("Content-Security-Policy")
		if w.Code != http.StatusOK || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "require-trusted-types-for 'script'") {
			t.Errorf("%s: %d, policy %q", path, w.Code, policy)
		}
		if motion := regexp.MustCompile(`animation|transition|@keyframes`).FindString(w.Body.String()); strings.HasSuffix(path, ".css") && motion != "" {
			t.Errorf("%s has %s: nothing on the page moves by itself", path, motion)
		}
		for _, m := range named.FindAllStringSubmatch(w.Body.String(), -1) {
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
	if w := asset("/page/table.js"); w.Code != http.StatusNotFound {
		t.Errorf("what is the proxy's page's own is here, too: %d", w.Code)
	}
}
