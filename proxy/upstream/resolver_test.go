package upstream_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sluicegateway/sluice/proxy/upstream"
)

func TestSystemResolverHostsFile(t *testing.T) {
	const hosts = `
127.0.0.1 localhost
# 10.0.0.9 commented.example
10.0.0.1  Shop.Example shop   # the shop
fd00::1	shop.example.
10.0.0.3 exact

not-an-address other.example
10.0.0.4
`
	for _, test := range []struct{ host, want string }{
		{"shop.example", "10.0.0.1 fd00::1"},
		{"SHOP.example.", "10.0.0.1 fd00::1"},
		{"shop", "10.0.0.1"},
		{"localhost", "127.0.0.1"},
		{"api.localhost", "::1 127.0.0.1"},
	} {
		r := testResolver(t, hosts, "nameserver 127.0.0.1", "1")
		answer, err := r.Resolve(t.Context(), test.host)
		if err != nil || text(answer.Addrs) != test.want {
			t.Errorf("%s: got %v, %v, want %s", test.host, answer.Addrs, err, test.want)
		}
	}
}

// RFC 6761 section 6.3: localhost is the loopback, whatever name servers say.
func TestSystemResolverLocalhostWithoutHostsFile(t *testing.T) {
	r := upstream.SystemResolver{HostsFile: filepath.Join(t.TempDir(), "none")}
	answer, err := r.Resolve(t.Context(), "localhost")
	if err != nil || text(answer.Addrs) != "::1 127.0.0.1" {
		t.Errorf("got %v, %v", answer.Addrs, err)
	}
}

func TestSystemResolverNameServer(t *testing.T) {
	zone := zone{
		"both.example.": {
			"both.example. 300 IN A 10.0.0.1",
			"both.example. 20 IN AAAA fd00::1",
		},
		"four.example.": {"four.example. 30 IN A 10.0.0.1", "four.example. 30 IN A 10.0.0.2"},
		"alias.example.": {
			"alias.example. 7 IN CNAME four.example.",
			"four.example. 30 IN A 10.0.0.1",
		},
		"empty.example.":         {"empty.example. 30 IN TXT nothing"},
		"web.default.svc.local.": {"web.default.svc.local. 5 IN A 10.0.0.5"},
		"broken.example.":        {"broken.example. 5 IN A 10.0.0.6"},
		"six-fails.example.":     {"six-fails.example. 60 IN A 10.0.0.7"},
		"large.example.":         {"large.example. 9 IN A 10.0.0.8"},
	}
	port := serveDNS(t, zone)
	conf := "nameserver 127.0.0.1\nsearch svc.local\noptions ndots:2 timeout:1 attempts:1\n"
	for _, test := range []struct {
		host, want string
		ttl        time.Duration
		err        string
	}{
		{host: "both.example", want: "10.0.0.1 fd00::1", ttl: 20 * time.Second},
		{host: "four.example", want: "10.0.0.1 10.0.0.2", ttl: 30 * time.Second},
		{host: "alias.example", want: "10.0.0.1", ttl: 7 * time.Second},
		{host: "web.default", want: "10.0.0.5", ttl: 5 * time.Second},
		{host: "large.example", want: "10.0.0.8", ttl: 9 * time.Second},
		{host: "six-fails.example", want: "10.0.0.7", ttl: 5 * time.Second},
		{host: "empty.example", err: "the name has no address"},
		{host: "absent.example", err: "the name has no address"},
		{host: "broken.example", err: "name server 127.0.0.1: answered SERVFAIL"},
	} {
		t.Run(test.host, func(t *testing.T) {
			answer, err := testResolver(t, "", conf, port).Resolve(t.Context(), test.host)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v, %v, want an error with %q", answer, err, test.err)
				}
				return
			}
			if err != nil || text(answer.Addrs) != test.want || answer.TTL != test.ttl {
				t.Errorf("got %v, %v, want %s for %v", answer, err, test.want, test.ttl)
			}
		})
	}
}

