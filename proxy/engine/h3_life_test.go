package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// RFC 7838: clients of other versions are told, and find it there.
func TestRFC7838_AltSvc(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Alt-Svc", `h3=":1"`) // of the backend's own
		}), config.Rule{})
		want := fmt.Sprintf(`h3=":%d"; ma=86400`, g.addr.Port())
		for _, major := range both {
			transport := &http.Transport{Protocols: protocols(major), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return g.network.Dial(ctx, "tcp", g.addr.String())
			}
			resp, _ := g.answer((&http.Client{Transport: transport}).Get("https://web.example/"))
			if got := resp.Header["Alt-Svc"]; len(got) != 1 || got[0] != want || resp.ProtoMajor != major {
				t.Errorf("%s: Alt-Svc is %q, want %q", resp.Proto, got, want)
			}
			transport.CloseIdleConnections()
		}
		if resp, _ := g.answer(g.user3(nil).Get("https://web.example/")); resp.ProtoMajor != 3 {
			t.Errorf("got %s", resp.Proto)
		}
	})
}

// The name in the handshake chooses the listener; those that do not speak HTTP/3
// are not reached by it, and no connection leads to another one.
func TestHTTP3ListenersOfASocket(t *testing.T) {
	onBoth(t, func(g *gateway) {
		one, two, plain := g.https("ns/gw/one", "one.example", certificate(1, ecdsaKey(), "one.example")),
			g.https("ns/gw/two", "two.example", certificate(2, ecdsaKey(), "two.example")), g.https("ns/gw/plain", "plain.example", certificate(3, ecdsaKey(), "plain.example"))
		one.Client, two.Client = &config.ClientSettings{HTTP3: true}, &config.ClientSettings{HTTP3: true}
		g.mustApply(answering(one, two, plain))
		for name, serial := range map[string]int64{"one.example": 1, "two.example": 2} {
			user := g.user3(&tls.Config{ServerName: name})
			resp, _ := g.answer(user.Get("https://" + name + "/"))
			if got := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); resp.StatusCode != 302 || got != serial {
				t.Errorf("%s: got %d by certificate %d", name, resp.StatusCode, got)
			}
			for _, other := range []string{"one.example", "two.example", "plain.example"} {
				want := 421
				if other == name {
					want = 302
				}
				r := request("GET", "/", nil)
				r.URL.Host, r.Host = name, other
				if resp, _ := g.answer(user.Do(r)); resp.StatusCode != want {
					t.Errorf("%s on the connection of %s: got %d, want %d", other, name, resp.StatusCode, want)
				}
			}
		}
		for _, name := range []string{"plain.example", "other.example"} {
			if _, err := g.user3(&tls.Config{ServerName: name}).Get("https://" + name + "/"); err == nil || !strings.Contains(err.Error(), "CRYPTO_ERROR") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Gateway API, FrontendTLSConfig: HTTP/3 lets nobody in whom HTTPS does not.
func TestHTTP3ClientCertificates(t *testing.T) {
	onBoth(t, func(g *gateway) {
		known, stranger := newAuthority("known"), newAuthority("stranger")
		l := g.https("default/gw/http", "", web)
		l.TLS = &config.ListenerTLS{ClientAuth: config.ClientAuthValidOnly, ClientCAs: []config.TrustBundle{{Name: "known", PEM: known.pem}}}
		l.Client = &config.ClientSettings{HTTP3: true, CertificateHeader: true}
		g.version++
		g.mustApply(&config.Delta{Version: 1, Listeners: []*config.Listener{l}})
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Header.Get("X-Forwarded-Client-Cert"))
		}), config.Rule{})
		user := g.user3(showing(known.sign("me")))
		if _, body := g.answer(user.Get("https://web.example/")); !strings.Contains(body, `Subject="CN=me"`) {
			t.Errorf("the backend was told %q", body)
		}
		for name, settings := range map[string]*tls.Config{"without": nil, "stranger": showing(stranger.sign("me"))} {
			if resp, err := g.user3(settings).Get("https://web.example/"); err == nil {
				t.Errorf("%s: got %s", name, resp.Status)
			}
		}
		changed := *l
		changed.TLS = &config.ListenerTLS{ClientAuth: config.ClientAuthValidOnly, ClientCAs: []config.TrustBundle{{Name: "stranger", PEM: stranger.pem}}}
		g.apply(config.Delta{Listeners: []*config.Listener{&changed}})
		if resp, err := user.Get("https://web.example/"); err == nil && resp.StatusCode != 421 {
			t.Errorf("a client of an authority that is gone got %s", resp.Status)
		}
	})
}

