package intercept

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/mirror/record"
)

// Many registries give their tokens at their own host: ghcr.io/token, quay.io/v2/auth.
func TestWhatIsNoPullOfARegistryIsAnsweredByItself(t *testing.T) {
	f := newFixture(t, func(p *Policy) {
		own := p.Blobs[blobs+":443"]
		own.Registry, own.Tokens = "ghcr.io", true
		p.Blobs[ghcr+":443"] = own
	})
	var asked []string
	f.stored = func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host+r.RequestURI+" "+r.Header.Get("Authorization"))
		io.WriteString(w, `{"token":"x"}`)
	}
	for url, own := range map[string]bool{
		"https://" + ghcr + "/token?scope=a": true, "https://" + ghcr + "/v2/auth": true,
		"https://" + ghcr + "/v2/": false, "https://" + ghcr + "/v2/a/manifests/1": false, "https://" + ghcr + "/v2/a%2fb/tags/list": false,
		"https://" + hub + "/token": false, // which gives none itself
	} {
		asked = nil
		req, _ := http.NewRequest("GET", url, nil)
		req.Header.Set("Authorization", "Basic YTpi")
		resp, err := f.client(true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if own != strings.Contains(string(body), "token") || own != (len(asked) == 1) {
			t.Errorf("%s: %d %q, after %q", url, resp.StatusCode, body, asked)
		}
		if !own {
			continue
		}
		if want := strings.TrimPrefix(url, "https://") + " Basic YTpi"; asked[0] != want {
			t.Errorf("it was asked %q, want %q", asked[0], want)
		}
		if r := f.pass(); r.Kind != record.Other || r.Registry != "ghcr.io" || r.Status != 200 || strings.Contains(r.Path, "scope") {
			t.Errorf("record %+v", r)
		}
	}
}
