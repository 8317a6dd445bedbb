// Package admin is the local API of a running gateway: health, metrics,
// statuses, configuration and explanations. It has no authentication, so it
// belongs on a loopback address; it changes nothing and never shows what
// Secrets hold.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// maxExplain bounds the body of a request to /explain, in bytes.
const maxExplain = 64 << 10

// Bounds of what requests from elsewhere may cost at one time: connections, and
// requests to /metrics.
const (
	maxConnections = 256
	maxScrapes     = 4
)

// Options are what the API tells of. Its functions may be called by several
// goroutines at once.
type Options struct {
	// Ready says why the gateway should get no traffic; nil if it should.
	Ready func() error
	// Metrics are those at /metrics.
	Metrics prometheus.Gatherer
	// Status is the List at /status, of objects with their statuses and of diagnostics.
	Status func() any
	// Config writes the configuration in force, as text or, if it is asked
	// for, as JSON.
	Config func(w io.Writer, asJSON bool) error
	// Explain answers a request to /explain, whose body is JSON, with what
	// becomes JSON. An error is about the body.
	Explain func(body []byte) (any, error)
	// Profiles are served at /debug/pprof if set.
	Profiles bool
}

// Handler serves the API. It answers only requests that name the host by an
// address or as localhost.
func Handler(o Options) http.Handler {
	mux := o.health()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, o.Status()) })
	mux.HandleFunc("GET /config", o.serveConfig)
	mux.HandleFunc("POST /explain", o.serveExplain)
	if o.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return refuseNames(mux)
}

// HealthHandler serves only /livez, /readyz and /metrics. These show little and
// may be open to the kubelet and to Prometheus, which may use whatever name the
// host has for them.
func HealthHandler(o Options) http.Handler { return o.health() }

func (o *Options) health() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", o.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	return mux
}

// Serve serves the API on the listener until ctx ends, and then closes it.
func Serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a profile takes as long as it was asked to
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(netutil.LimitListener(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// refuseNames protects against DNS rebinding: a web page whose own name
// resolves to this host reaches it through the browser, but with that name.
func refuseNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			http.Error(w, "the admin API answers only to an IP address or to localhost, not to "+
				fmt.Sprintf("%q", r.Host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func index(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `/livez      is the process alive
/readyz     should it get traffic
/metrics    for Prometheus
/status     objects with their statuses, and diagnostics, as a Kubernetes List
/config     the configuration in force; ?o=json
/explain    POST {"method","url","headers"}: which way a request takes
`)
}

func (o *Options) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := o.Ready(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (o *Options) serveConfig(w http.ResponseWriter, r *http.Request) {
	asJSON := r.URL.Query().Get("o") == "json"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
	}
	_ = o.Config(w, asJSON) // it fails only where nobody is left to read it
}

func (o *Options) serveExplain(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxExplain))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	answer, err := o.Explain(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, answer)
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}