// A client that takes no bytes of one stream holds its backend back, and no
// other stream.
func TestSlowStreamsOfHTTP3HoldTheirBackendsBack(t *testing.T) {
	onBoth(t, func(g *gateway) {
		var sent atomic.Int64
		const whole = 64 << 20
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/small" {
				io.WriteString(w, "small")
				return
			}
			for range whole >> 16 {
				n, err := w.Write(make([]byte, 64<<10))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		}), config.Rule{})
		user := g.user3(nil)
		large, err := user.Get("https://web.example/large")
		if err != nil {
			t.Fatal(err)
		}
		for last := int64(-1); last != sent.Load(); { // until it stands still
			last = sent.Load()
			for range 20 {
				if _, body := g.answer(user.Get("https://web.example/small")); body != "small" {
					t.Fatalf("got %q", body)
				}
			}
		}
		if n := sent.Load(); n > whole/2 {
			t.Errorf("the backend has sent %d bytes that nobody reads", n)
		}
		if n, err := io.Copy(io.Discard, large.Body); n != whole || err != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
	})
}

func TestLimitsOfHTTP3(t *testing.T) {
	onBoth(t, func(g *gateway) {
		release, waiting := make(chan bool), make(chan bool, 10)
		g.speaking3(config.ClientSettings{Limits: config.ClientLimits{Streams: 2, HeaderBytes: 1000, Connections: 2}, Timeouts: config.ClientTimeouts{Head: time.Second}}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			waiting <- true
			<-release
		}), config.Rule{})
		f := g.frames3().greet()
		if status, _, err := answer3(f.ask(request3("GET", "/", "x", strings.Repeat("x", 1000)), true)); status != "431" {
			t.Errorf("large header: got %q, %v", status, err)
		}
		if status, _, err := answer3(f.ask("\x01\x40", false)); codeOf(err) != 0x10c {
			t.Errorf("a head that does not end: got %q, %v", status, err)
		}
		first, second := f.ask(request3("GET", "/"), true), f.ask(request3("GET", "/"), true)
		<-waiting
		<-waiting
		second.CancelWrite(0x10c) // and a slot is held until its handler has let go
		if _, err := f.Conn.OpenStream(); err == nil {
			t.Error("there is room for a third request")
		}
		g.frames3()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, err := quic.DialAddr(ctx, g.addr.String(), &tls.Config{ServerName: "web.example", InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
		if err == nil {
			<-c.Context().Done()
			err = context.Cause(c.Context())
		}
		if ctx.Err() != nil || err == nil {
			t.Errorf("a third connection: %v", err)
		}
		close(release)
		if status, _, err := answer3(first); status != "200" {
			t.Errorf("got %q, %v", status, err)
		}
		third := f.ask(request3("GET", "/"), true)
		if status, _, err := answer3(third); status != "200" {
			t.Errorf("got %q, %v", status, err)
		}
	})
}

func TestIdleConnectionsOfHTTP3End(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{Timeouts: config.ClientTimeouts{Idle: 500 * time.Millisecond}}).serve(g.origin(slow(2*time.Second)), config.Rule{})
		f := g.frames3().greet()
		if status, _, err := answer3(f.ask(request3("GET", "/"), true)); status != "200" {
			t.Errorf("a request that takes longer got %q, %v", status, err)
		}
		<-f.Conn.Context().Done()
		if code := codeOf(context.Cause(f.Conn.Context())); code != 0x100 {
			t.Errorf("the connection ended with %v", context.Cause(f.Conn.Context()))
		}
	})
}

// goAways reads the server's control stream to its end.
func (f *frames3) goAways() (ids []uint64) {
	f.Helper()
	s, err := f.AcceptUniStream(f.Conn.Context())
	if err != nil {
		f.Error(err)
		return nil
	}
	all, _ := io.ReadAll(s)
	for all = all[1:]; len(all) > 0; { // behind the type
		kind, n, _ := quicvarint.Parse(all)
		size, m, _ := quicvarint.Parse(all[n:])
		payload := all[n+m:][:size]
		all = all[n+m+int(size):]
		if kind == 0x7 {
			id, _, _ := quicvarint.Parse(payload)
			ids = append(ids, id)
		}
	}
	return ids
}

