//go:build unix

package console

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/internal/lab/browser"
)

func TestAllThatThePageNamesIsThereAndAllowsNoMarkupFromOutside(t *testing.T) {
	files := browser.Files(t, newPage())
	for path, w := range files {
		browser.CheckHeader(t, path, w.Header())
	}
	browser.CheckStill(t, files)
	w := httptest.NewRecorder()
	newPage().ServeHTTP(w, httptest.NewRequest("GET", "/page/table.js", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("what is the proxy's page's own is here, too: %d", w.Code)
	}
}