func TestSystemResolverAsksTheNextServer(t *testing.T) {
	port := serveDNS(t, zone{"a.example.": {"a.example. 5 IN A 10.0.0.1"}})
	// Nothing listens on 127.0.0.2.
	conf := "nameserver 127.0.0.2\nnameserver 127.0.0.1\noptions timeout:1\n"
	answer, err := testResolver(t, "", conf, port).Resolve(t.Context(), "a.example")
	if err != nil || text(answer.Addrs) != "10.0.0.1" {
		t.Errorf("got %v, %v", answer, err)
	}
}

// "search ." names the root, which stands behind every full name already.
func TestSystemResolverSearchesNotTheRoot(t *testing.T) {
	port := serveDNS(t, zone{})
	conf := "nameserver 127.0.0.1\nsearch .\noptions timeout:1 attempts:1\n"
	_, err := testResolver(t, "", conf, port).Resolve(t.Context(), "absent.example")
	if err == nil || !strings.Contains(err.Error(), "the name has no address") {
		t.Errorf("got %v, want that the name has no address", err)
	}
}

// resolv.conf(5) caps both options.
func TestSystemResolverLargeOptions(t *testing.T) {
	port := serveDNS(t, zone{"a.example.": {"a.example. 5 IN A 10.0.0.1"}, "broken.example.": nil})
	conf := "nameserver 127.0.0.1\noptions timeout:9223372037 attempts:1000000000\n"
	r := testResolver(t, "", conf, port)
	answer, err := r.Resolve(t.Context(), "a.example")
	if err != nil || text(answer.Addrs) != "10.0.0.1" {
		t.Errorf("got %v, %v", answer, err)
	}
	if _, err := r.Resolve(t.Context(), "broken.example"); err == nil { // it comes to an end
		t.Error("no error")
	}
}

// Whatever a hosts file has, localhost resolves, to addresses that can be dialed.
func FuzzHostsFile(f *testing.F) {
	f.Add("127.0.0.1 localhost\n")
	f.Add("::ffff:10.0.0.1 a b localhost. # comment")
	f.Add("localhost\n#\n\t\n10.0.0.1")
	f.Add("fe80::1%eth0 LOCALHOST\r\n")
	f.Fuzz(func(t *testing.T, hosts string) {
		answer, err := testResolver(t, hosts, "", "1").Resolve(t.Context(), "localhost")
		if err != nil || len(answer.Addrs) == 0 {
			t.Fatalf("got %v, %v", answer, err)
		}
		for _, a := range answer.Addrs {
			if !a.IsValid() || a.Is4In6() {
				t.Errorf("address %v", a)
			}
		}
	})
}

func testResolver(t *testing.T, hosts, conf, port string) *upstream.SystemResolver {
	t.Helper()
	dir := t.TempDir()
	r := &upstream.SystemResolver{
		HostsFile: filepath.Join(dir, "hosts"),
		ConfFile:  filepath.Join(dir, "resolv.conf"),
		Port:      port,
	}
	for path, text := range map[string]string{r.HostsFile: hosts, r.ConfFile: conf} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// zone is what a name server answers, by question.
type zone map[string][]string

// ServeDNS answers from the zone. Names tell what else goes wrong: "broken" is
// a server failure, "six-fails" one for AAAA only, "large" fits no datagram.
func (z zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg).SetReply(q)
	question := q.Question[0]
	records, known := z[question.Name]
	host, _, _ := strings.Cut(question.Name, ".")
	switch {
	case !known:
		reply.Rcode = dns.RcodeNameError
	case host == "broken", host == "six-fails" && question.Qtype == dns.TypeAAAA:
		reply.Rcode = dns.RcodeServerFailure
	case host == "large" && w.LocalAddr().Network() == "udp":
		reply.Truncated = true
	default:
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			if kind := rr.Header().Rrtype; kind == question.Qtype || kind == dns.TypeCNAME {
				reply.Answer = append(reply.Answer, rr)
			}
		}
	}
	// The client sees a lost answer as a timeout.
	_ = w.WriteMsg(reply)
}

// serveDNS serves on one port of 127.0.0.1, over UDP and TCP.
func serveDNS(t *testing.T, handler dns.Handler) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: listener}, {PacketConn: packets}} {
		s.Handler = handler
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

// text is the addresses in a stable order of their own.
func text(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	if len(s) > 0 && s[0] != "::1" {
		slices.Sort(s)
	}
	return strings.Join(s, " ")
}