// RFC 9114 section 5.2: a drain announces itself, serves what is on its way, and
// ends the connection behind its last response.
func TestRFC9114_5_2_Drain(t *testing.T) {
	onBoth(t, func(g *gateway) {
		began, release := make(chan bool, 2), make(chan bool)
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			began <- true
			<-release
			hello(w, r)
		}), config.Rule{})
		f := g.frames3().greet()
		busy := f.ask(request3("GET", "/busy"), true)
		<-began
		done := g.shutdown(0, time.Minute)
		crossing := f.ask(request3("GET", "/crossing"), true)
		<-began
		time.AfterFunc(2*time.Second, func() { close(release) })
		told := make(chan []uint64, 1)
		go func() { told <- f.goAways() }()
		for s, want := range map[*quic.Stream]string{busy: "hello /busy", crossing: "hello /crossing"} {
			if status, body, _ := answer3(s); status != "200" || body != want {
				t.Errorf("got %q %q, want %q", status, body, want)
			}
		}
		if ids := <-told; len(ids) != 2 || ids[0] != 1<<62-4 || ids[1] != 8 {
			t.Errorf("GOAWAY told %v", ids)
		}
		if took := <-done; took > 20*time.Second {
			t.Errorf("the drain took %v", took)
		}
	})
}

// HTTP/3 comes and goes with its policy, and touches nothing else.
func TestHTTP3IsSwitched(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		kept := g.mustDialTLS(nil)
		f := (*frames3)(nil)
		for range 3 {
			with := g.https("default/gw/http", "", web)
			with.Client = &config.ClientSettings{HTTP3: true}
			g.apply(config.Delta{Listeners: []*config.Listener{with}})
			if _, body := g.answer(g.user3(nil).Get("https://web.example/a")); body != "hello /a" {
				t.Fatalf("got %q", body)
			}
			f = g.frames3().greet()
			if status, _, err := answer3(f.ask(request3("GET", "/"), true)); status != "200" {
				t.Fatalf("got %q, %v", status, err)
			}
			g.apply(config.Delta{Listeners: []*config.Listener{g.https("default/gw/http", "", web)}})
			if status, _, err := answer3(f.ask(request3("GET", "/"), true)); status != "200" {
				t.Fatalf("a request that crosses the drain: %q, %v", status, err)
			}
			kept.send(get("/kept"))
			if resp := kept.want(200, "hello /kept"); resp.Header.Get("Alt-Svc") != "" {
				t.Errorf("HTTP/3 is told of when it is not there")
			}
		}
		<-f.Conn.Context().Done() // the drain ends
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if c, err := quic.DialAddr(ctx, g.addr.String(), &tls.Config{ServerName: "web.example", InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil); err == nil {
			c.CloseWithError(0, "")
			t.Error("HTTP/3 is spoken when it is not asked for")
		}
		for end := time.Now().Add(time.Minute); ; { // nobody holds the port any more
			udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(g.addr))
			if err == nil {
				udp.Close()
				break
			}
			if time.Sleep(10 * time.Millisecond); time.Now().After(end) {
				t.Fatal(err)
			}
		}
	})
}

