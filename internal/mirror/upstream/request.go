package upstream

// Identity is in whose name a request is made. The zero value is Anonymous.
type Identity struct {
	own           bool
	authorization string
}

// Anonymous asks as anybody could.
func Anonymous() Identity { return Identity{} }

// Own asks with the mirror's own credentials; as Anonymous where it has none.
func Own() Identity { return Identity{own: true} }

// Client asks with a client's own Authorization header. It goes to the upstream
// as it is, and nowhere else: what the upstream asks for instead is the client's
// business.
func Client(authorization string) Identity { return Identity{authorization: authorization} }

// Request is what to ask of the registry.
type Request struct {
	Method     string // GET or HEAD; "": GET
	Repository string // "" with Path "": the registry itself, /v2/
	Path       string // below the repository: "manifests/latest", "blobs/sha256:…", "tags/list", "referrers/sha256:…"
	Query      string // without "?"
	Accept     []string
	Offset     int64  // bytes to leave out; an answer that begins elsewhere is a NoRange error
	Range      string // a Range header to hand on, if Offset is 0; the answer may be 200 or 206
	As         Identity
}
