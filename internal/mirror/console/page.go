package console

import (
	"embed"
	"net/http"

	"sluice/internal/admin/pages"
)

//go:embed assets
var assets embed.FS

// newPage returns the page, which is static files; all that it shows it gets from the
// endpoints beside it. Names of repositories, tags and users, and what upstreams say,
// are chosen by others, and go into it as text.
func newPage() http.Handler { return pages.Handler(assets) }
