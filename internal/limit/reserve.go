package limit

// The last of the places that all clients share are for those who have few: who
// takes many takes them from the others, never the last.
const (
	reserveShare = 10 // one place in ten
	mostFew      = 16 // a pull of a container image takes a dozen tunnels
	inReserve    = 4  // clients that find the whole of their few there, at least
)

// Few returns the number of places that a client must have fewer of to get one
// more, when used of total are taken. 0 is no such bound: there are places outside
// the reserve.
func Few(used, total int) int {
	reserve := total / reserveShare
	if total-used > reserve {
		return 0
	}
	return min(max(1, reserve/inReserve), mostFew)
}
