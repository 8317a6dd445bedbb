package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Resolver finds the addresses of a domain name. Resolve may block and is
// called on goroutines of its own, for different hosts at the same time.
type Resolver interface {
	// Resolve returns at least one address, or an error.
	Resolve(ctx context.Context, host string) (Answer, error)
}

// Answer is what a name leads to.
type Answer struct {
	Addrs []netip.Addr
	// TTL is how long the addresses hold.
	TTL time.Duration
}

// localTTL is how long an answer without a TTL holds, as from a hosts file.
const localTTL = 5 * time.Second

// maxDatagram is the largest answer that is asked for by UDP: what passes
// without fragments nearly everywhere (DNS flag day 2020).
const maxDatagram = 1232

// errNoAddress says that the name servers know no address of a name.
var errNoAddress = errors.New("the name has no address (NXDOMAIN, or neither A nor AAAA records)")

// SystemResolver resolves as the host is configured to: its hosts file, then
// the name servers of its resolv.conf with their search list, A and AAAA
// together. Both files are read each time, so that a change needs no restart.
// "localhost" never leaves the host (RFC 6761 section 6.3).
type SystemResolver struct {
	// HostsFile is /etc/hosts, ConfFile /etc/resolv.conf. Where ConfFile
	// cannot be read, Go's own resolver is asked, which tells no TTL.
	HostsFile, ConfFile string
	// Port of the name servers is 53.
	Port string
}

// NewSystemResolver makes a resolver that reads the files of this host.
func NewSystemResolver() *SystemResolver {
	return &SystemResolver{HostsFile: "/etc/hosts", ConfFile: "/etc/resolv.conf", Port: "53"}
}

// Resolve implements [Resolver].
func (r *SystemResolver) Resolve(ctx context.Context, host string) (Answer, error) {
	if addrs := r.local(host); len(addrs) > 0 {
		return Answer{Addrs: addrs, TTL: localTTL}, nil
	}
	conf, err := r.conf()
	if err != nil || len(conf.Servers) == 0 {
		return resolveWithoutTTL(ctx, host)
	}
	err = errNoAddress
	for _, name := range conf.NameList(host) {
		var answer Answer
		answer, err = lookup(ctx, conf, name)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
	}
	return Answer{}, err
}

// conf reads the resolv.conf, with the bounds of resolv.conf(5).
func (r *SystemResolver) conf() (*dns.ClientConfig, error) {
	conf, err := dns.ClientConfigFromFile(r.ConfFile)
	if err != nil {
		return nil, err
	}
	conf.Port = r.Port
	conf.Timeout, conf.Attempts = min(conf.Timeout, 30), min(conf.Attempts, 5)
	conf.Search = slices.DeleteFunc(conf.Search, func(domain string) bool { return domain == "." }) // it adds nothing
	return conf, nil
}

func resolveWithoutTTL(ctx context.Context, host string) (Answer, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return Answer{Addrs: addrs, TTL: localTTL}, err
}

// local answers from the hosts file, and for names that are local by definition.
func (r *SystemResolver) local(host string) []netip.Addr {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	// Without a hosts file there are no local names but localhost.
	hosts, _ := os.ReadFile(r.HostsFile)
	if addrs := hostsEntries(string(hosts), host); len(addrs) > 0 {
		return addrs
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return nil
}

// hostsEntries finds host in a hosts file (hosts(5)). Lines that are not of its
// form are passed over, as the C library does.
func hostsEntries(file, host string) []netip.Addr {
	var addrs []netip.Addr
	for line := range strings.Lines(file) {
		entry, _, _ := strings.Cut(line, "#")
		fields := strings.Fields(entry)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			if strings.EqualFold(strings.TrimSuffix(name, "."), host) {
				addrs = append(addrs, addr.Unmap())
				break
			}
		}
	}
	return addrs
}

// lookup asks for both families of one fully qualified name at once. If one
// family fails, the other one's addresses are good, but soon asked for again.
func lookup(ctx context.Context, conf *dns.ClientConfig, name string) (Answer, error) {
	type reply struct {
		answer Answer
		err    error
	}
	replies := make(chan reply, 2)
	for _, family := range []uint16{dns.TypeAAAA, dns.TypeA} {
		go func() {
			answer, err := query(ctx, conf, name, family)
			replies <- reply{answer, err}
		}()
	}
	a, b := <-replies, <-replies
	both := Answer{
		Addrs: append(a.answer.Addrs, b.answer.Addrs...),
		TTL:   min(a.answer.TTL, b.answer.TTL),
	}
	switch err := cmp.Or(a.err, b.err); {
	case len(both.Addrs) == 0 && err != nil:
		return Answer{}, err
	case len(both.Addrs) == 0:
		return Answer{}, fmt.Errorf("%s: %w", name, errNoAddress)
	case err != nil:
		both.TTL = min(max(a.answer.TTL, b.answer.TTL), failureTTL)
	}
	return both, nil
}

// query asks one server after the other, as often as resolv.conf says. That the
// name has no such record is an answer, without addresses and with a long TTL.
func query(ctx context.Context, conf *dns.ClientConfig, name string, family uint16) (Answer, error) {
	question := new(dns.Msg).SetQuestion(name, family).SetEdns0(maxDatagram, false)
	var failure error
	for range max(conf.Attempts, 1) {
		for _, server := range conf.Servers {
			reply, err := exchange(ctx, conf, question, net.JoinHostPort(server, conf.Port))
			if err == nil {
				return addresses(reply), nil
			}
			if ctx.Err() != nil {
				return Answer{}, ctx.Err()
			}
			failure = fmt.Errorf("name server %s: %w", server, err)
		}
	}
	return Answer{}, failure
}

// exchange asks one server, by TCP if the answer does not fit a datagram.
func exchange(ctx context.Context, conf *dns.ClientConfig, question *dns.Msg, server string) (*dns.Msg, error) {
	client := dns.Client{Timeout: time.Duration(conf.Timeout) * time.Second}
	reply, _, err := client.ExchangeContext(ctx, question, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, question, server)
	}
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("answered %s", dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}

// addresses reads an answer section. Its TTL is the least along the way, CNAME
// records among them.
func addresses(reply *dns.Msg) Answer {
	answer := Answer{TTL: maxTTL}
	for _, record := range reply.Answer {
		answer.TTL = min(answer.TTL, time.Duration(record.Header().Ttl)*time.Second)
		switch r := record.(type) {
		case *dns.A:
			if addr, ok := netip.AddrFromSlice(r.A); ok {
				answer.Addrs = append(answer.Addrs, addr.Unmap())
			}
		case *dns.AAAA:
			if addr, ok := netip.AddrFromSlice(r.AAAA); ok {
				answer.Addrs = append(answer.Addrs, addr)
			}
		}
	}
	return answer
}
