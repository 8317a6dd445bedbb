package engine_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// Requests follow each other over one connection, also within one record, and
// one that comes in pieces of a byte.
func TestRequestsInTLS(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		c := g.mustDialTLS(nil)
		for i := range 3 {
			c.send(get(fmt.Sprintf("/%d", i)))
			c.want(200, fmt.Sprintf("hello /%d", i))
		}
		c.send(get("/a") + get("/b") + get("/c"))
		for _, path := range []string{"/a", "/b", "/c"} {
			c.want(200, "hello "+path)
		}
		for _, b := range []byte(get("/slow")) {
			c.send(string(b))
		}
		c.want(200, "hello /slow")
	})
}

// dribble writes one byte at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// Neither a ClientHello nor a record need come in one piece.
func TestRecordsInPieces(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		secure := tls.Client(dribble{g.dial().Conn}, &tls.Config{ServerName: "web.example", InsecureSkipVerify: true})
		c := &client{g.TB, secure, bufio.NewReader(secure)}
		for range 2 {
			c.send(get("/"))
			c.want(200, "hello /")
		}
	})
}

// What clients send into the wrong port ends with an answer that they understand.
func TestTheWrongProtocol(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: web.example\nContent-Length: 100000\n\n" + strings.Repeat("x", 100_000))
		c.want(400, "400 Bad Request: an HTTP request was sent to an HTTPS port\n")
		c.wantClosed()
		c = g.dial()
		c.send("\x00\x01garbage")
		c.wantClosed()
	})
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		if _, err := g.dialTLS(nil); !errors.As(err, new(tls.RecordHeaderError)) {
			g.Errorf("TLS in clear text: %v", err)
		}
	})
}

// A body goes through whole in both directions at once, and its reader holds
// its writer back.
func TestLargeBodiesInTLS(t *testing.T) {
	onBoth(t, func(g *gateway) {
		const size = 96 << 20
		var read atomic.Int64
		g.secured().serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			n, err := io.Copy(w, io.TeeReader(r.Body, counting{&read}))
			if n != size || err != nil {
				g.Errorf("the backend got %d bytes, %v", n, err)
			}
		}), config.Rule{})
		c := g.mustDialTLS(nil)
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i >> 8 * (i & 3))
		}
		sent := make(chan error, 1)
		go func() {
			fmt.Fprintf(c.Conn, "POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: %d\r\n\r\n", size)
			_, err := c.Conn.Write(body)
			sent <- err
		}()
		// Nobody reads the response, so buffers fill and the bytes stop.
		for before := int64(-1); before != read.Load() || before == 0; {
			before = read.Load()
			select {
			case err := <-sent:
				g.Fatalf("%d bytes went into buffers (%v)", size, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
		r, err := http.ReadResponse(c.in, nil)
		if err != nil {
			g.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, body) {
			g.Errorf("%d of %d bytes came back, %v", len(got), size, err)
		}
		if err := <-sent; err != nil {
			g.Error(err)
		}
	})
}

// counting counts what is written to it.
type counting struct{ *atomic.Int64 }

func (c counting) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// A client that has ended its stream still gets its response, and then the end
// of the other one: nothing was cut off.
func TestHalfCloseInTLS(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		c := g.mustDialTLS(nil)
		c.send(get("/"))
		c.Conn.(*tls.Conn).CloseWrite()
		c.want(200, "hello /")
		if _, err := c.in.ReadByte(); err != io.EOF {
			g.Errorf("after the response: %v", err)
		}
	})
}

// A response that the end of the connection ends is whole only with a
// close_notify, and cut short it has none (RFC 8446 section 6.1).
func TestCutResponsesShowInTLS(t *testing.T) {
	onBoth(t, func(g *gateway) {
		release := make(chan struct{})
		g.secured().serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			head := readHead(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
			if strings.Contains(head, "/cut") {
				<-release
				return
			}
			io.WriteString(c, "0\r\n\r\n")
		}), config.Rule{})
		for path, want := range map[string]error{"/whole": nil, "/cut": io.ErrUnexpectedEOF} {
			c := g.mustDialTLS(nil)
			c.send("GET " + path + " HTTP/1.0\nHost: web.example\n\n")
			r, err := http.ReadResponse(c.in, nil)
			if err != nil {
				g.Fatal(err)
			}
			if path == "/cut" {
				release <- struct{}{}
			}
			if _, err := io.ReadAll(r.Body); (err == nil) != (want == nil) {
				g.Errorf("%s: %v", path, err)
			}
		}
	})
}

