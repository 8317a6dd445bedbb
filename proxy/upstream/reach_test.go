package upstream_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// forbidden are addresses that restricted backends must not reach.
var forbidden = []string{
	"127.0.0.1", "127.8.9.10", "::1", // loopback
	"0.0.0.0", "0.1.2.3", "::", // unspecified
	"169.254.169.254", "fe80::1", "febf::1", // link-local
	"224.0.0.1", "255.255.255.255", "ff02::1", // multicast and broadcast
	"10.9.9.9", "10.9.9.8", "2001:db8::9", "fd00::9", // own
	"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.9.9.9", // IPv4-mapped
	"::127.0.0.1", "::ffff:0:127.0.0.1", // IPv4-compatible, IPv4-translated
	"64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.9.9.9", "64:ff9b:1::7f00:1", // NAT64
	"fd00:ec2::254", "100.100.100.200", "::ffff:168.63.129.16", // what clouds tell their nodes
	"2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:a09:909::1", // 6to4
}

// allowed are some that they may reach.
var allowed = []string{
	"10.0.0.5", "192.168.1.1", "172.16.0.1", "100.64.0.1", "8.8.8.8", "169.253.0.1", "128.0.0.1",
	"2001:db8::1", "fd00::1", "fec0::1", "::ffff:10.0.0.5", "64:ff9b::8.8.8.8", "2002:808:808::1", "64:ff9b:2::7f00:1",
}

// restrict puts a restricted backend in force.
func (w *world) restrict(name string, endpoints ...config.Endpoint) *upstream.Backend {
	w.backends.Apply(&config.Delta{Backends: []*config.Backend{{
		Name: name, Protocol: config.AppHTTP, Endpoints: endpoints, Restricted: true,
	}}})
	return w.backends.Backend(name)
}

func at(address string) string {
	return netip.AddrPortFrom(netip.MustParseAddr(address), 80).String()
}

// An address that must not be reached is no endpoint, and neither is a socket.
func TestRestrictedBackendsHaveNoForbiddenEndpoints(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, address := range forbidden {
			if _, _, err := w.get(w.restrict("b", endpoint(at(address)))); err != upstream.ErrNoEndpoints {
				t.Errorf("%s: %v", address, err)
			}
		}
		if _, _, err := w.get(w.restrict("b", config.Endpoint{Unix: "/run/a.sock", Ready: true})); err != upstream.ErrNoEndpoints {
			t.Errorf("unix: %v", err)
		}
		if dials := w.net.dials(); len(dials) > 0 {
			t.Errorf("dialled %v", dials)
		}
		if lines := w.log.all(); len(lines) != len(forbidden)+1 {
			t.Errorf("the log has %d lines", len(lines))
		}
		for _, address := range allowed {
			w.get(w.restrict("b", endpoint(at(address))))
			if dials := w.net.dials(); !slices.Equal(dials, []string{at(address)}) {
				t.Errorf("%s: dialled %v", address, dials)
			}
		}
	})
}

// A name is followed to no address that must not be reached.
func TestRestrictedBackendsFollowNoForbiddenName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i, address := range forbidden {
			host := string(rune('a'+i)) + ".example"
			w.resolver.answer(host, time.Minute, address)
			b := w.restrict("b", endpoint(host+":80"))
			if _, _, err := w.get(b); upstream.Reason(err) != "forbidden" {
				t.Errorf("%s: %v", address, err)
			}
			if dials := w.net.dials(); len(dials) > 0 {
				t.Errorf("%s: dialled %v", address, dials)
			}
			w.resolver.answer("mixed-"+host, time.Minute, address, "10.0.0.5", address)
			w.get(w.restrict("b", endpoint("mixed-"+host+":80")))
			if dials := w.net.dials(); !slices.Equal(dials, []string{"10.0.0.5:80"}) {
				t.Errorf("%s and another: dialled %v", address, dials)
			}
		}
	})
}

// A name that led elsewhere when it was looked up first (DNS rebinding) is
// looked at again, and connections to where it led are not used any more.
func TestRestrictedBackendsAreNotRebound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.origin("10.0.0.5:80")
		w.origin("127.0.0.1:80")
		w.resolver.answer("evil.example", time.Second, "10.0.0.5")
		b := w.restrict("b", endpoint("evil.example:80"))
		c, _ := w.mustGet(b)
		w.put(c)
		w.resolver.answer("evil.example", time.Second, "127.0.0.1")
		time.Sleep(2 * time.Second)
		w.net.dials()
		if _, _, err := w.get(b); upstream.Reason(err) != "forbidden" {
			t.Errorf("got %v", err)
		}
		if dials := w.net.dials(); len(dials) > 0 {
			t.Errorf("dialled %v", dials)
		}
	})
}

// What was connected to without a restriction is not kept under one.
func TestRestrictionsEndConnections(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("127.0.0.1:80")
		w.resolver.answer("local.example", time.Hour, "127.0.0.1")
		c, _ := w.mustGet(w.set("b", endpoint("local.example:80")))
		w.put(c)
		b := w.restrict("b", endpoint("local.example:80"))
		if n := o.open(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		if _, _, err := w.get(b); upstream.Reason(err) != "forbidden" || !errors.As(err, new(*upstream.ConnectError)) {
			t.Errorf("got %v", err)
		}
		if _, _, err := w.get(w.set("b", endpoint("local.example:80"))); err != nil {
			t.Errorf("without the restriction: %v", err)
		}
	})
}

// An address that the host has got since the start is found out by connecting.
func TestRestrictedBackendsDoNotReachNewAddresses(t *testing.T) {
	host := hostAddress(t)
	onEachEngine(t, func(t *testing.T, w *world) {
		l, _ := listen(t, "tcp", net.JoinHostPort(host, "0"))
		if _, _, err := w.get(w.restrict("b", endpoint(l.Addr().String()))); upstream.Reason(err) != "forbidden" {
			t.Errorf("%s: %v", host, err)
		}
		if _, _, err := w.get(w.set("b", endpoint(l.Addr().String()))); err != nil {
			t.Errorf("without the restriction: %v", err)
		}
	})
}

// hostAddress is one of this machine that is no special one.
func hostAddress(t *testing.T) (host string) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; ip.IsGlobalUnicast() {
			host = ip.String()
		}
	}
	if host == "" {
		t.Skip("this machine has no address but loopback and link-local ones")
	}
	return host
}
