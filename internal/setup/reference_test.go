package setup

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// table returns the rows of a section of SETUP.md, by the code in their first cell.
func table(t *testing.T, heading string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("SETUP.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("SETUP.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := make(map[string][]string)
	for line := range strings.Lines(section) {
		if m := regexp.MustCompile("^\\| `([^`]+)` \\|(.*)\\|$").FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			cells := strings.Split(m[2], " | ")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows[m[1]] = cells
		}
	}
	return rows
}

func TestTheReferenceHasEveryClient(t *testing.T) {
	rows := table(t, "Clients")
	for _, c := range Clients() {
		row := rows[c.Name]
		if len(row) != 2 || (row[1] == "yes") != c.TakesSOCKS() {
			t.Errorf("%s is told as %q; it takes SOCKS5: %t", c.Name, row, c.TakesSOCKS())
		}
		delete(rows, c.Name)
	}
	for name := range rows {
		t.Errorf("there is no client %s", name)
	}
}

func TestTheReferenceHasEveryFile(t *testing.T) {
	rows := table(t, "Files")
	used := make(map[string]bool)
	for _, c := range Clients() {
		for _, p := range c.Places {
			for _, f := range p.Files {
				how := "beside"
				if f.Format == Own {
					how = "its own"
				}
				row := rows[f.Path]
				if len(row) != 2 || row[1] != how || !slices.Contains(regexp.MustCompile(`[a-z]+`).FindAllString(row[0], -1), c.Name) {
					t.Errorf("%s of %s (%s) is told as %q", f.Path, c.Name, how, row)
				}
				used[f.Path] = true
			}
		}
	}
	for path := range rows {
		if !used[path] {
			t.Errorf("no client has %s", path)
		}
	}
}

func TestTheReferenceHasWhatIsAlwaysExempt(t *testing.T) {
	text, err := os.ReadFile("SETUP.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range slices.Concat(Options{}.always(), private(), []string{DefaultPods, DefaultServices, backupSuffix("CLIENT")}) {
		if !strings.Contains(string(text), entry) {
			t.Errorf("SETUP.md does not name %s", entry)
		}
	}
}