// A UDP port that is taken is reported; everything else is served, and the next
// change tries again.
func TestUDPPortInUse(t *testing.T) {
	onBoth(t, func(g *gateway) {
		udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(g.addr))
		if err != nil {
			t.Fatal(err)
		}
		l := g.https("default/gw/http", "", web)
		l.Client = &config.ClientSettings{HTTP3: true}
		without := g.https("default/gw/without", "without.example", web)
		report := g.engine.Apply(answering(l, without))
		if err := report.Listeners["default/gw/without"]; err != nil {
			t.Errorf("of a listener that does not ask for HTTP/3 the report says %v", err)
		}
		if err := report.Listeners["default/gw/http"]; err == nil || !strings.Contains(err.Error(), "for HTTP/3") {
			t.Errorf("the report says %v", err)
		}
		c := g.mustDialTLS(nil)
		c.send(get("/"))
		c.want(302, "")
		udp.Close()
		if err := g.engine.Apply(&config.Delta{Version: 2}).Listeners["default/gw/http"]; err != nil {
			t.Errorf("then the report says %v", err)
		}
		if resp, _ := g.answer(g.user3(nil).Get("https://web.example/")); resp.StatusCode != 302 {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
}

// relay passes datagrams on, from an address that changes when it is told.
type relay struct {
	*net.UDPConn
	to     netip.AddrPort
	mu     sync.Mutex
	out    *net.UDPConn
	client netip.AddrPort
}

func newRelay(t testing.TB, to netip.AddrPort) *relay {
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{UDPConn: in, to: to}
	r.rebind(t, "127.0.0.1")
	go func() {
		var b [2048]byte
		for {
			n, from, err := in.ReadFromUDPAddrPort(b[:])
			if err != nil {
				return
			}
			r.mu.Lock()
			r.client = from
			r.out.WriteToUDPAddrPort(b[:n], to)
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { in.Close() })
	return r
}

func (r *relay) rebind(t testing.TB, address string) {
	out, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(address)})
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.out = out
	r.mu.Unlock()
	go func() {
		var b [2048]byte
		for {
			n, err := out.Read(b[:])
			if err != nil {
				return
			}
			r.mu.Lock()
			to := r.client
			r.mu.Unlock()
			r.WriteToUDPAddrPort(b[:n], to)
		}
	}()
	t.Cleanup(func() { out.Close() })
}

// RFC 9000 section 9: a client whose address changes keeps its connection, and
// backends are told where it is.
func TestRFC9000_9_Rebinding(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Header.Get("X-Forwarded-For"))
		}), config.Rule{})
		there := newRelay(t, g.addr)
		g.addr = netip.MustParseAddrPort(there.LocalAddr().String())
		f := g.frames3().greet()
		if _, body, err := answer3(f.ask(request3("GET", "/"), true)); body != "127.0.0.1" {
			t.Fatalf("got %q, %v", body, err)
		}
		there.rebind(t, "127.0.0.2")
		body := ""
		for range 100 { // until the new path is found to be good
			var err error
			if _, body, err = answer3(f.ask(request3("GET", "/"), true)); err != nil {
				t.Fatal(err)
			}
			if body == "127.0.0.2" {
				return
			}
		}
		t.Errorf("the client is still at %q", body)
	})
}

func TestAccessLogOfHTTP3(t *testing.T) {
	var out bytes.Buffer
	log := observe.NewAccessLog(&out, observe.JSON, 1)
	g := newGateway(t, engine.Options{Workers: 1, AccessLog: log})
	g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
	user := g.user3(nil)
	for _, path := range []string{"/logged", "/later"} { // the record of the first is written by then
		g.answer(user.Get("https://web.example" + path))
	}
	log.Close()
	if line := out.String(); !strings.Contains(line, "/logged") || !strings.Contains(line, `"protocol":"HTTP/3.0"`) || !strings.Contains(line, `"client":"127.0.0.1:`) {
		t.Errorf("the log says %q", line)
	}
}

// Near its limit of memory a gateway sends connections away, and answers.
func TestMemoryNearItsLimitInHTTP3(t *testing.T) {
	var used atomic.Uint64
	g := newGateway(t, engine.Options{Workers: 2, Memory: func() (uint64, uint64) { return used.Load(), 100 }})
	g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
	early := g.frames3().greet()
	if status, _, err := answer3(early.ask(request3("GET", "/"), true)); status != "200" {
		t.Fatalf("got %q, %v", status, err)
	}
	used.Store(98)
	for status := ""; status != "503"; {
		var err error
		if status, _, err = answer3(early.ask(request3("GET", "/"), true)); err != nil {
			t.Fatal(err)
		}
	}
	<-early.Conn.Context().Done() // it was told to go
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := quic.DialAddr(ctx, g.addr.String(), &tls.Config{ServerName: "web.example", InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil); err == nil || ctx.Err() != nil {
		t.Errorf("a new connection: %v", err)
	}
}

// Connections that end are counted by how.
func TestConnectionsOfHTTP3AreCounted(t *testing.T) {
	metrics := observe.NewMetrics(1, nil)
	g := newGateway(t, engine.Options{Workers: 1, Metrics: metrics})
	g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
	fine, wrong := g.frames3().greet(), g.frames3().greet()
	answer3(fine.ask(request3("GET", "/"), true))
	fine.CloseWithError(0x100, "")
	wrong.ask(frame3(data3, "x"), true)
	<-wrong.Conn.Context().Done()
	want := map[string]float64{"ok": 1, "frame_unexpected": 1}
	got := counted(t, metrics, "sluice_http3_connections_total")
	for end := time.Now().Add(time.Minute); !maps.Equal(got, want) && time.Now().Before(end); got = counted(t, metrics, "sluice_http3_connections_total") {
		time.Sleep(time.Millisecond)
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if shaken := handshakes(t, metrics); shaken["ok"] != 2 {
		t.Errorf("counted handshakes %v", shaken)
	}
}
