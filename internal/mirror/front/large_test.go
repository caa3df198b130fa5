package front

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Each large list takes several times its length of memory, and every client may ask.
func TestALargeListWaitsUntilThereIsAPlaceForIt(t *testing.T) {
	x := newRig(t)
	tags := make([]string, 20_000)
	for i := range tags {
		tags[i] = fmt.Sprintf("v1.2.%06d", i)
	}
	x.hub.failing(func(w http.ResponseWriter, r *http.Request) bool {
		list := []string{"1"}
		if strings.HasPrefix(r.URL.Path, "/v2/a/large/") {
			list = tags
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "x", "tags": list})
		return true
	})
	const places = 4
	var leave [places]func()
	for i := range leave {
		var err error
		if leave[i], err = x.handler.Mirror.EnterLarge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	answered := make(chan error, 1)
	go func() {
		resp, err := x.server.Client().Get(x.server.URL + "/v2/a/large/tags/list")
		if err != nil {
			answered <- err
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		var got struct{ Tags []string }
		if json.Unmarshal(body, &got) != nil || len(got.Tags) != len(tags) {
			err = fmt.Errorf("%s, %d tags, %w", resp.Status, len(got.Tags), err)
		}
		answered <- err
	}()
	x.want(x.get("/v2/a/small/tags/list"), http.StatusOK)
	select {
	case err := <-answered:
		t.Fatalf("all places are taken, and it is answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	for range 2 { // all that it takes it gives back
		leave[0]()
		if err := <-answered; err != nil {
			t.Error(err)
		}
		x.want(x.get("/v2/a/large/tags/list"), http.StatusOK)
		answered <- nil
		leave[0], _ = x.handler.Mirror.EnterLarge(t.Context())
	}
}
