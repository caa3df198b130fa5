package front

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sluice/internal/mirror/oci"
)

// origin is a registry that the mirror pulls from, in memory: it has what is put in,
// and fails as it is told to.
type origin struct {
	*httptest.Server

	mu    sync.Mutex
	repos map[string]*repo
	asked []string // method and path with query, of each request
	fail  func(w http.ResponseWriter, r *http.Request) bool
}

// repo is one of its repositories.
type repo struct {
	blobs     map[oci.Digest][]byte
	manifests map[oci.Digest]item
	tags      map[string]oci.Digest
	referrers map[oci.Digest][]map[string]any // descriptors; nil: there is no such list
	filters   bool                            // the list of referrers is filtered by the registry
	password  string                          // for a token to pull; "": public
	page      int                             // tags of one page of their list; 0: all
	old       bool                            // the list of tags knows neither n nor last
}

type item struct {
	mediaType string
	body      []byte
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{repos: make(map[string]*repo)}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// repo returns a repository, made if it is not there.
func (o *origin) repo(name string) *repo {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.repos[name] == nil {
		o.repos[name] = &repo{blobs: map[oci.Digest][]byte{}, manifests: map[oci.Digest]item{}, tags: map[string]oci.Digest{}}
	}
	return o.repos[name]
}

func (r *repo) blob(content []byte) oci.Digest {
	d := oci.FromBytes(content)
	r.blobs[d] = content
	return d
}

func (r *repo) manifest(mediaType, tag string, body []byte) oci.Digest {
	d := oci.FromBytes(body)
	r.manifests[d] = item{mediaType, body}
	if tag != "" {
		r.tags[tag] = d
	}
	return d
}

// image puts one of a single layer under a tag.
func (r *repo) image(tag string, layer []byte) (manifest, blob oci.Digest) {
	blob, config := r.blob(layer), r.blob([]byte(`{"tag":"`+tag+`"}`))
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		oci.TypeManifest, config, len(r.blobs[config]), blob, len(layer))
	return r.manifest(oci.TypeManifest, tag, []byte(body)), blob
}

// failing makes each request that f answers fail; nil ends that.
func (o *origin) failing(f func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = f
}

// answering is a failure with a status.
func answering(status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// requests returns what was asked for since the last call.
func (o *origin) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.asked
	o.asked = nil
	return list
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked = append(o.asked, r.Method+" "+r.URL.RequestURI())
	fail := o.fail
	o.mu.Unlock()
	if fail != nil && fail(w, r) {
		return
	}
	if r.URL.Path == "/token" {
		o.token(w, r)
		return
	}
	parsed, err := parseRoute(r.URL.EscapedPath())
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	o.mu.Lock()
	have := o.repos[parsed.name]
	o.mu.Unlock()
	switch {
	case parsed.name == "":
		w.WriteHeader(http.StatusOK)
	case have == nil:
		w.WriteHeader(http.StatusNotFound)
	case have.password != "" && r.Header.Get("Authorization") != "Bearer "+have.password:
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="origin",scope="repository:%s:pull"`, o.URL, parsed.name))
		w.WriteHeader(http.StatusUnauthorized)
	default:
		have.answer(w, r, parsed)
	}
}

// token gives one out, which is the password that it was asked with, or none that is
// good for anything.
func (o *origin) token(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	if password == "" {
		password = "anonymous"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": password, "expires_in": 60})
}

func (r *repo) answer(w http.ResponseWriter, req *http.Request, what route) {
	tail := req.URL.Path[strings.LastIndex(req.URL.Path, what.name)+len(what.name):]
	switch {
	case strings.HasPrefix(tail, "/manifests/"):
		d := what.ref.Digest
		if what.ref.Tag != "" {
			d = r.tags[what.ref.Tag]
		}
		m, ok := r.manifests[d]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", m.mediaType)
		w.Header().Set("Docker-Content-Digest", string(d))
		w.Header().Set("Content-Length", strconv.Itoa(len(m.body)))
		if req.Method != http.MethodHead {
			w.Write(m.body)
		}
	case strings.HasPrefix(tail, "/blobs/"):
		content, ok := r.blobs[what.ref.Digest]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, req, "", zeroTime, bytes.NewReader(content))
	case tail == "/tags/list":
		r.list(w, req, what.name)
	default:
		r.refer(w, req, what.ref.Digest)
	}
}

func (r *repo) list(w http.ResponseWriter, req *http.Request, name string) {
	tags := make([]string, 0, len(r.tags))
	for t := range r.tags {
		tags = append(tags, t)
	}
	slices.Sort(tags)
	if r.old {
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "tags": tags})
		return
	}
	if last := req.URL.Query().Get("last"); last != "" {
		tags = slices.DeleteFunc(tags, func(s string) bool { return s <= last })
	}
	n, err := strconv.Atoi(req.URL.Query().Get("n"))
	if err != nil {
		n = len(tags)
	}
	if r.page > 0 {
		n = min(n, r.page)
	}
	if n > 0 && n < len(tags) {
		tags = tags[:n]
		w.Header().Set("Link", fmt.Sprintf(`<http://%s/v2/%s/tags/list?n=%d&last=%s>; rel="next"`, req.Host, name, n, tags[n-1]))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "tags": tags})
}

func (r *repo) refer(w http.ResponseWriter, req *http.Request, subject oci.Digest) {
	if r.referrers == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	list := r.referrers[subject]
	if wanted := req.URL.Query().Get("artifactType"); wanted != "" && r.filters {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		list = slices.DeleteFunc(slices.Clone(list), func(d map[string]any) bool { return d["artifactType"] != wanted })
	}
	w.Header().Set("Content-Type", oci.TypeIndex)
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": list})
}
