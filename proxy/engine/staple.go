package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
	"weak"

	"golang.org/x/crypto/ocsp"

	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// Times of stapling.
const (
	// stapleSoonest is the least time between two questions about a certificate,
	// stapleBackoff the time after a failure, which doubles up to stapleLatest.
	stapleSoonest = 5 * time.Minute
	stapleBackoff = time.Minute
	stapleLatest  = time.Hour
	// stapleSkew is how far a responder's clock may be ahead.
	stapleSkew = 5 * time.Minute
	// stapleParallel is how many questions are under way at once.
	stapleParallel = 8
)

// stapler asks the authorities of certificates whether these are good, and has
// handshakes show the answers (OCSP, RFC 6960; RFC 6066 section 8). It works
// beside the workers: no handshake waits for it, and none fails without a staple.
type stapler struct {
	responders *responders
	log        *slog.Logger
	changed    chan struct{}

	mu     sync.Mutex
	shown  map[weak.Pointer[tlsconn.Certificate]]*staple
	asking sync.WaitGroup
}

// staple is what is known of one certificate.
type staple struct {
	next     time.Time // when to ask
	until    time.Time // when what is shown ends, zero for nothing
	failures int
	busy     bool
}

func newStapler(o *Options) *stapler {
	return &stapler{
		responders: newResponders(o), log: o.Log, changed: make(chan struct{}, 1),
		shown: make(map[weak.Pointer[tlsconn.Certificate]]*staple),
	}
}

// add begins to ask about a certificate, if there is anybody to ask.
func (s *stapler) add(name string, c *tlsconn.Certificate) {
	pair := c.Pair()
	able := len(pair.Leaf.OCSPServer) > 0 && len(pair.Certificate) > 1
	if mustStaple(pair.Leaf) && !able {
		s.log.Warn("a certificate wants a staple and cannot have one: it names no responder, or its chain lacks the certificate of its authority", "certificate", name)
	}
	if !able {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := weak.Make(c); s.shown[p] == nil {
		s.shown[p] = new(staple)
		s.look()
	}
}

// look has run see what is due.
func (s *stapler) look() {
	select {
	case s.changed <- struct{}{}:
	default: // it will
	}
}

// tlsFeature is the extension by which a certificate wants to be stapled (RFC 7633).
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

func mustStaple(leaf *x509.Certificate) bool {
	const statusRequest = 5
	for _, e := range leaf.Extensions {
		var features []int
		if e.Id.Equal(tlsFeature) {
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && slices.Contains(features, statusRequest)
		}
	}
	return false
}

// run asks when it is time, until ctx ends.
func (s *stapler) run(ctx context.Context) {
	defer s.asking.Wait()
	places := make(chan struct{}, stapleParallel)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		case <-timer.C:
		}
		due, next := s.due(time.Now())
		for c, known := range due {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			s.asking.Go(func() {
				defer func() { <-places }()
				s.renew(ctx, c, known)
			})
		}
		timer.Reset(next)
	}
}

// due are the certificates to ask about now; next is when to look again.
func (s *stapler) due(now time.Time) (due map[*tlsconn.Certificate]*staple, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due, next = make(map[*tlsconn.Certificate]*staple), stapleLatest
	for p, known := range s.shown {
		c := p.Value()
		switch {
		case c == nil:
			delete(s.shown, p)
		case known.busy:
		case known.next.After(now):
			next = min(next, known.next.Sub(now))
		default:
			known.busy, due[c] = true, known
		}
	}
	return due, next
}

// renew asks about a certificate.
func (s *stapler) renew(ctx context.Context, c *tlsconn.Certificate, known *staple) {
	pair := c.Pair()
	answer, err := s.answerFor(ctx, pair)
	now := time.Now()
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		c.Staple(answer.Raw)
	case errors.Is(err, errNotGood), !now.Before(known.until):
		c.Staple(nil)
	}
	if err != nil {
		level := slog.LevelDebug
		if mustStaple(pair.Leaf) {
			level = slog.LevelWarn // there are clients that will refuse it
		}
		s.log.Log(ctx, level, "the status of a certificate is not known; it is tried again", "names", pair.Leaf.DNSNames, "responder", pair.Leaf.OCSPServer[0], "error", err)
	}
	s.mu.Lock()
	known.schedule(answer, now)
	known.busy = false
	s.mu.Unlock()
	s.look()
}

// schedule says when to ask again: in the second half of an answer's time, or
// later and later after failures. Certificates of one moment are spread.
func (k *staple) schedule(answer *ocsp.Response, now time.Time) {
	if answer == nil {
		wait := min(stapleBackoff<<min(k.failures, 10), stapleLatest)
		k.failures++
		k.next = now.Add(spread(wait))
		if k.until.After(now) && k.until.Before(k.next) {
			k.next = k.until // to take it away
		}
		return
	}
	k.failures, k.until = 0, answer.NextUpdate
	if k.until.IsZero() { // there is always a newer one
		k.until = now.Add(2 * stapleLatest)
	}
	k.next = now.Add(max(stapleSoonest, spread(k.until.Sub(now)/2)))
}

// spread returns a time between one and one and a quarter of d.
func spread(d time.Duration) time.Duration { return d + rand.N(d/4+1) }

// answerFor asks the responder, and returns what may be shown.
func (s *stapler) answerFor(ctx context.Context, pair *tls.Certificate) (*ocsp.Response, error) {
	issuer, err := x509.ParseCertificate(pair.Certificate[1])
	if err != nil {
		return nil, err
	}
	request, err := ocsp.CreateRequest(pair.Leaf, issuer, nil)
	if err != nil {
		return nil, err
	}
	raw, err := s.responders.ask(ctx, pair.Leaf.OCSPServer[0], request)
	if err != nil {
		return nil, err
	}
	answer, err := ocsp.ParseResponseForCert(raw, pair.Leaf, issuer)
	if err != nil {
		return nil, err
	}
	if err := checkAnswer(answer, issuer, time.Now()); err != nil {
		return nil, err
	}
	return answer, nil
}
