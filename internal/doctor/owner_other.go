//go:build !linux

package doctor

// trusted is not asked where there is no proc.
func trusted(string) bool { return true }
