package engine_test

import (
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"net/http"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// settled waits until as many goroutines are left as there were.
func settled(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
		}
	}
}

// initial is the first datagram of a handshake that goes no further, as a relay
// sees it.
func (g *gateway) initial() []byte {
	trap, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		g.Fatal(err)
	}
	defer trap.Close()
	go g.dialQUIC(trap.LocalAddr().String())
	b := make([]byte, 2048)
	n, err := trap.Read(b)
	if err != nil {
		g.Fatal(err)
	}
	return b[:n]
}

// Handshakes that are begun and left cost no more than their limit, and clients
// that mean well still get in: they prove where they are, and the others do not.
func TestHandshakeFloodOfQUIC(t *testing.T) {
	metrics := observe.NewMetrics(2, nil)
	limits := proxy.DefaultLimits
	limits.Handshakes = 50 // of each worker
	limits.HTTP3.Handshake = 3 * time.Second
	g := newGateway(t, engine.Options{Workers: 2, Limits: &limits, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
	before := runtime.NumGoroutine()
	flood := g.initial()
	most := 0
	for i := range 5000 {
		c, err := net.Dial("udp4", g.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		flood[6], flood[7] = byte(i), byte(i>>8) // another connection; it will not be decrypted
		c.Write(flood)
		c.Close()
		if i%100 == 0 {
			most = max(most, runtime.NumGoroutine()-before)
		}
	}
	if most > 4*100 {
		t.Errorf("%d goroutines were busy with handshakes", most)
	}
	if _, body := g.answer(g.user3(nil).Get("https://web.example/a")); body != "hello /a" {
		t.Errorf("got %q", body)
	}
}

// Streams that are opened and reset at once are told to stop, and leave nothing.
func TestRapidResetOfHTTP3(t *testing.T) {
	onBoth(t, func(g *gateway) {
		var underWay, most atomic.Int64
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			now := underWay.Add(1)
			defer underWay.Add(-1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			<-r.Context().Done()
		}), config.Rule{})
		f := g.frames3().greet()
		reset := 0
		for ; reset < 100_000; reset++ {
			s, err := f.OpenStreamSync(f.Conn.Context())
			if err != nil {
				break
			}
			io.WriteString(s, request3("GET", "/"))
			s.CancelWrite(0x10c)
			s.CancelRead(0x10c)
		}
		<-f.Conn.Context().Done()
		if code := codeOf(contextCause(f)); code != 0x107 && code != 0x100 {
			t.Errorf("after %d resets the connection ended with %v", reset, contextCause(f))
		}
		if reset > 2000 {
			t.Errorf("%d resets were suffered", reset)
		}
		if n := most.Load(); n > 100 {
			t.Errorf("%d requests were under way at once", n)
		}
		other := g.frames3().greet()
		if _, _, err := answer3(other.ask("", true)); codeOf(err) != 0x10d {
			t.Errorf("another client: %v", err)
		}
	})
}

// What costs and leads to nothing ends its connection.
func TestRudeClientsOfHTTP3(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
		for name, do := range map[string]func(f *frames3){
			"empty DATA":     func(f *frames3) { f.ask(request3("POST", "/")+strings.Repeat(frame3(data3, ""), 10_000), false) },
			"unknown frames": func(f *frames3) { f.ask(strings.Repeat(frame3(0x21, ""), 10_000), false) },
			"control frames": func(f *frames3) { io.WriteString(f.control, strings.Repeat(frame3(0xf0700, "\x00u=1"), 10_000)) },
			"malformed requests": func(f *frames3) {
				for range 2000 {
					s, err := f.OpenStreamSync(f.Conn.Context())
					if err != nil {
						return
					}
					io.WriteString(s, request3("GET", "/", "X", "1"))
					s.Close()
				}
			},
			"streams without meaning": func(f *frames3) {
				for range 2000 {
					s, err := f.OpenUniStreamSync(f.Conn.Context())
					if err != nil {
						return
					}
					io.WriteString(s, "\x21")
					s.Close()
				}
			},
		} {
			f := g.frames3().greet()
			go do(f)
			select {
			case <-f.Conn.Context().Done():
			case <-time.After(time.Minute):
				t.Errorf("%s: the connection goes on", name)
			}
			if code := codeOf(contextCause(f)); code != 0x107 && code != 0x100 {
				t.Errorf("%s: the connection ended with %v", name, contextCause(f))
			}
		}
	})
}

// A gateway that has ended leaves no goroutine of QUIC's.
func TestQUICLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("engine", func(t *testing.T) {
		g := newGateway(t, engine.Options{Workers: 2})
		g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
		f := g.frames3().greet()
		for range 50 {
			answer3(f.ask(request3("GET", "/"), true))
			f.ask(request3("POST", "/"), false)
		}
	})
	settled(t, before)
}
