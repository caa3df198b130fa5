package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// here tells whether this host answers for an address: one of its interfaces has
// it, or a route of type local leads there, as agents of clouds and load
// balancers set them for whole ranges (ip-route(8)). Where netlink is shut, as in
// some sandboxes, an address counts that the host takes as source towards itself;
// then IPv6 routes of type local are not seen. Without a socket to ask with it says yes:
// the dial that follows may find one that has become free meanwhile.
func here(a netip.Addr) bool {
	kind, err := routeType(a)
	if err != nil {
		src, err := source(a)
		return err == nil && src == a || outOfSockets(err)
	}
	return kind == unix.RTN_LOCAL || kind == unix.RTN_ANYCAST
}

// routeType asks the kernel which type of route a packet to an address would take
// (rtnetlink(7), RTM_GETROUTE). Without any it is RTN_UNREACHABLE.
func routeType(a netip.Addr) (kind byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, routeQuestion(a), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for the route to %s: %w", a, err)
	}
	// The kernel has answered before sendto returns.
	var buf [4096]byte
	n, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_DONTWAIT)
	if err != nil {
		return 0, fmt.Errorf("route to %s: %w", a, err)
	}
	return routeAnswer(buf[:n])
}

// routeQuestion is an nlmsghdr, an rtmsg, and the address as RTA_DST.
func routeQuestion(a netip.Addr) []byte {
	family, addr := byte(unix.AF_INET), a.AsSlice()
	if a.Is6() {
		family = unix.AF_INET6
	}
	const attr = unix.SizeofNlMsghdr + unix.SizeofRtMsg
	b := make([]byte, attr+unix.SizeofRtAttr, attr+unix.SizeofRtAttr+len(addr))
	b = append(b, addr...)
	native := binary.NativeEndian
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], unix.RTM_GETROUTE)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b[unix.SizeofNlMsghdr] = family
	b[unix.SizeofNlMsghdr+1] = byte(a.BitLen())
	native.PutUint16(b[attr:], uint16(unix.SizeofRtAttr+len(addr)))
	native.PutUint16(b[attr+2:], unix.RTA_DST)
	return b
}

var errShortAnswer = errors.New("a netlink answer that is too short")

// routeAnswer returns the rtm_type of an answer, which is the eighth byte of its
// rtmsg. Errors mean that no route leads there.
func routeAnswer(b []byte) (kind byte, err error) {
	const code = unix.SizeofNlMsghdr // of nlmsgerr
	if len(b) < unix.SizeofNlMsghdr+unix.SizeofRtMsg {
		return 0, errShortAnswer
	}
	if binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return b[unix.SizeofNlMsghdr+7], nil
	}
	switch e := unix.Errno(-int32(binary.NativeEndian.Uint32(b[code:]))); e {
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL, unix.ENETDOWN, unix.ENODEV:
		return unix.RTN_UNREACHABLE, nil
	default:
		return 0, fmt.Errorf("netlink: %w", e)
	}
}
