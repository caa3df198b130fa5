package settings

import (
	"testing"

	"sluice/internal/lab/reference"
)

func TestEachWrongFileGetsItsErrors(t *testing.T) {
	reference.CheckInvalid(t, func(name string, data []byte) (bool, error) {
		c, err := Parse(name, data, Flags{})
		return c != nil, err
	}, "secret", "hunter2")
}
