//go:build unix

package console

import (
	"testing"

	"sluice/internal/lab/endpoints"
)

func TestTheReferenceHasEveryEndpoint(t *testing.T) {
	endpoints.CheckRoutes(t, "CONSOLE.md", newMirror(t).handler.routes(), endpoints.InATable)
}

func TestTheReferenceHasEveryStatus(t *testing.T) {
	endpoints.CheckStatuses(t, "CONSOLE.md", nil, ".", "../../admin/site")
}
