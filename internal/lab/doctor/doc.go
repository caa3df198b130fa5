// Package doctor runs `sluice doctor` on hosts of the lab: blocked ones, ones that
// are lied to, and ones where all is well. Its tests are all there is of it.
package doctor
