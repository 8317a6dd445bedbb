package engine_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// A backend that is not what it should be gets no request; the client gets 502,
// and the log says why (BackendTLSPolicy.spec.validation).
func TestBackendsInTLSAreVerified(t *testing.T) {
	known, stranger := newAuthority("known"), newAuthority("stranger")
	served := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s for %s", r.Proto, r.TLS.ServerName) }
	for name, test := range map[string]struct {
		tls    config.BackendTLS
		status int
		log    string
	}{
		"verified": {config.BackendTLS{Hostname: "web.example", CAs: bundle(known)}, 200, `"status":200`},
		"one of its other names": {
			config.BackendTLS{Hostname: "front.example", SANs: []config.SubjectAltName{{Hostname: "web.example"}}, CAs: bundle(known)}, 200, `"status":200`,
		},
		"another name":      {config.BackendTLS{Hostname: "other.example", CAs: bundle(known)}, 502, "other.example"},
		"another authority": {config.BackendTLS{Hostname: "web.example", CAs: bundle(stranger)}, 502, "authority"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			records := observe.NewAccessLog(&out, observe.JSON, 1)
			g := newGateway(t, engine.Options{Workers: 1, AccessLog: records})
			origin := g.originTLS(known.sign("backend", forServer), served)
			g.serve(origin, config.Rule{})
			b := backend("service/default/web:80", origin)
			b.TLS = &test.tls
			g.apply(config.Delta{Backends: []*config.Backend{b}})

			c := g.dial()
			c.send(get("/"))
			r, body := c.response("GET")
			if want := "HTTP/2.0 for " + test.tls.Hostname; r.StatusCode != test.status || r.StatusCode == 200 && body != want {
				t.Errorf("got %d, %q", r.StatusCode, body)
			}
			c.send(get("/later")) // the record of the first is written by then
			c.response("GET")
			records.Close()
			line, _, _ := strings.Cut(out.String(), "\n")
			if !strings.Contains(line, test.log) || strings.Contains(line, `"failure":"upstream_tls_verify"`) != (test.status == 502) {
				t.Errorf("the log says %s", line)
			}
		})
	}
}

// forServer makes a certificate one of web.example.
func forServer(c *x509.Certificate) {
	c.DNSNames, c.ExtKeyUsage = []string{"web.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

func bundle(authorities ...*authority) (all []config.TrustBundle) {
	for _, a := range authorities {
		all = append(all, config.TrustBundle{Name: "configmap/default/ca", PEM: a.pem})
	}
	return all
}

// originTLS starts a backend that speaks HTTP/1.1 and HTTP/2 in TLS.
func (g *gateway) originTLS(certificate tls.Certificate, h http.HandlerFunc) netip.AddrPort {
	l := g.listen()
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go server.ServeTLS(l, "", "")
	g.Cleanup(func() { server.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}
