package lab

import (
	"os/exec"
	"strings"
	"testing"
)

func TestWhatFailedIsSaidInFewLines(t *testing.T) {
	Need(t, Needs{Programs: []string{"awk"}})
	awk := exec.Command("awk", "-f", "failed.awk")
	awk.Stdin = strings.NewReader(strings.Join([]string{
		"=== RUN   TestFine", "    fine_test.go:1: nothing to see", "--- PASS: TestFine (0.00s)",
		"PASS", "ok  \tsluice/fine\t0.1s",
		"=== RUN   TestTable", "=== RUN   TestTable/good", "    t_test.go:2: a remark",
		"=== RUN   TestTable/bad", "    t_test.go:3: first", "        and more of it", "    t_test.go:3: second",
		"    t_test.go:3: third", "    t_test.go:3: fourth", "    t_test.go:3: fifth",
		"--- FAIL: TestTable (0.00s)", "    --- PASS: TestTable/good (0.00s)", "    --- FAIL: TestTable/bad (0.00s)",
		"FAIL", "FAIL\tsluice/table\t0.2s",
		"=== RUN   TestNone", "--- PASS: TestNone (0.00s)",
		"PASS", "goleak: Errors on successful test run: found unexpected goroutines:", "FAIL\tsluice/leak\t0.3s",
		"FAIL",
	}, "\n"))
	got, err := awk.CombinedOutput()
	want := strings.Join([]string{
		"FAIL\tsluice/table\t0.2s",
		"  TestTable",
		"  TestTable/bad",
		"        t_test.go:3: first",
		"        t_test.go:3: second",
		"        t_test.go:3: third",
		"        t_test.go:3: fifth",
		"FAIL\tsluice/leak\t0.3s",
		"    goleak: Errors on successful test run: found unexpected goroutines:",
		"",
	}, "\n")
	if err != nil || string(got) != want {
		t.Errorf("%v, and said\n%s, want\n%s", err, got, want)
	}
}
