//go:build unix

package console

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

func names(list []Repository) string {
	var text []string
	for _, r := range list {
		text = append(text, r.Registry+"/"+r.Repository)
	}
	return strings.Join(text, " ")
}

func TestWhatIsCachedIsListedByRepositoryAndTag(t *testing.T) {
	m := newMirror(t)
	m.image("docker.io/library/alpine", "3.22", 1000, "a")
	m.image("docker.io/library/alpine", "latest", 2000, "b")
	manifest, _ := m.image("ghcr.io/acme/tool", "v1", 2000, "c") // the same layer
	list := get[Repositories](m, "/cache/repositories")
	if list.Total != 2 || names(list.Repositories) != "ghcr.io/acme/tool docker.io/library/alpine" {
		t.Fatalf("%+v", list)
	}
	tool, alpine := list.Repositories[0], list.Repositories[1]
	if tool.Contents != 3 || tool.Shared != 2000 || tool.TagCount != 1 || tool.LastUsed.IsZero() {
		t.Errorf("%+v", tool)
	}
	if tag := tool.Tags[0]; tag.Name != "v1" || tag.Digest != manifest || tag.Size != tool.Size {
		t.Errorf("%+v of %d bytes", tag, tool.Size)
	}
	if alpine.Contents != 6 || len(alpine.Tags) != 2 || alpine.Tags[0].Name != "3.22" || alpine.Tags[0].Size+alpine.Tags[1].Size != alpine.Size {
		t.Errorf("%+v", alpine)
	}
	if list := get[Repositories](m, "/cache/repositories?registry=docker.io"); names(list.Repositories) != "docker.io/library/alpine" {
		t.Errorf("%+v", list)
	}
	if list := get[Repositories](m, "/cache/repositories?limit=1"); list.Total != 2 || len(list.Repositories) != 1 {
		t.Errorf("%+v", list)
	}
}

func TestAnIndexCountsWhatIsKeptOfIt(t *testing.T) {
	m := newMirror(t)
	manifest, _ := m.image("docker.io/library/alpine", "amd64", 5000, "a")
	one := get[Repositories](m, "/cache/repositories").Repositories[0].Tags[0].Size
	missing := oci.FromBytes([]byte("the manifest of another platform"))
	body := fmt.Appendf(nil, `{"mediaType":%q,"manifests":[{"digest":%q,"size":1},{"digest":%q,"size":700},{"digest":%q,"size":1}]}`, oci.TypeIndex, manifest, missing, manifest)
	r := oci.Repository{Registry: "docker.io", Name: "library/alpine"}
	index := m.put(r, body, oci.TypeIndex)
	if err := m.store.SetTag(r, "3", store.Tag{Digest: index, MediaType: oci.TypeIndex}); err != nil {
		t.Fatal(err)
	}
	m.handler.listing.forget()
	tags := get[Repositories](m, "/cache/repositories").Repositories[0].Tags
	if tags[0].Name != "3" || tags[0].Size != one+int64(len(body)) {
		t.Errorf("%+v, and the manifest of the one platform has %d", tags, one)
	}
}

func TestTheListOfContentsIsReadInParts(t *testing.T) {
	m := newMirror(t)
	for i := range 7 {
		m.image("docker.io/library/alpine", fmt.Sprint("t", i), 100+i, fmt.Sprint(i))
	}
	_, layer := m.image("ghcr.io/acme/tool", "v1", 100, "other")
	all := get[Items](m, "/cache")
	if all.Total != 7*3+2 || len(all.Items) != all.Total || all.After != "" {
		t.Fatalf("%d of %d", len(all.Items), all.Total)
	}
	var parts []Item
	for path := "/cache?limit=4"; ; {
		part := get[Items](m, path)
		parts = append(parts, part.Items...)
		if part.After == "" {
			break
		}
		path = "/cache?limit=4&after=" + part.After
	}
	if d := cmp.Diff(all.Items, parts); d != "" {
		t.Error(d)
	}
	one := get[Items](m, "/cache?digest="+string(layer))
	if one.Total != 1 || strings.Join(one.Items[0].Repositories, " ") != "docker.io/library/alpine ghcr.io/acme/tool" || one.Items[0].Size != 100 || one.Items[0].Kind != store.KindBlob {
		t.Errorf("%+v", one)
	}
	if own := get[Items](m, "/cache?repository=ghcr.io/acme/tool"); own.Total != 3 {
		t.Errorf("%+v", own)
	}
	if own := get[Items](m, "/cache?registry=GHCR.io"); own.Total != 3 {
		t.Errorf("%+v", own)
	}
}

