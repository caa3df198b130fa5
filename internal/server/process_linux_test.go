package server

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDescriptorLimitIsRaisedToTheHardOne runs itself as another process, for
// the limit belongs to a process.
func TestDescriptorLimitIsRaisedToTheHardOne(t *testing.T) {
	if os.Getenv("SERVER_TEST_PROCESS") != "" {
		p := inspectProcess()
		fmt.Printf("descriptors=%d warnings=%q\n", p.descriptors, p.warnings)
		return
	}
	cmd := exec.Command("sh", "-c", `ulimit -Sn 128; ulimit -Hn 1024; exec "$@"`, "sh", os.Args[0], "-test.run=^TestDescriptorLimitIsRaisedToTheHardOne$", "-test.v")
	cmd.Env = append(os.Environ(), "SERVER_TEST_PROCESS=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "descriptors=1024 ") || !strings.Contains(string(out), "RLIMIT_NOFILE is 1024") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFewPipesAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		pages int
		warn  bool
	}{{16384, false}, {0, false}, {16383, true}, {1024, true}} {
		got := fewPipes(c.pages, 4096)
		if (got != "") != c.warn {
			t.Errorf("%d pages: %q", c.pages, got)
		}
	}
	if got := fewPipes(1024, 4096); !strings.Contains(got, "enough for 4 pipes") || !strings.Contains(got, "raise it to 16384") {
		t.Error(got)
	}
}