// A WebSocket lives in TLS as in clear text, each direction on its own.
func TestWebSocketInTLS(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, switching+"early")
			io.Copy(c, r)
			io.WriteString(c, "bye")
		}), config.Rule{})
		c := g.mustDialTLS(nil)
		c.send(handshake + "first")
		if r, _ := c.response("GET"); r.StatusCode != 101 {
			g.Fatalf("got %d", r.StatusCode)
		}
		hear := func(want string) {
			g.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.in, got); err != nil || string(got) != want {
				g.Fatalf("got %.40q, %v; want %.40q", got, err, want)
			}
		}
		hear("earlyfirst")
		large := strings.Repeat("0123456789abcdef", 64<<10)
		go io.WriteString(c.Conn, large)
		hear(large)
		c.Conn.(*tls.Conn).CloseWrite()
		hear("bye")
		if _, err := c.in.ReadByte(); err != io.EOF {
			g.Errorf("at the end: %v", err)
		}
	})
}

// A drain ends connections in TLS as it ends others.
func TestDrainInTLS(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.secured().serve(g.origin(slow(20*time.Second)), config.Rule{})
		silent, idle, busy := g.dial(), g.mustDialTLS(nil), g.mustDialTLS(nil)
		busy.send(get("/"))
		synctest.Wait()
		start := time.Now()
		done := g.shutdown(0, time.Minute)
		if _, err := idle.in.ReadByte(); err != io.EOF {
			g.Errorf("an idle connection ended with %v", err)
		}
		silent.wantClosed()
		if took := time.Since(start); took > 2*time.Second {
			g.Errorf("idle connections ended after %v", took)
		}
		if r, _ := busy.response("GET"); r.StatusCode != 200 || !r.Close {
			g.Errorf("a request under way got %d, Connection: close %v", r.StatusCode, r.Close)
		}
		if _, err := busy.in.ReadByte(); err != io.EOF {
			g.Errorf("a busy connection ended with %v", err)
		}
		<-done
	})
}

// A new certificate is shown in the next handshake; no connection and no
// request notices.
func TestCertificatesAreRotatedUnderLoad(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		old := g.mustDialTLS(nil)
		var clients sync.WaitGroup
		stop := make(chan struct{})
		var last atomic.Int64
		for range 4 {
			clients.Go(func() {
				kept, err := g.dialTLS(nil)
				for err == nil {
					select {
					case <-stop:
						return
					default:
					}
					io.WriteString(kept.Conn, strings.ReplaceAll(get("/"), "\n", "\r\n"))
					var r *http.Response
					if r, err = http.ReadResponse(kept.in, nil); err == nil {
						_, err = io.Copy(io.Discard, r.Body)
					}
					if err != nil || r.StatusCode != 200 {
						break
					}
					least := last.Load()
					var fresh *client
					if fresh, err = g.dialTLS(nil); err == nil && fresh.serial() < least {
						g.Errorf("certificate %d was shown after %d was in force", fresh.serial(), least)
					}
				}
				g.Errorf("a client failed: %v", err)
			})
		}
		for serial := int64(2); serial < 12; serial++ {
			g.certificates = []config.Certificate{certificate(serial, ecdsaKey(), "web.example")}
			g.apply(config.Delta{Listeners: []*config.Listener{g.listener()}})
			last.Store(serial)
			if got := g.mustDialTLS(nil).serial(); got != serial {
				g.Errorf("certificate %d is shown after %d was applied", got, serial)
			}
		}
		close(stop)
		clients.Wait()
		old.send(get("/old"))
		old.want(200, "hello /old")
	})
}

