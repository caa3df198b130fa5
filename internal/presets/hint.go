package presets

import (
	"fmt"
	"slices"
	"strings"
)

// Hint says which preset would let a client reach a host (spelled as for [For])
// that its rules do not name, to stand behind the reason of the refusal; "" when
// none would. reached, if not nil, returns the host of a preset that redirects and
// that the client has reached within the last minute, or "". Broad presets, which
// open far more than the one host, are named only where the client has been there.
func Hint(host string, port uint16, reached func(preset string) (registry string)) string {
	names := For(host)
	if len(names) == 0 || port != 80 && port != 443 { // the ports of a rule that names none
		return ""
	}
	registry, from := "", ""
	for i := 0; reached != nil && registry == "" && i < len(names); i++ {
		from = names[i]
		registry = reached(from)
	}
	narrow := names
	if i := slices.IndexFunc(names, broad); i >= 0 {
		narrow = names[:i]
	}
	hint := ""
	switch {
	case len(narrow) == 1:
		hint = fmt.Sprintf("preset @%s has it", narrow[0])
	case len(narrow) > 1:
		hint = fmt.Sprintf("presets @%s have it", strings.Join(narrow, " and @"))
	case registry == "":
		return ""
	default:
		hint = fmt.Sprintf("broad preset @%s has it", from)
	}
	if registry != "" {
		hint += fmt.Sprintf(", and %s, which this client reached within the last minute, may have redirected it there", registry)
	}
	return hint
}
