package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// kind is one kind of change. Its next change is to a team, in a turn that counts
// from 0; shows asks whether it is served.
type kind struct {
	name string
	next func(w *world, team, turn int) ([]snapshot.Change, shows, error)
	// wide says that it changes every listener: there is no goal for that, and a
	// tenth of the changes is enough.
	wide bool
}

type shows func(*client) error

var kinds = []kind{
	{name: "backend of a route", next: changeBackend},
	{name: "new route", next: addRoute},
	{name: "endpoints", next: changeEndpoints},
	{name: "certificate", next: rotateCertificate},
	{name: "listener more in a ListenerSet", next: addListener},
	{name: "ListenerSet less, or more", next: toggleSet},
	{name: "ClientPolicy of a ListenerSet", next: changePolicy},
	{name: "ReferenceGrant less, or more", next: toggleGrant},
	{name: "ClientPolicy of the Gateway", next: changeGatewayPolicy, wide: true},
}

// measureLoad takes all objects at once, as after a start.
func measureLoad(g *gateway, w *world, r *report) error {
	before, err := anonymous()
	if err != nil {
		return err
	}
	r.found("before, anonymous", before)
	all, err := w.all()
	if err != nil {
		return err
	}
	r.found("objects", len(all))
	taken, err := g.apply(all)
	if err != nil {
		return err
	}
	r.found("all objects, until they are served", taken.served.Round(time.Millisecond))
	r.found("all objects, processor", taken.cpu.Round(time.Millisecond))
	clear(all)
	if err := holdMemory("all objects, anonymous", r); err != nil {
		return err
	}
	most, err := peak()
	r.found("most that was resident meanwhile", most)
	return err
}

func holdMemory(what string, r *report) error {
	settle()
	now, err := anonymous()
	r.atMost(what, now, goalMemory)
	return err
}

// measureChanges makes changes of each kind, one after the other.
func measureChanges(ctx context.Context, g *gateway, w *world, r *report, o options) error {
	c := newClient(w)
	for n, k := range kinds {
		if o.only != "" && o.only != k.name {
			continue
		}
		stop, err := profile(o.profiles, fmt.Sprintf("cpu-%d.pprof", n))
		if err != nil {
			return err
		}
		turns := o.changes
		if k.wide {
			turns = max(2, turns/10)
		}
		var all []change
		for turn := range turns {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			changes, shows, err := k.next(w, (turn*7919+n)%w.sets, turn)
			if err != nil {
				return err
			}
			taken, err := g.apply(changes)
			if err == nil {
				err = shows(c)
			}
			if err != nil {
				return fmt.Errorf("%s, change %d: %w", k.name, turn, err)
			}
			all = append(all, taken)
		}
		stop()
		r.changed(k, all)
	}
	if err := holdMemory("after the changes, anonymous", r); err != nil {
		return err
	}
	return writeHeap(o.profiles)
}

func changeBackend(w *world, i, turn int) ([]snapshot.Change, shows, error) {
	service := 1 + turn/w.sets
	return []snapshot.Change{set(w.route(i, 0, service))}, answers(i, path(0), answer(service)), nil
}

func addRoute(w *world, i, turn int) ([]snapshot.Change, shows, error) {
	j := 8 * (w.routes + turn) // never of gRPC
	return []snapshot.Change{set(w.route(i, j, 0))}, answers(i, path(j), answer(0)), nil
}

func changeEndpoints(w *world, i, turn int) ([]snapshot.Change, shows, error) {
	like := 3 + turn/w.sets
	return []snapshot.Change{set(w.slice(i, 2, like))}, answers(i, path(2), answer(like)), nil
}

func rotateCertificate(w *world, i, _ int) ([]snapshot.Change, shows, error) {
	secret, serial, err := w.secret(i, 0)
	return []snapshot.Change{set(secret)}, presents(i, 0, serial), err
}

func addListener(w *world, i, _ int) ([]snapshot.Change, shows, error) {
	j := listeners(i)
	secret, serial, err := w.secret(i, j)
	return []snapshot.Change{set(secret), set(w.set(i, j+1))}, presents(i, j, serial), err
}

// toggleSet takes a ListenerSet away in every turn that is even, and brings it
// back in the next.
func toggleSet(w *world, _, turn int) ([]snapshot.Change, shows, error) {
	const own = 3
	s := set(w.set(own, listeners(own)))
	if turn%2 == 0 {
		s.Object = nil
		return []snapshot.Change{s}, refuses(own), nil
	}
	return []snapshot.Change{s}, answers(own, path(1), answer(1)), nil
}

func changePolicy(w *world, i, turn int) ([]snapshot.Change, shows, error) {
	return []snapshot.Change{set(w.policy(i, int32(4<<10+turn)))}, answers(i, path(1), answer(1)), nil
}

func changeGatewayPolicy(w *world, i, turn int) ([]snapshot.Change, shows, error) {
	return []snapshot.Change{set(w.gatewayPolicy(int32(4<<10 + turn)))}, answers(i, path(1), answer(1)), nil
}

// toggleGrant takes a grant away in every turn that is even, and brings it back in
// the next.
func toggleGrant(w *world, _, turn int) ([]snapshot.Change, shows, error) {
	const own = 10
	g := set(w.grant(own))
	if turn%2 == 0 {
		g.Object = nil
		return []snapshot.Change{g}, refuses(own), nil
	}
	return []snapshot.Change{g}, answers(own, path(1), answer(1)), nil
}

// client asks the gateway, each time on a new connection.
type client struct {
	http http.Client
}

func newClient(w *world) *client {
	roots := x509.NewCertPool()
	roots.AddCert(w.authority.certificate)
	return &client{http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", w.port))
		},
	}}}
}

func (c *client) get(i, j int, path string) (*http.Response, string, error) {
	response, err := c.http.Get("https://" + hostname(i, j) + path)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// answers asks whether a path of a team leads where it should.
func answers(i int, path, want string) shows {
	return func(c *client) error {
		response, got, err := c.get(i, 0, path)
		if err == nil && got != want {
			err = fmt.Errorf("%s of %s answers %s %q, and should answer %q", path, hostname(i, 0), response.Status, got, want)
		}
		return err
	}
}

// presents asks whether a listener has the certificate of that serial number.
func presents(i, j int, serial int64) shows {
	return func(c *client) error {
		response, _, err := c.get(i, j, "/")
		if err != nil {
			return err
		}
		if got := response.TLS.PeerCertificates[0].SerialNumber; got.Int64() != serial {
			return fmt.Errorf("%s shows certificate %v, and should show %d", hostname(i, j), got, serial)
		}
		return nil
	}
}

// refuses asks whether a team's hostname has no certificate any more.
func refuses(i int) shows {
	return func(c *client) error {
		if _, _, err := c.get(i, 0, path(1)); err == nil {
			return fmt.Errorf("%s is served still", hostname(i, 0))
		}
		return nil
	}
}

// profile begins a profile of the processor, if there is a folder for it.
func profile(dir, name string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

func writeHeap(dir string) error {
	if dir == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, "heap.pprof"))
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("heap").WriteTo(f, 0)
}
