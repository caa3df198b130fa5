package mirror

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/mirror/oci"
)

// What operators are shown is what came to pass: two pulls, of which one was fetched,
// and one that a rule refused.
func TestOperatorsSeeWhatWasPulledAndWhatItSaved(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, ""))
	for range 2 {
		get(t, r.url("/v2/app/manifests/1"))
		get(t, r.url(o.blob()))
	}
	get(t, r.url("/v2/absent/manifests/1"))
	admin := "http://" + r.AdminAddr().String()

	var status struct {
		Totals struct {
			Requests, Hits int
			Saved          int64          `json:"bytes_saved"`
			ByHow          map[string]int `json:"by_how"`
		}
		Cache     struct{ Downloads int }
		Upstreams []struct{ Name, State string }
	}
	// A record is made when its answer has gone out, which the client may know sooner,
	// and so may it know the last bytes of a download.
	waitFor(t, func() bool {
		_, body := get(t, admin+"/status")
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			t.Fatal(err)
		}
		return status.Totals.Requests == 4 && status.Cache.Downloads == 0
	})
	if n := status.Totals; n.Hits < 2 || n.Saved < int64(len(o.layer)) || n.Saved > int64(2*(len(o.layer)+len(o.manifest))) {
		t.Errorf("%+v", n)
	}
	if u := status.Upstreams; len(u) != 1 || u[0].Name != "docker.io" || u[0].State != "up" {
		t.Errorf("%+v", u)
	}
	_, cached := get(t, admin+"/cache/repositories")
	if !strings.Contains(cached, `"repository":"library/app"`) || !strings.Contains(cached, `"name":"1"`) {
		t.Error(cached)
	}
	_, refused := get(t, admin+"/requests?refused=true")
	if !strings.Contains(refused, `"code":"MANIFEST_UNKNOWN"`) && !strings.Contains(refused, `"code":"NAME_UNKNOWN"`) {
		t.Error(refused)
	}
	if code, body := get(t, admin+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, page := get(t, admin+"/"); code != 200 || !strings.Contains(page, "<title>Sluice mirror</title>") {
		t.Errorf("%d %s", code, page)
	}

	resp, err := http.Post(admin+"/cache/remove?repository=docker.io/library/app", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	get(t, r.url(o.blob()))
	if n := o.fetched.Load(); n != 2 {
		t.Errorf("after %s was removed it was fetched %d times in all", oci.FromBytes(o.layer), n)
	}
}
