package featuretest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/cli/echo"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/translate"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// backends are the names and addresses of base.yaml.
var backends = map[string]string{"web": "10.0.1.1:80", "web-v2": "10.0.1.2:80", "api": "10.0.1.3:80"}

// world is a gateway with clients and backends on a network in memory. It lives
// in a bubble of fake time.
type world struct {
	*testing.T
	network *memnet.Network
	objects feed
	control *control.Control

	mu  sync.Mutex
	got []seen
}

// seen is a request that a backend got.
type seen struct {
	name, line string
	header     http.Header
}

// feed is a source of objects that says what it is told to.
type feed chan control.Update

// Run implements control.Source.
func (f feed) Run(ctx context.Context, update func(control.Update)) error {
	for {
		select {
		case u := <-f:
			update(u)
		case <-ctx.Done():
			return nil
		}
	}
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, network: memnet.New(), objects: make(feed)}
	gateway, err := engine.New(engine.Options{Portable: true, Workers: 1, Network: w.network})
	if err != nil {
		t.Fatal(err)
	}
	w.control = control.New(control.Options{
		Translate: translate.Options{ControllerName: "sluice.dev/gateway-controller"},
		DataPlane: gateway,
		Log:       slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.control.Run(ctx, w.objects) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		gateway.Shutdown(ctx, 0, 0)
	})
	for name, address := range backends {
		w.serve(name, netip.MustParseAddrPort(address))
	}
	return w
}

// serve starts a backend.
func (w *world) serve(name string, address netip.AddrPort) {
	l, err := w.network.Listen(address)
	if err != nil {
		w.Fatal(err)
	}
	answer := echo.Handler(name)
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		header := r.Header.Clone()
		header.Set("Host", r.Host)
		header.Set("Protocol", r.Proto)
		w.mu.Lock()
		w.got = append(w.got, seen{name, r.Method + " " + r.RequestURI, header})
		w.mu.Unlock()
		answer.ServeHTTP(rw, r)
	}), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	w.Cleanup(func() { server.Close(); <-ended })
}

// apply puts a change of objects in force.
func (w *world) apply(u control.Update) {
	w.objects <- u
	synctest.Wait()
}

// exchange carries one exchange out and compares.
func (w *world) exchange(e *exchange) {
	w.Helper()
	w.got = nil
	for range e.repeat {
		start := time.Now()
		response, err := w.roundTrip(e)
		if e.refused != "" {
			if want := "remote error: tls: " + e.refused; err == nil || err.Error() != want {
				w.Fatalf("%s\ngot %v, want %s", e.text, err, want)
			}
			continue
		}
		if err != nil {
			w.Fatalf("%s\n%v", e.text, err)
		}
		w.compareResponse(e, response, time.Since(start))
	}
	synctest.Wait() // for mirrors, which nobody waits for
	w.mu.Lock()
	defer w.mu.Unlock()
	w.compareBackends(e)
}

// roundTrip sends the request on a connection of its own.
func (w *world) roundTrip(e *exchange) (*http.Response, error) {
	conn, err := w.network.Dial(w.Context(), "tcp", e.address)
	if err != nil {
		return nil, err
	}
	defer func() { conn.Close() }()
	var certificate string
	if e.tls {
		secure := tls.Client(conn, &tls.Config{ServerName: e.serverName, InsecureSkipVerify: true})
		if err := secure.Handshake(); err != nil {
			return nil, err
		}
		certificate = secure.ConnectionState().PeerCertificates[0].DNSNames[0]
		conn = secure
	}
	if _, err := conn.Write(e.request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: e.method})
	if err != nil {
		return nil, err
	}
	response.Header.Set("Certificate", certificate)
	if response.Close { // ReadResponse has taken the field away
		response.Header.Set("Connection", "close")
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, nil
	}
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, err
}

// tolerance is how far a timer of a loop may be off.
const tolerance = 20 * time.Millisecond

func (w *world) compareResponse(e *exchange, r *http.Response, took time.Duration) {
	w.Helper()
	if r.StatusCode != e.status {
		body, _ := io.ReadAll(r.Body)
		w.Errorf("%s\ngot status %d and %s", e.text, r.StatusCode, body)
	}
	if e.after != nil && (took < *e.after || took > *e.after+tolerance) {
		w.Errorf("%s\nthe answer came after %v", e.text, took)
	}
	w.compareFields(e, r.Header, e.fields)
}

func (w *world) compareFields(e *exchange, got http.Header, want []string) {
	w.Helper()
	for _, field := range want {
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		if all := strings.Join(got.Values(name), ", "); value == "!" && all != "" || value != "!" && all != value {
			w.Errorf("%s\n%s is %q", e.text, name, all)
		}
	}
}

func (w *world) compareBackends(e *exchange) {
	w.Helper()
	got := w.got
	for _, want := range e.backends {
		for range max(1, want.count) {
			i := slices.IndexFunc(got, func(s seen) bool { return s.name == want.name && (want.line == "" || s.line == want.line) })
			if i < 0 {
				w.Errorf("%s\nthe backends got %s", e.text, summary(w.got))
				return
			}
			w.compareFields(e, got[i].header, want.fields)
			got = slices.Delete(slices.Clone(got), i, i+1)
		}
	}
	if len(got) > 0 && (e.nobody || len(e.backends) > 0) {
		w.Errorf("%s\nthe backends also got %s", e.text, summary(got))
	}
}

func summary(all []seen) string {
	counts := map[string]int{}
	for _, s := range all {
		counts[fmt.Sprintf("%s %s", s.name, s.line)]++
	}
	if len(counts) == 0 {
		return "nothing"
	}
	var parts []string
	for _, line := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d × %s", counts[line], line))
	}
	return strings.Join(parts, ", ")
}

// conditions are all that is said of all objects, a line each.
func (w *world) conditions() []string {
	var lines []string
	state := w.control.State()
	for key := range state.Snapshot.All() {
		for c := range control.Conditions(state.Status(key)) {
			line := key.String() + ": "
			if c.Part != "" {
				line += c.Part + ": "
			}
			lines = append(lines, line+fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
		}
	}
	return lines
}
