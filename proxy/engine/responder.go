package engine

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Bounds of an answer of OCSP in time and bytes. Every handshake carries it.
const (
	responderTime = 10 * time.Second
	maxAnswer     = 16 << 10
)

// responders are spoken to by a client of their own. Who writes a certificate
// names its responder, so what is forbidden to restricted backends is forbidden
// here too: the data plane must not knock for others where only it can.
type responders struct {
	client  http.Client
	network loop.Network
	resolve upstream.Resolver
	forbids func(netip.Addr) bool
}

func newResponders(o *Options) *responders {
	r := &responders{network: o.Network, resolve: o.Resolver, forbids: upstream.Restricted(o.Own)}
	if r.network == nil {
		r.network = loop.HostNetwork{}
	}
	r.client = http.Client{
		Timeout:       responderTime,
		Transport:     &http.Transport{DialContext: r.dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r
}

// ask sends one request (RFC 6960 appendix A.1).
func (r *responders) ask(ctx context.Context, responder string, request []byte) ([]byte, error) {
	if u, err := url.Parse(responder); err != nil || u.Scheme != "http" {
		return nil, fmt.Errorf("%q is no address of a responder", responder)
	}
	question, err := http.NewRequestWithContext(ctx, http.MethodPost, responder, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	question.Header.Set("Content-Type", "application/ocsp-request")
	answer, err := r.client.Do(question)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the responder has answered %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return body, err
}

func (r *responders) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{addr}
	} else {
		answer, err := r.resolve.Resolve(ctx, host)
		if err != nil {
			return nil, err
		}
		addrs = answer.Addrs
	}
	err = errors.New("it leads only to addresses that the data plane must not reach for others")
	for _, addr := range addrs {
		if r.forbids(addr) {
			continue
		}
		var c net.Conn
		if c, err = r.network.Dial(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// errNotGood is the word of an authority against a certificate.
var errNotGood = errors.New("the certificate is not good")

// checkAnswer reports why an answer, whose signature is right, cannot be shown.
func checkAnswer(answer *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	switch {
	case answer.Status == ocsp.Revoked:
		return fmt.Errorf("%w: it was revoked on %s", errNotGood, answer.RevokedAt.Format(time.DateOnly))
	case answer.Status != ocsp.Good:
		return fmt.Errorf("%w: its authority does not know it", errNotGood)
	case answer.ThisUpdate.After(now.Add(stapleSkew)):
		return errors.New("the answer is from the future")
	case !answer.NextUpdate.IsZero() && !answer.NextUpdate.After(now):
		return errors.New("the answer is too old")
	}
	signer := answer.Certificate
	if signer == nil || bytes.Equal(signer.Raw, issuer.Raw) {
		return nil
	}
	// RFC 6960 section 4.2.2.2: else anybody whom the authority has given a
	// certificate could answer in its name.
	if !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || now.Before(signer.NotBefore) || now.After(signer.NotAfter) {
		return errors.New("who signed the answer may not do so")
	}
	return nil
}
