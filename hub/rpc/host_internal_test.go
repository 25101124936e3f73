package rpc

import (
	"net"
	"testing"
)

type from struct {
	net.Conn
	address net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.address }

// Whoever has a network of IPv6, as every machine has, is one address, whichever of its
// own it calls from.
func TestAddressesAreCountedByWhoHasThem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ ip, zone, want string }{
		{"192.0.2.1", "", "192.0.2.1"},
		{"::ffff:192.0.2.1", "", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::1", "", "2001:db8:1:2::/64"},
		{"2001:db8:1:3::1", "", "2001:db8:1:3::/64"},
		{"fe80::1", "eth0", "fe80::/64"},
		{"::1", "", "::/64"},
	} {
		if got := hostOf(from{address: &net.TCPAddr{IP: net.ParseIP(tc.ip), Zone: tc.zone, Port: 1234}}); got != tc.want {
			t.Errorf("%s counts as %s; want %s", tc.ip, got, tc.want)
		}
	}
	if got := hostOf(from{address: &net.UnixAddr{Name: "socket"}}); got != "socket" {
		t.Errorf("what is no address counts as %q", got)
	}
}
