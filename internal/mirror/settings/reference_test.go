package settings

import (
	"reflect"
	"strings"
	"testing"

	"sluice/internal/lab/reference"
)

func TestTheReferenceHasEveryKeyAndNoOther(t *testing.T) {
	reference.Read(t, "MIRROR.md").CheckKeys(t, reflect.TypeFor[file]())
}

func TestTheReferenceHasEveryFlagAndNoOther(t *testing.T) {
	reference.Read(t, "MIRROR.md").CheckFlags(t, reflect.TypeFor[Flags]())
}

func TestTheExamplesOfTheReferenceAreValid(t *testing.T) {
	examples := reference.Read(t, "MIRROR.md").Examples()
	if len(examples) < 10 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, text := range examples {
		c, err := Parse("example", []byte(text), Flags{})
		if err != nil {
			t.Errorf("%v in:\n%s", err, text)
			continue
		}
		for _, w := range warnings(c) {
			if !strings.Contains(w, "there is no rule") && !strings.Contains(w, "cannot be read") {
				t.Errorf("%s in:\n%s", w, text)
			}
		}
	}
}

func TestTheTagsAreValid(t *testing.T) { reference.CheckTags(t, reflect.TypeFor[file]()) }
