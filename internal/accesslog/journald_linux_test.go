package accesslog

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// journald starts systemd's own daemon with a /run of its own, and returns where
// that is.
func journald(t *testing.T) (run string) {
	t.Helper()
	const daemon = "/lib/systemd/systemd-journald"
	lab.Need(t, lab.Needs{Root: true, Programs: []string{daemon, "journalctl"}, Part: "the journal's own reading of records"})
	const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journald.conf.d /run/systemd/journal /run/log/journal
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\nForwardToWall=no\n' > /run/systemd/journald.conf.d/test.conf
echo 0123456789abcdef0123456789abcdef > /run/machine-id
[ -s /etc/machine-id ] || mount --bind /run/machine-id /etc/machine-id
exec ` + daemon
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	run = fmt.Sprintf("/proc/%d/root/run", cmd.Process.Pid)
	eventually(t, "journald listens", func() bool {
		l, err := Open(Options{Format: JSON, Path: "journald", Journal: run + "/systemd/journal/socket"})
		if err == nil {
			l.Close()
		}
		return err == nil
	})
	return run
}

// entries asks journalctl for what the journal has of Sluice.
func entries(t *testing.T, run string, match ...string) (list []map[string]any) {
	t.Helper()
	args := append([]string{"--directory", run + "/log/journal", "--output", "json", "--all", "--quiet", "SYSLOG_IDENTIFIER=sluice"}, match...)
	out, err := exec.Command("journalctl", args...).Output()
	if err != nil {
		return nil // the journal has no file yet
	}
	for line := range strings.Lines(string(out)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, m)
	}
	return list
}

func TestJournaldTakesRecordsByBothOfItsSockets(t *testing.T) {
	run := journald(t)
	for _, o := range []Options{
		{Format: JSON, Path: "journald", Journal: run + "/systemd/journal/socket"},
		{Format: JSON, Path: "syslog", Syslog: run + "/systemd/journal/dev-log"},
	} {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		transport := map[string]string{"journald": "_TRANSPORT=journal", "syslog": "_TRANSPORT=syslog"}[o.Path]
		const records = 500
		for i := range records {
			r := forged(hostile["a record"])
			if i%2 == 1 {
				r = sample()
				r.Outcome, r.Decision = "rule_denied", "deny"
			}
			r.ID = numbered(i).ID
			l.Record(r)
		}
		l.Close()
		eventually(t, "journald has all", func() bool { return len(entries(t, run, transport)) == records })
		for i, e := range entries(t, run, transport) {
			if want := fmt.Sprint(6 - i%2); e["PRIORITY"] != want || e["SYSLOG_FACILITY"] != "3" {
				t.Fatalf("%s: entry %d is %v", o.Path, i, e)
			}
			var m map[string]any
			if err := json.Unmarshal([]byte(e["MESSAGE"].(string)), &m); err != nil || m["id"] != fmt.Sprintf("%016x", i) {
				t.Fatalf("%s: %v, %v", o.Path, m, err)
			}
		}
	}
	if denied := entries(t, run, "SLUICE_OUTCOME=rule_denied", "SLUICE_CLIENT=192.0.2.7"); len(denied) != 250 {
		t.Errorf("%d entries are found by fields", len(denied))
	}
}