// A certificate that cannot be shown, or none, hurts its listener only.
func TestUnusableCertificates(t *testing.T) {
	inBubble(t, func(g *gateway) {
		broken := web
		broken.Key = certificate(9, ecdsaKey()).Key
		d := answering(g.https("ns/gw/good", "web.example", web), g.https("ns/gw/broken", "b.example", broken), g.https("ns/gw/none", "n.example"))
		report := g.engine.Apply(d).Listeners
		if report["ns/gw/good"] != nil || !strings.Contains(fmt.Sprint(report["ns/gw/broken"]), "does not match") || !strings.Contains(fmt.Sprint(report["ns/gw/none"]), "no certificate") {
			g.Fatalf("the report is %v", report)
		}
		c := g.mustDialTLS(nil)
		c.send(get("/"))
		c.want(302, "")
		if _, err := g.dialTLS(&tls.Config{ServerName: "b.example"}); alerted(err) != "tls: unrecognized name" {
			g.Error(err)
		}
	})
}

// A port speaks one protocol, whichever of its addresses a listener names.
func TestProtocolsDoNotShareAPort(t *testing.T) {
	for name, all := range map[string][2]bool{"the same address": {}, "one has all addresses": {true, false}, "the other has": {false, true}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				clear, secure := g.listener(), g.https("ns/gw/secure", "secure.example", web)
				if all[0] {
					clear.Addresses = nil
				}
				if all[1] {
					secure.Addresses = nil
				}
				g.engine.Apply(&config.Delta{Version: 1, Listeners: []*config.Listener{clear}})
				report := g.engine.Apply(&config.Delta{Version: 2, Listeners: []*config.Listener{secure}}).Listeners
				if report[clear.Name] != nil || !strings.Contains(fmt.Sprint(report[secure.Name]), "another protocol") {
					g.Fatalf("the report is %v", report)
				}
				report = g.engine.Apply(&config.Delta{Version: 3, Removed: []config.Ref{{Kind: config.KindListener, Name: clear.Name}}}).Listeners
				if report[secure.Name] != nil {
					g.Fatalf("alone: %v", report)
				}
				time.Sleep(time.Second) // what was in the queue of the closed socket is clear text
				g.mustDialTLS(&tls.Config{ServerName: "secure.example"})
			})
		})
	}
}

// When a port changes its protocol, a connection that is open already carries
// nothing to listeners of the other one.
func TestAPortChangesItsProtocol(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		c.want(200, "hello /")
		g.secured()
		g.apply(config.Delta{Listeners: []*config.Listener{g.listener()}})
		c.send(get("/secret"))
		c.want(421, "421 Misdirected Request\n")
		c = g.mustDialTLS(nil)
		c.send(get("/"))
		c.want(200, "hello /")
		g.certificates = nil
		g.apply(config.Delta{Listeners: []*config.Listener{g.listener()}})
		c.send(get("/"))
		c.want(421, "421 Misdirected Request\n")
	})
}

// handshakes is what the metrics have counted.
func handshakes(t testing.TB, m *observe.Metrics) map[string]float64 {
	t.Helper()
	return counted(t, m, "sluice_tls_handshakes_total")
}

// counted are the values of a counter by its label.
func counted(t testing.TB, m *observe.Metrics, name string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name {
				counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	return counts
}

// clientHello is one as clients send it.
func clientHello(t testing.TB) []byte {
	t.Helper()
	ours, theirs := memnet.Pipe()
	go tls.Client(ours, &tls.Config{ServerName: "web.example"}).Handshake()
	defer ours.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(theirs, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(theirs, rest); err != nil {
		t.Fatal(err)
	}
	return append(head, rest...)
}

// A client that does not come to an end is cut off in time, wherever it stops.
func TestHandshakesEndInTime(t *testing.T) {
	hello := clientHello(t)
	for name, test := range map[string]struct {
		send   []byte
		result string
	}{
		"silent":             {nil, ""},
		"half a header":      {hello[:3], "timeout"},
		"half a hello":       {hello[:len(hello)/2], "timeout"},
		"nothing thereafter": {hello, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				metrics := observe.NewMetrics(1, nil)
				g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Metrics: metrics}).secured()
				g.serve(g.origin(slow(0)), config.Rule{})
				c := g.dial()
				start := time.Now()
				c.Conn.Write(test.send)
				for err := error(nil); err == nil; {
					_, err = c.in.ReadByte() // what it answers
				}
				limit := proxy.DefaultLimits.HandshakeTime
				if took := time.Since(start); took < limit || took > limit+2*time.Second {
					t.Errorf("cut off after %v", took)
				}
				if got := handshakes(t, metrics); test.result != "" && got[test.result] != 1 || test.result == "" && len(got) > 0 {
					t.Errorf("counted %v", got)
				}
			})
		})
	}
}

