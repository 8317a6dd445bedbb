package engine_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// stapled is a certificate for web.example by the authority, which names the responder.
func (a *authority) stapled(responder string, more ...pkix.Extension) config.Certificate {
	key := ecdsaKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), DNSNames: []string{"web.example"}, NotBefore: time.Unix(1, 0), NotAfter: time.Now().Add(1000 * time.Hour),
		OCSPServer: []string{responder}, ExtraExtensions: more,
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return config.Certificate{
		Name:  "secret/default/stapled",
		Chain: append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), a.pem...),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// responder answers questions about the certificate, in memory.
type responder struct {
	authority *authority
	asked     atomic.Int64
	answer    atomic.Value // answerer
}

type answerer = func(http.ResponseWriter, *ocsp.Request)

const responderURL = "http://192.0.2.1:8888/ocsp"

// respond starts it; without an answer the certificate is good for a day.
func (g *gateway) respond(r *responder) {
	g.Helper()
	l, err := g.network.Listen(netip.MustParseAddrPort("192.0.2.1:8888"))
	if err != nil {
		g.Fatal(err)
	}
	r.answer.CompareAndSwap(nil, answerer(func(w http.ResponseWriter, q *ocsp.Request) { w.Write(r.sign(q, ocsp.Response{})) }))
	var serving sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, question *http.Request) {
		r.asked.Add(1)
		raw, _ := io.ReadAll(question.Body)
		q, err := ocsp.ParseRequest(raw)
		if err != nil || question.Header.Get("Content-Type") != "application/ocsp-request" {
			g.Errorf("the question is none: %v", err)
			return
		}
		r.answer.Load().(answerer)(w, q)
	})}
	serving.Go(func() { server.Serve(l) })
	g.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
}

// sign makes an answer; what is left open of it is good for a day.
func (r *responder) sign(q *ocsp.Request, answer ocsp.Response) []byte {
	return r.signBy(r.authority.certificate, r.authority.key, q, answer)
}

func (r *responder) signBy(signer *x509.Certificate, key crypto.Signer, q *ocsp.Request, answer ocsp.Response) []byte {
	answer.SerialNumber = q.SerialNumber
	if answer.ThisUpdate.IsZero() {
		answer.ThisUpdate = time.Now()
	}
	if answer.NextUpdate.IsZero() {
		answer.NextUpdate = time.Now().Add(24 * time.Hour)
	}
	if signer != r.authority.certificate {
		answer.Certificate = signer
	}
	raw, err := ocsp.CreateResponse(r.authority.certificate, signer, answer, key)
	if err != nil {
		panic(err)
	}
	return raw
}

// staple is what a handshake shows.
func (g *gateway) staple() []byte {
	g.Helper()
	c := g.mustDialTLS(nil)
	defer c.Close()
	return c.state().OCSPResponse
}

// An answer is shown from soon after the start, renewed before it ends, and
// taken away when it has ended.
func TestStaplesAreRenewed(t *testing.T) {
	inBubble(t, func(g *gateway) {
		r := &responder{authority: newAuthority("ours")}
		g.respond(r)
		g.mustApply(answering(g.https("ns/gw/a", "", r.authority.stapled(responderURL))))
		synctest.Wait()
		first := g.staple()
		if answer, err := ocsp.ParseResponse(first, r.authority.certificate); err != nil || answer.Status != ocsp.Good {
			g.Fatalf("the staple is %v, %v", answer, err)
		}
		time.Sleep(11 * time.Hour)
		if !bytes.Equal(first, g.staple()) {
			g.Error("the answer was renewed in the first half of its time")
		}
		time.Sleep(9 * time.Hour)
		if bytes.Equal(first, g.staple()) {
			g.Error("the answer was not renewed before its end")
		}
		good := r.answer.Load()
		r.answer.Store(answerer(func(w http.ResponseWriter, _ *ocsp.Request) { w.WriteHeader(500) }))
		asked := r.asked.Load()
		time.Sleep(25 * time.Hour)
		if staple := g.staple(); staple != nil {
			g.Error("an answer is shown after its end")
		}
		if more := r.asked.Load() - asked; more < 10 || more > 60 {
			g.Errorf("a responder that fails was asked %d times in 25 hours", more)
		}
		r.answer.Store(good)
		time.Sleep(2 * time.Hour)
		if g.staple() == nil {
			g.Error("the responder is well again, and nothing is shown")
		}
	})
}