func TestWhatIsRemovedIsGoneAndWhatOthersHoldStays(t *testing.T) {
	m := newMirror(t)
	m.image("docker.io/library/alpine", "3.22", 2000, "a")
	m.image("docker.io/library/debian", "13", 3000, "b")
	_, shared := m.image("ghcr.io/acme/tool", "v1", 2000, "c")
	order := func(path string) Freed {
		t.Helper()
		status, body := m.ask("POST", path)
		var freed Freed
		if err := json.Unmarshal([]byte(body), &freed); err != nil || status != 200 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		return freed
	}
	if f := order("/cache/remove?repository=ghcr.io/acme/tool"); f.Files != 2 || f.Bytes == 0 {
		t.Errorf("%+v", f)
	}
	if list := get[Repositories](m, "/cache/repositories"); names(list.Repositories) != "docker.io/library/alpine docker.io/library/debian" {
		t.Errorf("%+v", list)
	}
	if f := order("/cache/remove?digest=" + string(shared)); f != (Freed{1, 2000}) {
		t.Errorf("%+v", f)
	}
	if f := order("/cache/remove?registry=docker.io"); f.Files != 5 {
		t.Errorf("%+v", f)
	}
	if s := m.store.Stats(); s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
	for _, path := range []string{"?registry=docker.io", "?repository=ghcr.io/acme/tool", "?digest=" + string(shared)} {
		if status, body := m.ask("POST", "/cache/remove"+path); status != 404 {
			t.Errorf("%s once more: %d %s", path, status, body)
		}
	}
}

func TestThePruneGoesByLastUse(t *testing.T) {
	m := newMirror(t)
	m.image("docker.io/library/old", "1", 5000, "a")
	time.Sleep(10 * time.Millisecond)
	m.image("docker.io/library/young", "1", 6000, "b")
	if status, body := m.ask("POST", "/cache/prune?to=7kB"); status != 200 || !strings.Contains(body, `"files":`) {
		t.Fatalf("%d %s", status, body)
	}
	if list := get[Repositories](m, "/cache/repositories"); m.store.Stats().Bytes > 7000 || !strings.Contains(names(list.Repositories), "young") {
		t.Errorf("%+v", list)
	}
	if status, body := m.ask("POST", "/cache/prune?to=0"); status != 200 || m.store.Stats().Bytes != 0 {
		t.Errorf("%d %s", status, body)
	}
}

// verification returns the lines of one.
func (m *mirror) verification(query string) (list []Checked) {
	m.t.Helper()
	resp, err := http.Post(m.URL+"/cache/verify"+query, "", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var line Checked
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			m.t.Fatalf("%v in %s", err, lines.Bytes())
		}
		list = append(list, line)
	}
	if err := lines.Err(); err != nil {
		m.t.Fatal(err)
	}
	return list
}

func TestAVerificationFindsWhatIsDamagedAndRemovesIt(t *testing.T) {
	m := newMirror(t)
	_, layer := m.image("docker.io/library/alpine", "3.22", 2000, "a")
	m.image("docker.io/library/debian", "13", 3000, "b")
	m.damage(layer)
	list := m.verification("")
	last := list[len(list)-1]
	if last.Done == nil || last.Done.Contents != 6 || last.Done.Failed != 1 || last.Done.Error != "" || len(list) != 7 {
		t.Fatalf("%+v", list)
	}
	for _, line := range list[:6] {
		if (line.Error != "") != (line.Digest == layer) {
			t.Errorf("%+v", line)
		}
	}
	if _, err := os.Stat(m.path(layer)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the damaged file is still there")
	}
	if again := m.verification("?rate=unlimited"); again[len(again)-1].Done.Failed != 0 || len(again) != 6 {
		t.Errorf("%+v", again)
	}
}

func TestAVerificationLeavesTheDiskToPulls(t *testing.T) {
	m := newMirror(t)
	for i := range 5 {
		m.put(oci.Repository{Registry: "docker.io", Name: "library/alpine"}, []byte(strings.Repeat(fmt.Sprint(i), 100_000)), "")
	}
	begin := time.Now()
	if list := m.verification("?rate=1MB/s"); len(list) != 6 {
		t.Errorf("%+v", list)
	}
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("500 kB at 1 MB/s took %v", took)
	}
}

func TestOneVerificationGoesOnAtATimeAndEndsWithItsClientOrTheMirror(t *testing.T) {
	m := newMirror(t)
	for i := range 3 {
		m.put(oci.Repository{Registry: "docker.io", Name: "library/alpine"}, []byte(strings.Repeat(fmt.Sprint(i), 50_000)), "")
	}
	slow := func() *http.Response {
		t.Helper()
		for {
			resp, err := http.Post(m.URL+"/cache/verify?rate=1kB/s", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode == 200 {
				return resp
			}
			resp.Body.Close() // the one before takes a moment to end
			time.Sleep(5 * time.Millisecond)
		}
	}
	first := slow()
	if line, err := bufio.NewReader(first.Body).ReadString('\n'); err != nil || !strings.Contains(line, "sha256:") {
		t.Fatalf("%q, %v", line, err)
	}
	if status, body := m.ask("POST", "/cache/verify"); status != 409 || !strings.Contains(body, "under way") {
		t.Errorf("a second: %d %s", status, body)
	}
	first.Body.Close()
	second := slow()
	defer second.Body.Close()
	lines := bufio.NewScanner(second.Body)
	lines.Scan()
	go m.handler.Close()
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"error":"the mirror has stopped"`) {
		t.Errorf("it ends with %q", last)
	}
}