// A client that sends ever more before its handshake is done is cut off.
func TestHandshakesAreBounded(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		c := g.dial()
		record := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)
		record[5], record[6], record[7], record[8] = 1, 0, 0xff, 0xff // a ClientHello of 64 KiB
		for range 8 {
			if _, err := c.Conn.Write(record); err != nil {
				break
			}
		}
		c.wantClosed()
	})
}

// Where more handshakes are under way than may be, the oldest makes room, and
// those that mean well go on.
func TestHandshakeFloodMakesRoom(t *testing.T) {
	hello := clientHello(t)
	synctest.Test(t, func(t *testing.T) {
		limits, metrics := proxy.DefaultLimits, observe.NewMetrics(1, nil)
		limits.Handshakes = 4
		g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Metrics: metrics, Limits: &limits}).secured()
		g.serve(g.origin(slow(0)), config.Rule{})
		var flood []*client
		for range 20 {
			c := g.dial()
			c.Conn.Write(hello[:100])
			synctest.Wait()
			flood = append(flood, c)
		}
		good := g.mustDialTLS(nil)
		good.send(get("/"))
		good.want(200, "late")
		synctest.Wait()
		for _, c := range flood[:17] {
			c.wantClosed()
		}
		if got := handshakes(t, metrics); got["evicted"] != 17 || got["ok"] != 1 {
			t.Errorf("counted %v", got)
		}
		if n := g.engine.Connections(); n != 4 {
			t.Errorf("%d connections are open, want 4", n)
		}
	})
}

// Failures are counted by their reason, and the log has some of them.
func TestFailedHandshakesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := observe.NewMetrics(1, nil)
		var log bytes.Buffer
		g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Metrics: metrics,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		g.mustApply(answering(g.https("ns/gw/web", "web.example", web)))
		for _, settings := range []*tls.Config{
			{ServerName: "web.example"}, {ServerName: "other.example"}, {ServerName: "web.example", NextProtos: []string{"ftp"}},
			{ServerName: "web.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			{ServerName: "web.example", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		} {
			g.dialTLS(settings)
		}
		picky := tls.Client(g.dial().Conn, &tls.Config{ServerName: "web.example"})
		picky.Handshake()
		picky.Close()
		for _, bytes := range []string{"GET / HTTP/1.1\n\n", "\x00\x00\x00\x00\x00", "\x16\x03"} {
			c := g.dial()
			c.send(bytes)
			synctest.Wait()
			c.Close()
		}
		synctest.Wait()
		got := handshakes(t, metrics)
		for _, result := range []string{"ok", "unrecognized_name", "no_application_protocol", "protocol_version", "handshake_failure", "refused_by_client", "clear_text", "not_tls", "closed"} {
			if got[result] != 1 {
				t.Errorf("%s is counted %v times", result, got[result])
			}
			delete(got, result)
		}
		if len(got) > 0 {
			t.Errorf("also counted: %v", got)
		}
		if lines := strings.Count(log.String(), "a TLS handshake failed"); lines == 0 || lines > 2 {
			t.Errorf("the log has %d lines of 8 failures at once:\n%s", lines, log.String())
		}
	})
}

// An idle connection that has begun a record holds memory for it, not for long.
func TestRecordsOfIdleConnectionsEndInTime(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		raw := g.dial()
		secure := tls.Client(raw.Conn, &tls.Config{ServerName: "web.example", InsecureSkipVerify: true})
		c := &client{g.TB, secure, bufio.NewReader(secure)}
		c.send(get("/"))
		c.want(200, "hello /")
		start := time.Now()
		raw.Conn.Write([]byte{23, 3, 3, 0x40, 0}) // and now and then a byte of it
		for err := error(nil); err == nil; {
			time.Sleep(time.Second)
			_, err = raw.Conn.Write([]byte{0})
		}
		if took := time.Since(start); took < tlsconn.RecordTime || took > tlsconn.RecordTime+2*time.Second {
			g.Errorf("cut off after %v", took)
		}
	})
}
