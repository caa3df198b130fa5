package server

import (
	"strings"
	"testing"
	"time"
)

func TestALiveTunnelLeavesRecordsOfItsProgress(t *testing.T) {
	r := run(t, base)
	c, _ := r.connect(origin(t))
	hello(t, c)
	if strings.Contains(r.out.String(), "progress") {
		t.Errorf("without an interval: %s", r.out.String())
	}
	r.interim.Change(20 * time.Millisecond) // less than a file may say
	var last map[string]any
	waitFor(t, func() bool {
		list := r.records()
		if len(list) > 3 {
			last = list[len(list)-1]
		}
		return last != nil
	})
	if last["msg"] != "progress" || last["bytes_down"] != float64(len("hello")) || last["outcome"] != nil || last["rule"] != "lab" {
		t.Errorf("record %v", last)
	}
	c.Close()
	waitFor(t, func() bool {
		list := r.records()
		return list[len(list)-1]["msg"] == "tunnel"
	})
}

func TestABoundOfRefusalsHoldsFromTheStartAndByAReload(t *testing.T) {
	bounded := base + "[log]\nrefusals = \"2/m\"\n"
	r := run(t, bounded)
	refuse := func() {
		for range 5 {
			if _, line := r.connect("192.0.2.1:80"); !strings.Contains(line, " 403 ") {
				t.Fatalf("answer %q", line)
			}
		}
	}
	refuse()
	r.reload(base)
	refuse()
	r.reload(strings.ReplaceAll(bounded, "2/m", "1/m"))
	refuse()
	r.stop()
	r.wait()
	records, left := 0, []any{}
	for _, m := range r.records() {
		switch m["msg"] {
		case "tunnel":
			records++
		case "refusals left out":
			left = append(left, m["client"], m["left_out"])
		}
	}
	if want := []any{"127.0.0.1", 3.0, "127.0.0.1", 4.0}; records != 2+5+1 || len(left) != 4 || left[1] != want[1] || left[3] != want[3] || left[0] != want[0] {
		t.Errorf("%d records, left out %v", records, left)
	}
}