// What is not a good answer is not shown, and no handshake minds.
func TestAnswersThatAreNotShown(t *testing.T) {
	theirs := newAuthority("theirs")
	other := func(r *responder, usage ...x509.ExtKeyUsage) (*x509.Certificate, crypto.Signer) {
		pair := r.authority.sign("somebody", func(c *x509.Certificate) { c.ExtKeyUsage = usage })
		leaf, _ := x509.ParseCertificate(pair.Certificate[0])
		return leaf, pair.PrivateKey.(crypto.Signer)
	}
	for name, test := range map[string]struct {
		answer func(r *responder, q *ocsp.Request) []byte
		shown  bool
	}{
		"good":    {func(r *responder, q *ocsp.Request) []byte { return r.sign(q, ocsp.Response{}) }, true},
		"revoked": {func(r *responder, q *ocsp.Request) []byte { return r.sign(q, ocsp.Response{Status: ocsp.Revoked}) }, false},
		"unknown": {func(r *responder, q *ocsp.Request) []byte { return r.sign(q, ocsp.Response{Status: ocsp.Unknown}) }, false},
		"too old": {func(r *responder, q *ocsp.Request) []byte {
			return r.sign(q, ocsp.Response{NextUpdate: time.Now().Add(-time.Hour)})
		}, false},
		"from the future": {func(r *responder, q *ocsp.Request) []byte {
			return r.sign(q, ocsp.Response{ThisUpdate: time.Now().Add(time.Hour)})
		}, false},
		"another's": {func(r *responder, q *ocsp.Request) []byte {
			q.SerialNumber = big.NewInt(8)
			return r.sign(q, ocsp.Response{})
		}, false},
		"forged": {func(r *responder, q *ocsp.Request) []byte {
			return (&responder{authority: theirs}).sign(q, ocsp.Response{})
		}, false},
		"nonsense":  {func(*responder, *ocsp.Request) []byte { return []byte("nonsense") }, false},
		"nothing":   {func(*responder, *ocsp.Request) []byte { return nil }, false},
		"too large": {func(*responder, *ocsp.Request) []byte { return make([]byte, 1<<20) }, false},
		"try later": {func(*responder, *ocsp.Request) []byte { return ocsp.TryLaterErrorResponse }, false},
		"by its responder": {func(r *responder, q *ocsp.Request) []byte {
			c, key := other(r, x509.ExtKeyUsageOCSPSigning)
			return r.signBy(c, key, q, ocsp.Response{})
		}, true},
		"by some client": {func(r *responder, q *ocsp.Request) []byte {
			c, key := other(r, x509.ExtKeyUsageClientAuth)
			return r.signBy(c, key, q, ocsp.Response{})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				r := &responder{authority: newAuthority("ours")}
				r.answer.Store(answerer(func(w http.ResponseWriter, q *ocsp.Request) { w.Write(test.answer(r, q)) }))
				g.respond(r)
				g.mustApply(answering(g.https("ns/gw/a", "", r.authority.stapled(responderURL))))
				synctest.Wait()
				if shown := g.staple() != nil; shown != test.shown || r.asked.Load() != 1 {
					g.Errorf("shown: %v, want %v; asked %d times", shown, test.shown, r.asked.Load())
				}
			})
		})
	}
}

