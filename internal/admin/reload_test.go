package admin_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAReloadIsAskedForAndWatched(t *testing.T) {
	p := serve(t, base)
	w := p.watch()
	w.event("start")
	event := func() object {
		t.Helper()
		for range 10 {
			name, o, err := w.next()
			if err != nil {
				t.Fatal(err)
			}
			if name == "reload" {
				return o
			}
		}
		t.Fatal("no event tells of the reload")
		return nil
	}
	c := p.connect(echo(t))

	p.change(strings.Replace(base, `name = "lab"`, `name = "other"`, 1))
	resp, body := p.ask("POST", "/reload")
	if o := parse(t, body); resp.StatusCode != http.StatusOK || o["reloaded"] != true || o["warnings"] == nil {
		t.Errorf("%s, %s", resp.Status, body)
	}
	if o := event(); o["ok"] != true || o["error"] != nil || o["time"] == nil {
		t.Errorf("event %v", o)
	}
	if rule := list(p.get("/config"), "rule")[0]["name"]; rule != "other" {
		t.Errorf("rule %v is in force", rule)
	}
	if rule := p.get("/explain?client=127.0.0.1&to=example.com:443")["rule"]; rule != "other" {
		t.Errorf("rule %v decides", rule)
	}

	p.change("[limits]\ntunels = 1\nburst = 1\n")
	resp, body = p.ask("POST", "/reload")
	problems, _ := parse(t, body)["problems"].([]any)
	if resp.StatusCode != http.StatusUnprocessableEntity || len(problems) != 2 || !strings.HasPrefix(problems[0].(string), "test.toml:2:1: ") {
		t.Errorf("%s, %s", resp.Status, body)
	}
	if o := event(); o["ok"] != false || o["error"] == nil {
		t.Errorf("event %v", o)
	}
	if rule := list(p.get("/config"), "rule")[0]["name"]; rule != "other" {
		t.Errorf("rule %v is in force after a reload that failed", rule)
	}
	exchange(t, c, "goes on")
}

func TestOfTwoReloadsAtOnceOneWaits(t *testing.T) {
	p := serve(t, base)
	var loading, most atomic.Int32
	p.loading = func(begins bool) {
		if !begins {
			loading.Add(-1)
			return
		}
		if n := loading.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(50 * time.Millisecond)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			resp, err := http.Post(p.url("/reload"), "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
}