// A revocation takes the answer of before away.
func TestRevocation(t *testing.T) {
	inBubble(t, func(g *gateway) {
		r := &responder{authority: newAuthority("ours")}
		g.respond(r)
		g.mustApply(answering(g.https("ns/gw/a", "", r.authority.stapled(responderURL))))
		synctest.Wait()
		if g.staple() == nil {
			g.Fatal("nothing is shown")
		}
		r.answer.Store(answerer(func(w http.ResponseWriter, q *ocsp.Request) { w.Write(r.sign(q, ocsp.Response{Status: ocsp.Revoked})) }))
		time.Sleep(16 * time.Hour)
		if g.staple() != nil {
			g.Error("the answer of before is still shown")
		}
	})
}

// A responder that hangs holds nobody up: neither handshakes, nor for ever the
// questions about other certificates.
func TestRespondersThatHang(t *testing.T) {
	inBubble(t, func(g *gateway) {
		release, r := make(chan bool), &responder{authority: newAuthority("ours")}
		g.respond(r)
		hanging := &responder{authority: newAuthority("hanging")}
		l, err := g.network.Listen(netip.MustParseAddrPort("192.0.2.2:80"))
		if err != nil {
			g.Fatal(err)
		}
		defer l.Close()
		defer close(release)
		var listeners []*config.Listener
		for i := range 20 {
			name := fmt.Sprintf("hanging-%d", i)
			listeners = append(listeners, g.https("ns/gw/"+name, name+".example", hanging.authority.stapled("http://192.0.2.2/")))
		}
		start := time.Now()
		g.mustApply(answering(append(listeners, g.https("ns/gw/a", "web.example", r.authority.stapled(responderURL)))...))
		for g.staple() == nil {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > time.Minute {
			g.Errorf("the others were asked after %v", took)
		}
	})
}

// Who writes a certificate must not have the data plane knock where only it can.
func TestRespondersThatMustNotBeReached(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:8888/", "http://169.254.169.254/", "http://192.0.2.9/", "http://metadata.example/", "https://192.0.2.1/", "file:///etc/passwd", "://"} {
		t.Run(address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				network := &watched{Network: memnet.New()}
				g := newGateway(t, engine.Options{
					Workers: 1, Network: network, Own: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, Resolver: names{"metadata.example": netip.MustParseAddr("169.254.169.254")},
					Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				g.mustApply(answering(g.https("ns/gw/a", "", newAuthority("ours").stapled(address))))
				synctest.Wait()
				if dialed := network.dialed(); len(dialed) > 0 {
					t.Errorf("the data plane has dialed %v", dialed)
				}
				g.engine.Shutdown(t.Context(), 0, 0)
				if !strings.Contains(log.String(), "the status of a certificate is not known") {
					t.Errorf("the log has not a word of it:\n%s", log.String())
				}
			})
		})
	}
}

// A certificate that wants a staple and cannot have one is worth a warning.
func TestMustStaple(t *testing.T) {
	value, _ := asn1.Marshal([]int{5})
	feature := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: value}
	whole := newAuthority("ours").stapled("http://192.0.2.3/", feature)
	_, rest := pem.Decode(whole.Chain)
	leaf := whole
	leaf.Chain = whole.Chain[:len(whole.Chain)-len(rest)]
	for name, c := range map[string]config.Certificate{"no answer": whole, "nobody to ask about": leaf} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Log: slog.New(slog.NewTextHandler(&log, nil))})
				g.mustApply(answering(g.https("ns/gw/a", "", c)))
				synctest.Wait()
				if c := g.mustDialTLS(&tls.Config{ServerName: "web.example"}); c.state().OCSPResponse != nil {
					t.Error("something is shown")
				}
				g.engine.Shutdown(t.Context(), 0, 0)
				if !strings.Contains(log.String(), "level=WARN") {
					t.Errorf("the log is\n%s", log.String())
				}
			})
		})
	}
}

// watched notes what the data plane dials, and dials nothing.
type watched struct {
	*memnet.Network
	mu  sync.Mutex
	all []string
}

func (w *watched) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, address)
	return nil, errors.New("refused")
}

func (w *watched) dialed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}
